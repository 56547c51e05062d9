"""Compares losses and gradient norms of fine-tuning: two processes with DeepSpeed's ZeRO-2, and one without it.

    python tests/gpu/devices.py --device cuda --result FILE

Two GPUs communicate by NCCL. With fewer GPUs, nothing runs and the result says so. On CPUs, the two processes
communicate by Gloo.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import common
import finetuning
import outcomes
import torch
from outcomes import FAILED, SKIPPED, Row, held, write_rows
from transformers import AutoConfig

from headpatterns.io import read_csv
from headpatterns.training import run_folder
from headpatterns.training import train as training
from headpatterns.training.recipe import Recipe

PART = "devices"
PROCESSES, STEPS, SAMPLES = 2, 4, 8
"""Number of processes that share each step's samples, number of steps, and samples per step."""

TOLERANCE = 1e-3
"""Tolerance of losses and gradient norms in float32, relative to one process: sums have another order."""

COLUMNS = {"loss": "losses", "grad_norm": "norms of gradients"}


def main(arguments: argparse.Namespace) -> None:
    """With `--processes`, train in this number of processes; without it, start both runs and write the table's rows."""
    if arguments.processes:
        train(arguments)
        return
    what = f"{PROCESSES} processes by {'NCCL' if arguments.device == 'cuda' else 'Gloo'}"
    if arguments.device == "cuda" and (there := torch.cuda.device_count()) < PROCESSES:
        write_rows(arguments.result, [Row(PART, what, SKIPPED, note=f"{PROCESSES} GPUs are needed, {there} is here")])
        return
    with tempfile.TemporaryDirectory() as folder:
        alone, together = (started(arguments, count, Path(folder) / str(count)) for count in (1, PROCESSES))
    if len(alone) != STEPS or len(together) != STEPS:
        write_rows(arguments.result, [Row(PART, what, FAILED, note="a run has not ended: see the log")])
        return
    rows = []
    for column, name in COLUMNS.items():
        pairs = [(float(found[column]), float(right[column])) for found, right in zip(together, alone, strict=True)]
        difference = max(abs(found - right) / right for found, right in pairs)
        rows.append(held(PART, f"{what}: {name} as of one", difference, TOLERANCE))
    write_rows(arguments.result, rows)


def started(arguments: argparse.Namespace, count: int, folder: Path) -> list[dict[str, str]]:
    """Start a run in separate processes; returns its steps, or none if it fails."""
    launcher = [str(finetuning.LAUNCHER), "--standalone", "--nproc-per-node", str(count)] if count > 1 else []
    own = [str(Path(__file__).resolve()), "--device", arguments.device, "--processes", str(count)]
    done = subprocess.run([sys.executable, *launcher, *own, "--result", str(folder)])
    return read_csv(folder / "training.csv", tuple(COLUMNS)) if done.returncode == 0 else []


def train(arguments: argparse.Namespace) -> None:
    """Train one run, in this process or as one of several processes; `--result` is its folder."""
    torch.set_num_threads(1)
    count = arguments.processes
    recipe = Recipe(
        learning_rate=1e-4,
        max_steps=STEPS,
        engine="deepspeed" if count > 1 else "pytorch",
        devices=count,
        per_device_batch_size=2,
        gradient_accumulation_steps=SAMPLES // (2 * count),
        global_batch_size=SAMPLES,
    )
    with training.session(recipe, arguments.device):
        settings = common.ARCHITECTURES["small"]
        # The weights are drawn on the CPU, whose generator is the same for all devices.
        model = common.random_model(AutoConfig.for_model(**settings), "float32", "cpu")
        samples = finetuning.generated(STEPS * SAMPLES, settings["vocab_size"], None)
        training.train(model, finetuning.tokenizer(), samples, recipe, "", arguments.result, arguments.device)
        run_folder.publish(arguments.result)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = outcomes.parser(__doc__, "the same: this is small")
    made.add_argument("--processes", type=int, help=argparse.SUPPRESS)
    return made


if __name__ == "__main__":
    main(parser().parse_args())
