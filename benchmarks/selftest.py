"""Measure the seconds to load a model, and the seconds of the test whether a batch changes the patterns of a sample.

    python benchmarks/selftest.py [--architectures NAME …] [--dtypes float32 bfloat16] [--folder FOLDER] [--output FILE]

Models have random weights in published shapes. Each is saved, and loaded in a separate process, which then runs the two
tests: of losses and patterns, as in `extract_patterns.py`, and of logits, as in training and evaluation. Both run only
the first layers of every kind, except in mixtures of experts. The weights have just been written and are still in
memory; loading from a disk takes longer. `share` is the time of the test of patterns over that of loading. Processor
seconds are valid even if other programs use the machine.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
from alone import in_a_process

COLUMNS = (
    "architecture", "parameters", "dtype", "threads", "loading_seconds", "patterns_seconds", "logits_seconds", "share",
    "loading_core_seconds", "patterns_core_seconds", "logits_core_seconds",
)  # fmt: skip


def main(arguments: argparse.Namespace) -> None:
    """Make and measure the models one after the other, and print the table."""
    rows = []
    for name in arguments.architectures:
        for dtype in arguments.dtypes:
            with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
                made = in_a_process(None, save, name, dtype, folder)
                found = in_a_process(None, seconds, folder, dtype, arguments.threads, arguments.repeats)
            rows.append({"architecture": name, "dtype": dtype, "threads": arguments.threads, **made, **found})
    text = common.markdown(COLUMNS, rows)
    print(text)
    if arguments.output:
        common.write_table(arguments.output, COLUMNS, rows, text)


def save(name: str, dtype: str, folder: str) -> dict[str, Any]:
    """Write a model with random weights."""
    from transformers import AutoConfig

    model = common.random_model(AutoConfig.for_model(**common.ARCHITECTURES[name]), dtype, "cpu")
    model.save_pretrained(folder)
    return {"parameters": f"{model.num_parameters():,}"}


def seconds(folder: str, dtype: str, threads: int, repeats: int) -> dict[str, float]:
    """Seconds and processor seconds of loading and of the tests; each repeat loads again, and the best one counts."""
    from headpatterns.attribution import extraction
    from headpatterns.models import independence
    from headpatterns.models import loading as models

    models.compute_on("cpu", threads)
    taken: dict[str, list[float]] = defaultdict(list)

    def timed(name: str, work: Callable[..., Any], *given: Any) -> Any:
        wall, core = time.perf_counter(), time.process_time()
        found = work(*given)
        taken[f"{name}_seconds"].append(time.perf_counter() - wall)
        taken[f"{name}_core_seconds"].append(time.process_time() - core)
        return found

    for _ in range(repeats):
        model = timed("loading", models.load_model, folder, dtype)
        for name, test in (("patterns", extraction.depends_on_batch), ("logits", independence.logits_depend)):
            if timed(name, test, model):
                raise AssertionError(f"the {name} of a Llama depend on what shares its batch")
        del model
    best = {name: min(times) for name, times in taken.items()}
    return {**best, "share": best["patterns_seconds"] / best["loading_seconds"]}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--architectures", nargs="+", choices=common.ARCHITECTURES, default=["tinyllama-1.1b"],
                      help="shapes of the models (tinyllama-1.1b)")  # fmt: skip
    made.add_argument("--dtypes", nargs="+", choices=("float32", "bfloat16"), default=["float32", "bfloat16"],
                      help="number formats of the weights (both)")  # fmt: skip
    made.add_argument("--threads", type=int, default=2, help="threads of torch (2)")
    made.add_argument("--repeats", type=int, default=3, help="how often each is measured; the best counts (3)")
    made.add_argument(
        "--folder", type=Path, help="folder of the models while they are measured, 5 GB (the temporary folder)"
    )
    made.add_argument("--output", type=Path, help="file of the table; CSV and Markdown are written")
    return made


if __name__ == "__main__":
    main(parser().parse_args())
