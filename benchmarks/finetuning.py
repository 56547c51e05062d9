"""Measure tokens per second of full fine-tuning and of the plain Hugging Face Trainer on the same samples.

    python benchmarks/finetuning.py --architecture llama-3-8b --layers 8 [--devices 2] [--output NAME]
    python benchmarks/finetuning.py --model DIR
    python benchmarks/finetuning.py --architecture small --device cpu --precision fp32 --steps 4
    python benchmarks/finetuning.py --architecture smollm2-135m --length 256 --batch-size 2 --accumulation 4 \\
        --device cpu --precision fp32 --steps 4 --warmup 2 --engines pytorch

The model has random weights, initialised on the device, unless a model is named. The samples have the lengths of
GSM8K's, random tokens and masked prompts, or all have `--length` tokens, with a quarter of them in the prompt. Each row
is measured in separate processes. It has seconds and tokens of the steps after the first `--warmup`, and the peak
memory of a device (on processors, of a process), both also relative to the plain Trainer's. It also has the share of
the GPUs' dense bf16 peak for 6 operations per parameter and token and those of attention (Chowdhery et al. 2022, App.
B; recomputation of gradient checkpointing is not counted). A row that does not fit into memory says so. Weights are
written at the end of a run, so `--work-folder` needs room for them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import common
import numpy as np

from headpatterns.io import read_csv

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from headpatterns.training.recipe import Recipe

COLUMNS = (
    "trainer", "padding_free", "devices", "status", "steps", "seconds", "tokens", "tokens_per_second", "ratio",
    "peak_gib", "peak_ratio", "bf16_share",
)  # fmt: skip
LAUNCHER = Path(__file__).resolve().parent.parent / "workflow_scripts" / "launch.py"
PLAIN = "transformers"


class Case(NamedTuple):
    """A row of the table; `trainer` is PLAIN or an engine of headpatterns.training."""

    trainer: str
    padding_free: bool


def main(arguments: argparse.Namespace) -> None:
    """Measure every case and print the table."""
    if arguments.case:
        measure(Case(*json.loads(arguments.case)), arguments)
        return
    cases = [Case(PLAIN, False), *(Case(engine, free) for engine in arguments.engines for free in (False, True))]
    rows = []
    for case in cases:
        rows.append(measured(case, arguments))
        rows[-1]["ratio"] = ratio("tokens_per_second", rows[-1], rows[0])
        rows[-1]["peak_ratio"] = ratio("peak_gib", rows[-1], rows[0])
        print(
            f"{case.trainer}{', padding-free' * case.padding_free}: {rows[-1]['status']}", file=sys.stderr, flush=True
        )
    text = common.markdown(COLUMNS, rows)
    print(text)
    if arguments.output:
        common.write_table(arguments.output, COLUMNS, rows, text)


def ratio(column: str, row: dict[str, Any], plain: dict[str, Any]) -> float | str:
    """The ratio of tokens per second, or of memory, to that of the plain Trainer."""
    values = [measured.get(column) for measured in (row, plain)]
    return values[0] / values[1] if all(values) else ""


def measured(case: Case, arguments: argparse.Namespace) -> dict[str, Any]:
    """The measurements of a case in separate processes; `status` gives the reason if there are none."""
    start = [sys.executable]
    if arguments.devices > 1 or case.trainer == "deepspeed":
        start += [str(LAUNCHER), "--standalone", "--nproc-per-node", str(arguments.devices)]
    with tempfile.TemporaryDirectory(dir=arguments.work_folder) as folder:
        result = Path(folder) / "result.json"
        words = ["--case", json.dumps(case), "--result", str(result), "--run-folder", folder]
        done = subprocess.run(
            [*start, str(Path(__file__).resolve()), *sys.argv[1:], *words],
            env={**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        found = {"trainer": case.trainer, "padding_free": case.padding_free, "devices": arguments.devices}
        if done.returncode == 0:
            return {**found, "status": "measured", **json.loads(result.read_text())}
        print(done.stdout, file=sys.stderr)
        return {**found, "status": "out of memory" if "out of memory" in done.stdout.lower() else "failed"}


def measure(case: Case, arguments: argparse.Namespace) -> None:
    """Train in this process (or as one of several) and write the measurements."""
    import torch

    from headpatterns.models import loading as models
    from headpatterns.processes import group as processes
    from headpatterns.training import run_folder
    from headpatterns.training import train as training

    torch.set_num_threads(arguments.threads)
    recipe = recipe_of(case, arguments)
    with training.session(recipe, arguments.device):
        device = processes.own_device(arguments.device)
        stored = models.stored_dtype(arguments.model) if arguments.model else "bfloat16"
        model = made(arguments, training.loading_dtype(recipe, stored), device)
        count = arguments.steps * recipe.global_batch_size
        samples = generated(count, model.config.get_text_config().vocab_size, arguments.length)
        if case.trainer == PLAIN:
            curve = train_plainly(model, samples, recipe, arguments)
        else:
            training.train(model, tokenizer(), samples, recipe, "", arguments.run_folder / "run", arguments.device)
            run_folder.publish(arguments.run_folder / "run")
            rows = read_csv(arguments.run_folder / "run" / "training.csv", ("seconds", "tokens"))
            curve = [(float(row["seconds"]), int(row["tokens"])) for row in rows]
        if processes.is_first():
            found = summary(curve[arguments.warmup - 1 :], model, samples, recipe, device)
            arguments.result.write_text(json.dumps(found))


def recipe_of(case: Case, arguments: argparse.Namespace) -> "Recipe":
    """The paper's recipe with the given options; the plain Trainer uses its own optimizer."""
    from headpatterns.training.recipe import Recipe

    return Recipe(
        learning_rate=1e-6,
        lr_scheduler="cosine",
        warmup_ratio=0.03,
        weight_decay=0.0,
        max_grad_norm=1.0,
        epochs=1,
        max_steps=arguments.steps,
        engine="pytorch" if case.trainer == PLAIN else case.trainer,
        devices=arguments.devices,
        optimizer=arguments.optimizer if case.trainer == "deepspeed" else "adamw_fused",
        per_device_batch_size=arguments.batch_size,
        gradient_accumulation_steps=arguments.accumulation,
        global_batch_size=arguments.devices * arguments.batch_size * arguments.accumulation,
        padding_free=case.padding_free,
        precision=arguments.precision,
        gradient_checkpointing=arguments.gradient_checkpointing,
        checkpoint_dtype="bfloat16",
        checkpoint_steps=(),
        resume_every=arguments.steps + 1,
        seed=0,
    )


def made(arguments: argparse.Namespace, dtype: str, device: Any) -> "PreTrainedModel":
    """The model in a folder, or one with random weights, initialised on the device."""
    from transformers import AutoConfig

    from headpatterns.models import loading as models

    if arguments.model:
        return models.load_model(arguments.model, dtype, str(device))
    settings = dict(common.ARCHITECTURES[arguments.architecture])
    settings["num_hidden_layers"] = arguments.layers or settings["num_hidden_layers"]
    return common.random_model(AutoConfig.for_model(**settings), dtype, device)


def generated(count: int, vocabulary: int, length: int | None) -> list[dict[str, list[int]]]:
    """Samples of one length, or with the lengths of GSM8K's; only responses carry a loss."""
    generator = np.random.default_rng(0)
    samples = []
    alike = length and [(length // 4, length - length // 4)] * count
    for prompt, response in alike or common.gsm8k_lengths(count, generator):
        tokens = generator.integers(3, vocabulary, prompt + response).tolist()
        samples.append({"input_ids": tokens, "labels": [-100] * prompt + tokens[prompt:]})
    return samples


def tokenizer() -> Any:
    """A tokenizer of three tokens: samples are already tokenized, and training needs only its padding token."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    words = WordLevel({"<pad>": 0, "<bos>": 1, "<eos>": 2}, unk_token="<pad>")
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(words), eos_token="<eos>", pad_token="<pad>")


def train_plainly(
    model: "PreTrainedModel", samples: list[dict[str, list[int]]], recipe: "Recipe", arguments: argparse.Namespace
) -> list[tuple[float, int]]:
    """Train as in the documentation of transformers; returns seconds and tokens after each step."""
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainerCallback, TrainingArguments

    curve = []

    class Clock(TrainerCallback):
        """Reads the clock after each step, when its loss is available."""

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
            if "loss" in logs:
                curve.append((time.perf_counter(), int(state.num_input_tokens_seen)))

    settings = TrainingArguments(
        output_dir=str(arguments.run_folder),
        learning_rate=recipe.learning_rate,
        max_steps=recipe.max_steps,
        per_device_train_batch_size=recipe.per_device_batch_size,
        gradient_accumulation_steps=recipe.gradient_accumulation_steps,
        gradient_checkpointing=recipe.gradient_checkpointing,
        bf16=recipe.precision == "bf16",
        use_cpu=arguments.device == "cpu",
        ddp_find_unused_parameters=False,
        seed=recipe.seed,
        save_strategy="no",
        logging_steps=1,
        include_num_input_tokens_seen="non_padding",
        report_to="none",
        disable_tqdm=True,
    )
    if settings.n_gpu > 1:
        settings._n_gpu = 1  # otherwise a single process would split its batches over all visible GPUs
    Trainer(
        model=model,
        args=settings,
        train_dataset=samples,
        data_collator=DataCollatorForSeq2Seq(tokenizer()),
        callbacks=[Clock()],
    ).train()
    return curve


def summary(
    curve: list[tuple[float, int]], model: "PreTrainedModel", samples: list[dict], recipe: "Recipe", device: Any
) -> dict[str, Any]:
    """The columns of a row, from seconds and tokens before the first counted step and after each step."""
    seconds, tokens = (last - first for first, last in zip(curve[0], curve[-1], strict=True))
    found = {
        "steps": len(curve) - 1,
        "seconds": seconds,
        "tokens": tokens,
        "tokens_per_second": tokens / seconds,
        "peak_gib": common.peak_gib(device),
    }
    if peak := common.bf16_peak(device):
        found["bf16_share"] = operations(model, samples) * tokens / seconds / (recipe.devices * peak)
    return found


def operations(model: "PreTrainedModel", samples: list[dict]) -> float:
    """Operations per token of forward and backward pass: 6 per parameter in matrix products, plus causal attention."""
    config = model.config.get_text_config()
    lookup = 0 if config.tie_word_embeddings else model.get_input_embeddings().weight.numel()
    lengths = [len(sample["input_ids"]) for sample in samples]
    return 6 * (model.num_parameters() - lookup) + common.causal_attention(config, lengths) / sum(lengths)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = made.add_mutually_exclusive_group(required=True)
    what.add_argument("--architecture", choices=list(common.ARCHITECTURES), help="random weights of this architecture")
    what.add_argument("--model", type=Path, help="folder of a model")
    made.add_argument("--layers", type=int, help="layers of the architecture, fewer than it has (all)")
    made.add_argument("--device", choices=["cpu", "cuda"], default="cuda", help="cpu or cuda (cuda)")
    made.add_argument("--devices", type=int, default=1, help="GPUs, or processes on processors (1)")
    made.add_argument("--engines", nargs="*", choices=["pytorch", "deepspeed"], default=["pytorch", "deepspeed"],
                      help="engines of headpatterns.training (pytorch deepspeed)")  # fmt: skip
    made.add_argument("--optimizer", choices=["adamw", "adamw_fused", "adamw_offloaded"], default="adamw_fused",
                      help="optimizers of deepspeed (adamw_fused)")  # fmt: skip
    made.add_argument("--precision", choices=["bf16", "fp32"], default="bf16", help="bf16 or fp32 (bf16)")
    made.add_argument("--gradient-checkpointing", action="store_true", help="compute activations again")
    made.add_argument("--batch-size", type=int, default=4, help="samples of a micro-batch (4)")
    made.add_argument("--accumulation", type=int, default=4, help="micro-batches of a step (4)")
    made.add_argument("--length", type=int, help="tokens of every sample (as many as GSM8K's have)")
    made.add_argument("--steps", type=int, default=15, help="steps (15)")
    made.add_argument("--warmup", type=int, default=3, help="first steps, which are not measured (3)")
    made.add_argument("--threads", type=int, default=1, help="processor threads of a process (1)")
    made.add_argument(
        "--work-folder", type=Path, help="folder of the runs while they are measured (the system's temporary folder)"
    )
    made.add_argument("--output", type=Path, help="name of the table, which is written as CSV and as Markdown")
    made.add_argument("--case", help=argparse.SUPPRESS)
    made.add_argument("--result", type=Path, help=argparse.SUPPRESS)
    made.add_argument("--run-folder", type=Path, help=argparse.SUPPRESS)
    return made


def checked(made: argparse.ArgumentParser) -> argparse.Namespace:
    """The options of the command line, if steps are left to measure."""
    arguments = made.parse_args()
    if not 1 <= arguments.warmup < arguments.steps:
        made.error("--warmup must be at least 1, for the first step's start is not timed, and less than --steps")
    return arguments


if __name__ == "__main__":
    main(checked(parser()))
