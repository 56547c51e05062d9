"""Measure how much the vector instructions of a processor change the numbers of an experiment.

    python benchmarks/vector_widths.py [--cores 2] [--output docs/vector_widths.csv]

PyTorch, oneDNN and MKL choose their kernels by the processor, and kernels of another width add numbers in another
order. For each width of this processor, environment variables select it for a run of section 4 with vector_widths.yaml
(next to this file), from pretraining to the numbers. Everything else is the same: machine, threads, seeds, data.
Results are below results/widths-{width}/, and a second call continues with existing results.

Each row is a number: of Table 1, of the similarities, of the effects that claims are about, a loss, or the level of the
patterns. `spread` is the largest value minus the smallest one. If the number has an interval, `half_interval` is half
of its length, the mean over the widths, and `share` is the spread as a share of this. Below 1, the widths change a
number less than its own uncertainty.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean

import numpy as np

from headpatterns.errors import InputError
from headpatterns.io import read_csv, write_csv

PROJECT = Path(__file__).resolve().parents[1]
OVERLAYS = ("tests/config/tiny.yaml", "benchmarks/vector_widths.yaml")
WIDTHS = {
    "default": {"ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
    "avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "avx512": {"ONEDNN_MAX_CPU_ISA": "ALL", "MKL_ENABLE_INSTRUCTIONS": "AVX512"},
}
"""Values of ATEN_CPU_CAPABILITY, from the narrowest on, with the variables that limit oneDNN and MKL in the same way.
MKL needs an Intel processor for this; on others it always uses the same kernels."""

TABLES = {
    "distribution_by_model": (("model", "state", "statistic"), "value"),
    "similarity_summary": (("model", "matrix", "pairs"), "value"),
    "adaptation_effects": (("effect", "model", "about"), "estimate"),
}
"""Tables with their keys and the column that is compared."""

COLUMNS = ("table", "where", "column", *WIDTHS, "spread", "half_interval", "share")

Found = dict[tuple[str, str, str], tuple[float, float | None]]
"""Numbers with half of their interval, if they have one, by table, row and column."""


def main(arguments: argparse.Namespace) -> None:
    """Run the experiment with each width, and write and print the table."""
    found = {width: numbers(run(width, arguments.cores)) for width in widths()}
    table = list(rows(found))
    write_csv(arguments.output, COLUMNS, table)
    shares = [share for *_, share in table if isinstance(share, float)]
    print(
        f"{len(table)} numbers with {', '.join(found)}. Of the {len(shares)} with an interval, the spread is "
        f"{np.median(shares):.2g} of half of it in the median, and {max(shares):.2g} at most ({arguments.output})."
    )


def widths() -> list[str]:
    """The widths of this processor.

    Raises:
        InputError: it has only the default, so there is nothing to compare.
    """
    import torch

    widest = torch.backends.cpu.get_cpu_capability().lower()
    if widest not in WIDTHS or widest == "default":
        raise InputError(f"PyTorch knows the vector instructions {widest} here: use a processor with AVX2 or AVX512.")
    names = list(WIDTHS)
    return names[: names.index(widest) + 1]


def run(width: str, cores: int) -> Path:
    """The results of the experiment with a width; they are made if they do not exist.

    Raises:
        InputError: Snakemake fails, or PyTorch used another width than the requested one.
    """
    results = PROJECT / f"results/widths-{width}"
    targets = [str((results / f"analysis/{table}.csv").relative_to(PROJECT)) for table in TABLES]
    command = [sys.executable, "-m", "snakemake", *targets, "--cores", str(cores), "--configfile", *OVERLAYS]
    environment = {**os.environ, **WIDTHS[width], "ATEN_CPU_CAPABILITY": width}
    done = subprocess.run([*command, "--config", f"experiment=widths-{width}"], cwd=PROJECT, env=environment)
    if done.returncode:
        raise InputError(f"the experiment stopped with the width {width}: see what Snakemake says above.")
    for about in results.glob("checkpoints/*/*/run.json"):
        taken = json.loads(about.read_text(encoding="utf-8"))["cpu_capability"]
        if taken.lower() != width:
            raise InputError(f"{about} was computed with {taken} instead of {width}: remove {results}.")
    return results


def numbers(results: Path) -> Found:
    """The numbers of an experiment that are compared."""
    found: Found = {}
    for table, (keys, column) in TABLES.items():
        for row in read_csv(results / f"analysis/{table}.csv", (*keys, column, "low", "high")):
            half = (float(row["high"]) - float(row["low"])) / 2
            where = ";".join(f"{key}={row[key]}" for key in keys)
            found[table, where, column] = (float(row[column]), half)
    for task, losses in last_losses(results).items():
        found["training", f"task={task}", "last_loss"] = (fmean(losses), None)
    for state, patterns in levels(results).items():
        found["patterns", f"state={state}", "mean_level"] = (float(patterns.mean()), None)
    return found


def last_losses(results: Path) -> dict[str, list[float]]:
    """The final losses of the runs of each task."""
    found: dict[str, list[float]] = {}
    for path in sorted(results.glob("checkpoints/*/nlp.*/training.csv")):
        found.setdefault(path.parent.name.split(".")[1], []).append(float(read_csv(path, ("loss",))[-1]["loss"]))
    return found


def levels(results: Path) -> dict[str, np.ndarray]:
    """Patterns before and after all runs, [runs, layers, heads]."""
    before = sorted(results.glob("patterns/*/nlp.*/*/step-0.npy"))
    after = [max(path.parent.glob("step-*[0-9].npy"), key=lambda one: int(one.stem.split("-")[1])) for path in before]
    return {
        "before": np.array([np.load(path) for path in before]),
        "after": np.array([np.load(path) for path in after]),
    }


def rows(found: Mapping[str, Found]) -> Iterator[tuple[object, ...]]:
    """Rows of `COLUMNS`; a width that the processor lacks has empty cells."""
    for key in next(iter(found.values())):
        values = {width: numbers_of[key][0] for width, numbers_of in found.items()}
        halves = [half for half in (numbers_of[key][1] for numbers_of in found.values()) if half]
        spread = max(values.values()) - min(values.values())
        half = fmean(halves) if halves else ""
        share = spread / half if isinstance(half, float) else ""
        yield (*key, *(values.get(width, "") for width in WIDTHS), spread, half, share)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", type=int, default=2, help="processor cores for Snakemake")
    parser.add_argument("--output", type=Path, default=PROJECT / "docs/vector_widths.csv", help="CSV")
    try:
        main(parser.parse_args())
    except InputError as error:
        sys.exit(str(error))
