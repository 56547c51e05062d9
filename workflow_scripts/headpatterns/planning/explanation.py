"""The part of a plan that says how every figure is estimated."""

from collections.abc import Iterator

from headpatterns.experiment.places import Plan
from headpatterns.planning.sizes import TEXT_BYTES


def explained(plan: Plan) -> Iterator[str]:
    """How every figure is estimated, with the assumptions of `plan`."""
    share, start = plan.utilisation, plan.start_seconds
    yield "## Formulas"
    yield (
        "A forward pass over t tokens in samples of T takes t × (2 P + 2 × layers × width × T) operations, P the "
        "parameters, width the query heads × head size. Training takes 3 of them (6 P a token), with gradient "
        "checkpointing 4 (8 P); patterns take 2 (4 P), the weights being frozen; reading prompts takes 1 (2 P). "
        "Training adapters takes as many as patterns, with gradient checkpointing 3 (6 P), and those of the adapters "
        "themselves, of which 2 × rank × P / width parameters are counted, as if all weights were squares of the width."
        " Training the weights of heads alone takes as many as well, and 8 × layers × width² a token for gradients."
    )
    yield "\n".join(
        [
            "- A run reads epochs × samples × tokens a sample, or max_steps × global_batch_size × tokens a sample. A "
            "task group's training sets are cut to the smallest. Its steps are epochs × samples / global_batch_size, "
            "each epoch rounded up; it keeps its weights at those checkpoint_steps that are smaller.",
            "- Patterns are taken of the model before the run and of each of its checkpoints, on every probe set.",
            "- Ablating heads reads the samples of `studies.validity` before a run and after it, forward alone: once "
            "with all heads, once without each, for each size of `top` in between as often as there are draws and "
            "twice more, and once without any head where `top` has that; it takes the patterns of as many other "
            "samples, once for all three reductions.",
            "- An evaluation reads the samples' tokens as prompts, and writes max_new_tokens for each: an upper bound, "
            "as answers end earlier. For likelihoods it reads them once more, or once for each of four options where "
            "these are more than letters; with examples, as often as there are examples and a prompt. "
            "Decoding reads all weights from the GPU's memory for each token of a batch.",
            "- Hours are operations / (GPUs × peak × utilisation), peak that of the GPU in bfloat16 or, for work in "
            f"float32, in float32. Utilisation: training {share.training:g}, patterns {share.patterns:g}, "
            f"prompts {share.prefill:g}; decoding {share.decoding:g} of the memory's bandwidth. Without a GPU: "
            f"operations / (threads × {plan.cpu_gflops:g} × 10⁹).",
            f"- Rows are {TEXT_BYTES} bytes a token. All of a dataset's are read, at {plan.prepare_mb_per_second:g} "
            f"MB/s, and those that are taken are tokenized, {plan.tokenize_tokens_per_second:g} tokens a second for "
            "each tokenizer.",
            f"- A job starts {start.model:g} seconds before its work where it loads a model or a tokenizer, "
            f"{start.other:g} elsewhere; model files and checkpoints are read and written at "
            f"{plan.disk_gb_per_second:g} GB/s, models and rows fetched at {plan.download_mb_per_second:g} MB/s.",
            "- GPU-hours are the hours of a job × its GPUs; CPU-hours are its hours × its threads, on all of its "
            "machines. Failed and repeated attempts come on top.",
            "- A state to resume from has 12 bytes a trained parameter (weights and two moments in float32), with "
            "DeepSpeed 16 (20 without bf16); where heads alone are trained, 4 a parameter and 8 a parameter of theirs. "
            "A run keeps the last two, written every resume_every steps, and has a "
            "third while it is written.",
            "- Last checkpoints and those on the way go, unless the config keeps them, once the patterns and scores "
            f"that need them exist. No more than {plan.parallel_jobs} jobs train or read such checkpoints at once, "
            "readers first, so that no more fine-tuning jobs have theirs on the disk. Counted beside them, for they "
            "wait longer: last checkpoints that are models of other runs, and those that one evaluation reads together "
            "with others. Not counted: those whose reader failed, or waits for rows that are still prepared.",
        ]
    )
