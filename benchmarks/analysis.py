"""Measure seconds and peak memory of the analyses of patterns, for one model of the largest expected size.

    python benchmarks/analysis.py [--samples 1000] [--resamples 1000] [--steps 2] [--output FILE.csv]

Patterns are random. Each analysis runs in a separate process, and its peak memory includes the interpreter, NumPy and
SciPy. (Linux also counts the memory of a process before it started another program, so the starting process has to stay
small.) `processor_seconds` is the time on one core of a machine without other work. `all` is the sum of the seconds and
the largest of the peaks.
"""

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from headpatterns.experiment import run_table
from headpatterns.experiment.study import load
from headpatterns.io import write_csv
from headpatterns.studies import effects
from headpatterns.studies.reading import Reading

COLUMNS = ("analysis", "seconds", "processor_seconds", "peak_mib")
COMPUTE = {
    "distribution": "headpatterns.studies.adaptation.distribution:compute",
    "similarity": "headpatterns.studies.adaptation.similarity:compute",
    "composition": "headpatterns.studies.composition.analysis:compute",
    "dynamics": "headpatterns.studies.dynamics.analysis:compute",
    "level": "headpatterns.studies.dynamics.level:compute",
}
MEASURE = {
    "adaptation_effects": "headpatterns.studies.adaptation.effects:measure",
    "composition_effects": "headpatterns.studies.composition.effects:measure",
    "dynamics_effects": "headpatterns.studies.dynamics.effects:measure",
}
SETTINGS: dict[str, dict[str, Any]] = {
    "composition": {"permutations": 1000, "reading": {}},
    "composition_effects": {"expected_pairs": {"group": ["task0", "task1"]}, "reading": Reading()},
}
"""Arguments of some analyses in addition to the run table, resamples and seed."""
BEFORE_AND_AFTER = ("distribution", "similarity", "composition", "adaptation_effects", "composition_effects")
FAMILIES = ("maths and code", "text reasoning")
RSS_UNITS = 1024**2 if sys.platform == "darwin" else 1024
"""Divisor of `ru_maxrss` for MiB; it is in bytes on macOS and in KiB elsewhere."""


def main(arguments: argparse.Namespace) -> None:
    """Make patterns, run every analysis on them and print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measured(make_runs, folder, arguments)
        chosen = [*COMPUTE, *MEASURE] if arguments.steps > 2 else BEFORE_AND_AFTER
        rows = [(analysis, *measured(run, analysis, folder, arguments.resamples)) for analysis in chosen]
    seconds, processor, peaks = zip(*(row[1:] for row in rows), strict=True)
    rows.append(("all", sum(seconds), sum(processor), max(peaks)))
    print("".join(f"{column:>20}" for column in COLUMNS))
    for analysis, *values in rows:
        print(f"{analysis:>20}" + "".join(f"{value:>20.1f}" for value in values))
    if arguments.output:
        write_csv(arguments.output, COLUMNS, rows)


def make_runs(folder: Path, arguments: argparse.Namespace) -> None:
    """Write the patterns of every task and seed, and the run table; heads differ between steps, and the loss falls."""
    generator = np.random.default_rng(0)
    heads = (arguments.layers, arguments.heads)
    ids = [f"sample{number}" for number in range(arguments.samples)]
    rows = []
    for task in range(arguments.tasks):
        for seed in range(arguments.seeds):
            place = folder / f"task{task}.seed{seed}"
            place.mkdir()
            for step in range(arguments.steps):
                size = np.exp(generator.standard_normal(heads, dtype=np.float32)) / (1 + step)
                noise = generator.standard_normal((arguments.samples, *heads), dtype=np.float32)
                np.save(place / f"step-{step}.samples.npy", size * (0.3 + noise))
                about = {"reduction": "abs_of_sum", "also": [], "signed": ["abs_of_sum"], "ids": ids,
                         "losses": (generator.gamma(4, size=arguments.samples) / (1 + step)).tolist(),
                         "response_tokens": generator.integers(1, 200, arguments.samples).tolist()}  # fmt: skip
                (place / f"step-{step}.json").write_text(json.dumps(about), encoding="utf-8")
            role = "complex" if task == arguments.tasks - 1 else "basic"
            names = (f"task{task}", f"Task {task}", FAMILIES[task % 2], role, seed, place.name, place)
            rows += [(study, "group", "model", "Model", *names) for study in ("adaptation", "composition", "dynamics")]
    write_csv(folder / "runs.csv", run_table.COLUMNS, rows)


def run(analysis: str, folder: Path, resamples: int) -> None:
    """Run an analysis and write its tables."""
    given = {"runs": folder / "runs.csv", "resamples": resamples, "seed": 0, **SETTINGS.get(analysis, {})}
    if analysis in MEASURE:
        write_csv(folder / f"{analysis}.csv", effects.COLUMNS, effects.rows(load(MEASURE[analysis])(**given)))
        return
    for name, table in load(COMPUTE[analysis])(**given).items():
        write_csv(folder / f"{analysis}-{name}.csv", table.columns, table.rows)


def measured(work: Callable[..., None], *arguments: Any) -> tuple[float, float, float]:
    """Seconds, processor seconds, and peak MiB of a function in a separate process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        return executor.submit(clocked, work, *arguments).result()


def clocked(work: Callable[..., None], *arguments: Any) -> tuple[float, float, float]:
    """The same for the calling process."""
    starts = time.perf_counter(), time.process_time()
    work(*arguments)
    seconds, processor = time.perf_counter() - starts[0], time.process_time() - starts[1]
    return seconds, processor, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / RSS_UNITS


def parser() -> argparse.ArgumentParser:
    """Arguments of the command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tasks", type=int, default=7, help="tasks, half of them in one family and half in another")
    p.add_argument("--seeds", type=int, default=3)
    p.add_argument("--samples", type=int, default=1000, help="samples of each probe set")
    p.add_argument("--layers", type=int, default=32)
    p.add_argument("--heads", type=int, default=32)
    p.add_argument("--steps", type=int, default=2, help="saved steps; with more than 2 the dynamics study runs as well")
    p.add_argument("--resamples", type=int, default=1000)
    p.add_argument("--output", type=Path, help="also write the table as CSV")
    return p


if __name__ == "__main__":
    main(parser().parse_args())
