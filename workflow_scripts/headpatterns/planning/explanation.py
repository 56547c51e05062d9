"""The part of a plan that says how every figure is estimated."""

from collections.abc import Iterator

from headpatterns.experiment.places import Plan
from headpatterns.planning.sizes import TEXT_BYTES


def explained(plan: Plan) -> Iterator[str]:
    """How every figure is estimated, with the assumptions of `plan`."""
    share, start = plan.utilisation, plan.start_seconds
    yield "## Formulas"
    yield (
        "A forward pass over t tokens in samples of T tokens takes t × (2 P + 2 × layers × width × T) operations. P is "
        "the number of parameters, and width is query heads × head size. Training takes 3 forward passes (6 P per "
        "token), or 4 with gradient checkpointing (8 P). Patterns take 2 (4 P), because the weights are frozen; "
        "reading prompts takes 1 (2 P). Training adapters takes 2, or 3 with gradient checkpointing (6 P), and the "
        "operations of the adapters themselves. Adapters count as 2 × rank × P / width parameters, as if all weights "
        "were squares of the width. Training only the weights of heads takes 2, and 8 × layers × width × hidden width "
        "operations per token for the gradients of the heads. The hidden width is that of the hidden states."
    )
    yield "\n".join(
        [
            "- A run reads epochs × samples × tokens per sample, or max_steps × global_batch_size × tokens per sample. "
            "The training sets of a task group are cut to the smallest. The steps of a run are epochs × samples / "
            "global_batch_size, and each epoch is rounded up. A run keeps its weights at the checkpoint_steps that are "
            "smaller than that.",
            "- Patterns are computed for the model before the run and each of its checkpoints, on every probe set.",
            "- Ablating heads reads the samples of `studies.validity` before a run and after it, with forward passes "
            "only. It reads them once with all heads and once without each head. For each size of `top` in between, it "
            "reads them twice and once more for each draw. If `top` has the number of all heads, it reads them "
            "once without any head. It also computes the patterns of as many other samples, once for all three "
            "reductions.",
            "- An evaluation reads the samples' tokens as prompts, and writes max_new_tokens for each. That is an "
            "upper bound, because answers end earlier. For likelihoods it reads the samples once more, or once for "
            "each of four options if these are more than letters. With solved examples, it reads (examples + 1) times "
            "as many tokens. Decoding reads all weights from the GPU's memory for each token of a batch.",
            "- Hours are operations / (GPUs × peak × utilisation). The peak is that of the GPU in bfloat16, or in "
            f"float32 for work in float32. Utilisation: training {share.training:g}, patterns {share.patterns:g}, "
            f"prompts {share.prefill:g}; decoding {share.decoding:g} of the memory's bandwidth. Without a GPU: "
            f"operations / (threads × {plan.cpu_gflops:g} × 10⁹).",
            f"- Rows have {TEXT_BYTES} bytes per token. All rows of a dataset are read, at "
            f"{plan.prepare_mb_per_second:g} MB/s, and the selected rows are tokenized, at "
            f"{plan.tokenize_tokens_per_second:g} tokens per second for each tokenizer.",
            f"- A job starts {start.model:g} seconds before its work if it loads a model or a tokenizer, and otherwise "
            f"{start.other:g}. Model files and checkpoints are read and written at {plan.disk_gb_per_second:g} GB/s. "
            f"Models and rows are fetched at {plan.download_mb_per_second:g} MB/s.",
            "- GPU-hours are the hours of a job × its GPUs. CPU-hours are its hours × its threads, on all of its "
            "machines. Failed and repeated attempts are not included.",
            "- A state to resume from has 12 bytes per trained parameter (weights and two moments in float32); with "
            "DeepSpeed it has 16 (20 without bf16). If only heads are trained, it has 4 per parameter and 8 per "
            "parameter of the heads. A run writes a state every resume_every steps and keeps the last two; while it "
            "writes one, it has three.",
            "- Final and intermediate checkpoints are removed after the patterns and scores that need them exist, "
            f"unless the config keeps them. At most {plan.parallel_jobs} jobs train or read such checkpoints at once, "
            "readers first, so that no more fine-tuning jobs have theirs on the disk. Two kinds are counted in "
            "addition, because they wait longer: final checkpoints that are models of other runs, and those that one "
            "evaluation reads together with others. Checkpoints whose reader failed, or waits for rows that are still "
            "being prepared, are not counted.",
        ]
    )
