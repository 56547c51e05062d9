"""Measure seconds and peak memory of ranking a large pool by activation patterns and by a loop over np.corrcoef.

    python benchmarks/selection.py [--output FILE.csv]

Everything large runs in a separate process, and its peak memory includes the interpreter, NumPy and the mapped pages of
the pool. (Linux also counts the memory of a process before it started another program, so the starting process has to
stay small.) The loop ranks a part of the pool; `ratio` compares the times per sample.
"""

import argparse
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

from headpatterns.io import write_csv
from headpatterns.studies.selection import scores as selection

COLUMNS = ("method", "samples", "seconds", "peak_mib", "loop_samples", "loop_seconds", "ratio")
LOOP_SAMPLES = {"pattern": 2000, "nearest": 50}
RSS_UNITS = 1024**2 if sys.platform == "darwin" else 1024
"""Divisor of `ru_maxrss` for MiB; it is in bytes on macOS and in KiB elsewhere."""


def main(arguments: argparse.Namespace) -> None:
    """Make a pool, measure both methods and print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        heads = (arguments.layers, arguments.heads)
        measured(make_patterns, folder / "pool.npy", (arguments.samples, *heads))
        measured(make_patterns, folder / "private.npy", (arguments.private, *heads))
        rows = [row(method, loop_samples, folder) for method, loop_samples in LOOP_SAMPLES.items()]
    print("".join(f"{column:>14}" for column in COLUMNS))
    for values in rows:
        print("".join(f"{value:>14.4g}" if isinstance(value, float) else f"{value:>14}" for value in values))
    if arguments.output:
        write_csv(arguments.output, COLUMNS, rows)


def make_patterns(path: Path, shape: tuple[int, int, int]) -> None:
    """Write patterns as uneven as real ones: float32 of `shape`, samples x layers x heads."""
    generator = np.random.default_rng(shape[0])
    np.save(path, np.exp(1.5 * generator.standard_normal(shape, dtype=np.float32)))


def row(method: str, loop_samples: int, folder: Path) -> tuple:
    """One row of the table, after a comparison of both results."""
    found, seconds, peak = measured(rank, method, folder)
    looped, loop_seconds, _ = measured(loop, method, folder, loop_samples)
    assert np.allclose(found[: len(looped)], looped, rtol=0, atol=1e-9), f"{method} differs from np.corrcoef"
    ratio = (loop_seconds / len(looped)) / (seconds / len(found))
    return method, len(found), seconds, peak, len(looped), loop_seconds, ratio


def measured(work: Callable[..., Any], *arguments: Any) -> tuple[Any, float, float]:
    """The result of `work` in a separate process, its seconds, and the peak memory of the process in MiB."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(timed, work, *arguments).result()


def timed(work: Callable[..., Any], *arguments: Any) -> tuple[Any, float, float]:
    """The same for the calling process."""
    started = time.perf_counter()
    result = work(*arguments)
    seconds = time.perf_counter() - started
    return result, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / RSS_UNITS


def rank(method: str, folder: Path) -> np.ndarray:
    """Rank the pool as in select_samples, and return the scores [samples]."""
    pool, private = (np.load(folder / name, mmap_mode="r") for name in ("pool.npy", "private.npy"))
    if method == "pattern":
        scores = selection.correlation_scores(pool, private.mean(axis=0, dtype=np.float64))
    else:
        scores = selection.nearest_scores(pool, private)
    selection.ranking(scores, [str(number) for number in range(len(pool))])
    return scores


def loop(method: str, folder: Path, samples: int) -> np.ndarray:
    """Scores of the first samples, with one call of np.corrcoef for every pair of patterns."""
    pool, private = (np.load(folder / name).astype(np.float64) for name in ("pool.npy", "private.npy"))
    references = [private.mean(axis=0)] if method == "pattern" else private
    return np.array(
        [max(np.corrcoef(one.ravel(), other.ravel())[0, 1] for other in references) for one in pool[:samples]]
    )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--samples", type=int, default=14000, help="samples of the pool (14000)")
    made.add_argument("--private", type=int, default=300, help="pseudo-private samples (300)")
    made.add_argument("--layers", type=int, default=32, help="layers of the model (32)")
    made.add_argument("--heads", type=int, default=32, help="heads of a layer (32)")
    made.add_argument("--output", type=Path, help="CSV of the table")
    return made


if __name__ == "__main__":
    main(parser().parse_args())
