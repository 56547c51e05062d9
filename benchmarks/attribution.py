"""Measure seconds and memory of activation patterns, plain passes, eager attention and the authors' procedure.

    python benchmarks/attribution.py --model DIR
    python benchmarks/attribution.py --architecture llama-3-8b --device cuda --dtype bfloat16
    python benchmarks/attribution.py --sweep length [--sizes 256 512 1024 2048]

Writes the table as CSV and Markdown, and a figure. The procedures are those of procedures.py, all on the same samples:
rows of GSM8K's test set below HEADPATTERNS_REAL (otherwise of the embedded experiment's), or random tokens of such
lengths if there is no tokenizer. The sweeps use `--rows` samples of each length, or models of each width.

First each procedure reads all samples once in a separate process, to measure its peak memory. On a GPU this is the
memory that PyTorch has reserved; elsewhere it is the resident set of the process, libraries included. `loaded_gib` is
the memory before the first sample. Then all procedures take turns in one process, `--repeats` times after a turn that
is not counted. `seconds` is the best time, `median_seconds` the median, and ratios use best times. Tokens are those of
samples, without padding. `error` compares the patterns of the first samples with eager attention sample by sample, in
the same dtype: the difference at the worst head, relative to the largest pattern of its layer and sample; the largest
over those. `bf16_share` is the share of a GPU's dense bf16 peak that the following operations need, for all procedures:
4 per token and parameter in a matrix product (forward, and backward through activations), for the projection to the
vocabulary only at response tokens, and 6 T² per channel, layer and sample for causal attention.
"""

import argparse
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import common
import numpy as np
import subjects
from alone import MEASURED, OUT_OF_MEMORY, in_a_process, ran_out

from headpatterns.errors import InputError
from headpatterns.io import read_json

if TYPE_CHECKING:
    from procedures import Batching
    from transformers import PreTrainedModel

COLUMNS = (
    "size", "procedure", "status", "samples", "tokens", "seconds", "median_seconds", "samples_per_second",
    "tokens_per_second", "times_unrecorded", "times_faster_than_published", "loaded_gib", "peak_gib", "bf16_share",
    "error",
)  # fmt: skip
OURS = ("abs_of_sum", "abs_per_position", "sum_of_abs")
NAMES = (*OURS, "unrecorded", "eager", "published")
REFERENCE = "reference"
CHECKED = 4
"""Number of samples that are compared with the reference."""


def main(arguments: argparse.Namespace) -> None:
    """Measure every procedure at every size; print the table and write it."""
    check(arguments)
    path = arguments.output / f"attribution{f'_{arguments.sweep}' if arguments.sweep else ''}"
    rows, errors = [], []
    for size in arguments.sizes or subjects.SIZES.get(arguments.sweep, ("",)):
        found, found_errors = measured(arguments, size)
        rows += found
        errors += found_errors
    columns, error_columns = COLUMNS, ("size", "layer", *(name for name in NAMES if name != "unrecorded"))
    if not arguments.sweep:
        columns, error_columns = columns[1:], error_columns[1:]
    text = f"{about(arguments, rows)}\n\n{common.markdown(columns, rows)}"
    if errors:
        text += f"\n\nLargest relative error of each layer:\n\n{common.markdown(error_columns, errors)}"
    print(text)
    common.write_table(path, columns, rows, text)

    import drawing

    drawing.draw(rows, arguments.sweep, path)


def check(arguments: argparse.Namespace) -> None:
    """Refuse options that contradict each other, before the first process starts."""
    for option in ("rows", "repeats", "threads", "token_budget", "padding", "limit", "layers"):
        if (value := getattr(arguments, option)) is not None and value <= 0:
            raise InputError(f"--{option.replace('_', '-')} is {value}: give 1 or more.")
    if arguments.sweep == "width" and (arguments.model or arguments.architecture):
        raise InputError("--sweep width makes its own models: leave out --model and --architecture.")
    if not (arguments.sweep or arguments.model or arguments.architecture):
        raise InputError("there is nothing to measure: give --model, --architecture or --sweep.")
    if arguments.sizes and not arguments.sweep:
        raise InputError("--sizes are those of a sweep: give --sweep length or --sweep width with them.")
    if arguments.layers and not arguments.architecture:
        raise InputError("--layers are those of an --architecture: name one.")
    step = subjects.HEAD_SIZE if arguments.sweep == "width" else 2
    if wrong := [size for size in arguments.sizes or () if size < step or size % step]:
        raise InputError(f"--sizes has {wrong[0]}, but each {arguments.sweep} must be a multiple of {step}.")
    if arguments.model:
        from headpatterns.models import loading as models

        models.check_folder(arguments.model)
        positions = read_json(arguments.model / "config.json").get("max_position_embeddings")
        longest = max(arguments.sizes or subjects.SIZES["length"])
        if arguments.sweep and positions and positions < longest:
            raise InputError(f"{arguments.model} has {positions} positions, fewer than {longest}: give other --sizes.")


def about(arguments: argparse.Namespace, rows: Sequence[dict[str, Any]]) -> str:
    """A sentence about the measurement."""
    model = arguments.model or arguments.architecture or subjects.SWEPT
    weights = "" if arguments.model and not arguments.random_weights else ", random weights"
    machine = next((row["machine"] for row in rows if "machine" in row), arguments.device)
    padding = next((row["padding"] for row in rows if "padding" in row), arguments.padding or subjects.LONGEST)
    return (
        f"{model}{weights}, {arguments.dtype}, on {machine}, {arguments.threads} processor threads; "
        f"{arguments.rows} {subjects.data(arguments)}; batches of {arguments.token_budget} tokens (published: 4 "
        f"samples, padded to {padding} tokens); best and median of {arguments.repeats} turns."
    )


def measured(arguments: argparse.Namespace, size: int | str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of the table at one size, and the rows of the largest errors, one per layer."""
    alone = {}
    for name in (*NAMES, REFERENCE):
        alone[name] = in_a_process(arguments.limit, measure, arguments, size, name)
        print(f"{size} {name}: {alone[name]['status']}".strip(), file=sys.stderr, flush=True)
    fitting = [name for name in NAMES if alone[name]["status"] == MEASURED]
    together = in_a_process(None, take_turns, arguments, size, fitting) if fitting else {}
    seconds = together.get("seconds", {})
    best = {name: min(times) for name, times in seconds.items()}
    expected = alone[REFERENCE].get("values")
    rows, errors = [], {}
    for name in NAMES:
        row = {"size": size, "procedure": name, **alone[name]}
        if name in fitting and name not in best:
            row["status"] = OUT_OF_MEMORY if together["status"] == MEASURED else together["status"]
        values = row.pop("values", None)
        if expected is not None and values is not None:
            errors[name] = relative_errors(values, expected[name if name in OURS else OURS[0]])
            row["error"] = float(errors[name].max())
        rows.append(row | (speeds(row, seconds[name], best) if name in best else {}))
    layers = max(map(len, errors.values()), default=0)
    by_layer = [
        {"size": size, "layer": layer, **{name: float(found[layer]) for name, found in errors.items()}}
        for layer in range(layers)
    ]
    return rows, by_layer


def speeds(row: dict[str, Any], seconds: Sequence[float], best: dict[str, float]) -> dict[str, Any]:
    """Columns of the table from the seconds of a procedure's turns and the best times of all procedures."""
    own = best[row["procedure"]]
    found = {
        "seconds": own,
        "median_seconds": statistics.median(seconds),
        "samples_per_second": row["samples"] / own,
        "tokens_per_second": row["tokens"] / own,
    }
    if "unrecorded" in best:
        found["times_unrecorded"] = own / best["unrecorded"]
    if "published" in best:
        found["times_faster_than_published"] = best["published"] / own
    if row["bf16_peak"]:
        found["bf16_share"] = row["operations"] / own / row["bf16_peak"]
    return found


def relative_errors(values: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Largest difference between patterns [samples, layers, heads], relative to the largest of a layer: [layers]."""
    return (np.abs(values - expected).max(axis=2) / np.abs(expected).max(axis=2)).max(axis=0)


def measure(arguments: argparse.Namespace, size: int | str, name: str) -> dict[str, Any]:
    """One pass of a procedure over all samples: peak memory, and the patterns of the first samples."""
    import procedures

    from headpatterns.attribution import memory

    model, samples = subjects.prepared(arguments, size)
    batching = batching_of(arguments, model)
    chosen = samples[:CHECKED] if name == REFERENCE else samples
    held, free = procedures.held_bytes(name, model, chosen, batching), memory.free(model.device)
    if held > free:
        return {"status": f"skipped: attention takes {held / 2**30:.3g} GiB, of which {free / 2**30:.3g} are free"}
    loaded = common.peak_gib(model.device)
    if name == REFERENCE:
        return {"values": procedures.reference(model, chosen)}
    values = procedures.PROCEDURES[name](model, chosen, batching)
    return {
        "values": None if values is None else values[:CHECKED],
        "loaded_gib": loaded,
        "peak_gib": common.peak_gib(model.device),
        "samples": len(samples),
        "tokens": sum(len(sample.input_ids) for sample in samples),
        "operations": procedures.operations(model, samples),
        "bf16_peak": common.bf16_peak(model.device) if arguments.dtype != "float32" else None,
        "padding": batching.padding,
        "machine": common.machine(model.device),
    }


def take_turns(arguments: argparse.Namespace, size: int | str, names: Sequence[str]) -> dict[str, Any]:
    """Seconds of each turn of the procedures except the first; after running out of memory there are no more turns."""
    import procedures

    model, samples = subjects.prepared(arguments, size)
    batching = batching_of(arguments, model)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(1 + arguments.repeats):
        # The order changes each time, so that a procedure does not always follow the same one.
        for name in random.Random(turn).sample(list(seconds), len(seconds)):
            try:
                taken = clocked(procedures.PROCEDURES[name], model, samples, batching)
            except Exception as error:
                if not ran_out(error):
                    raise
                del seconds[name]
                continue
            if turn:
                seconds[name].append(taken)
    return {"seconds": seconds}


def batching_of(arguments: argparse.Namespace, model: "PreTrainedModel") -> "Batching":
    """How samples are batched."""
    from procedures import Batching

    return Batching(arguments.token_budget, subjects.padding(arguments, model))


def clocked(procedure: Callable[..., Any], model: "PreTrainedModel", *arguments: Any) -> float:
    """Seconds of a procedure, including its remaining work on a GPU."""
    import torch

    synchronize = torch.cuda.synchronize if model.device.type == "cuda" else lambda: None
    synchronize()
    started = time.perf_counter()
    procedure(model, *arguments)
    synchronize()
    return time.perf_counter() - started


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = made.add_mutually_exclusive_group()
    what.add_argument("--model", type=Path, help="folder of a model")
    what.add_argument("--architecture", choices=list(common.ARCHITECTURES), help="random weights of this architecture")
    made.add_argument("--random-weights", action="store_true", help="take only the architecture of the folder")
    made.add_argument("--layers", type=int, help="layers of the architecture, fewer than it has (all)")
    made.add_argument(
        "--sweep", choices=list(subjects.SIZES), help=f"grow samples or model, of the architecture {subjects.SWEPT}"
    )
    made.add_argument("--sizes", type=int, nargs="+", help="lengths or widths of the sweep (powers of two from 256)")
    made.add_argument("--rows", type=int, help="samples (60; in a sweep 4, a batch of the authors')")
    made.add_argument("--token-budget", type=int, default=8192, help="tokens of our batches, padding included (8192)")
    made.add_argument("--padding", type=int, help="tokens that the authors' procedure pads to (1024, or the positions "
                      "that the model has learnt where they are fewer)")  # fmt: skip
    made.add_argument("--device", default="cpu", help="cpu or cuda (cpu)")
    made.add_argument(
        "--dtype",
        default="float32",
        choices=["float32", "bfloat16", "float16"],
        help="number format of the model (float32)",
    )
    made.add_argument("--threads", type=int, default=1, help="processor threads (1)")
    made.add_argument("--repeats", type=int, default=3, help="measured turns (3)")
    made.add_argument(
        "--limit", type=float, default=600, help="largest number of seconds that a procedure may take (600)"
    )
    made.add_argument("--output", type=Path, default=Path("results/benchmarks"), help="folder (results/benchmarks)")
    return made


if __name__ == "__main__":
    arguments = parser().parse_args()
    if arguments.rows is None:
        arguments.rows = 4 if arguments.sweep else 60
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        main(arguments)
    except InputError as error:
        print(f"attribution.py: {error}", file=sys.stderr)
        sys.exit(2)
