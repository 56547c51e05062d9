"""The recorded numbers of the smallest experiment, and how those of another run compare with them.

tests/golden/ holds the tables that tests/config/tiny.yaml writes to analysis/, without times. machine.json names the
machine type that computed them. On that type, every number must be the same within a millionth. Another processor or
another PyTorch rounds differently in training, so all later numbers differ. There, the tables must have the same
columns and the same number of rows, and the rows must be about the same things.

If numbers are meant to change, renew the golden files from a finished run, and say why in the commit:

    snakemake all --cores 2 --configfile tests/config/tiny.yaml
    python tests/support/golden.py --renew results/tiny
"""

import argparse
import csv
import json
import math
import platform
import re
from itertools import zip_longest
from pathlib import Path

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
RELATIVE, ABSOLUTE = 1e-6, 1e-9
"""How far a number may be from the golden one; the second is for values near 0, because tables hold ten digits."""

TIMED_FILES = frozenset({"timings.csv"})
TIMED_COLUMNS = frozenset({"seconds"})

KEYS = frozenset(
    [
        *("study", "model", "model_label", "group", "task", "task_a", "task_b", "terms", "size", "complex", "seed"),
        *("tokenizer", "dataset", "split", "run", "state", "step", "layer", "head", "statistic", "matrix"),
        *("set", "items", "domain", "domain_label", "measure", "variant", "draw", "budget", "better", "worse"),
        *("phase", "reduction", "reduction_a", "reduction_b", "change", "over", "contrast", "ranking", "k"),
        *("score", "ablation", "dose", "differ_in", "read_at", "other_group", "other_task", "other_seed"),
        *("trained_on", "direction", "similarity", "design"),
        *("claim", "where"),
    ]
)
"""Columns that say what a row is about. They come from the config, and so are the same on every machine."""

VECTOR_INSTRUCTIONS = frozenset({"avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile"})
"""Flags of a processor by which numerical libraries choose their kernels."""

Table = list[list[str]]
"""A header and rows of cells."""


def machine_type() -> dict[str, str]:
    """What decides how sums are rounded: the processor, the instructions that PyTorch uses, and library versions."""
    import numpy as np
    import torch

    about = _processor()
    return {
        "architecture": platform.machine(),
        "processor": " ".join(
            [
                about.get("vendor_id", ""),
                about.get("cpu family", ""),
                about.get("model", ""),
                about.get("model name", ""),
            ]
        ).strip(),
        "instructions": " ".join(sorted(VECTOR_INSTRUCTIONS & set(about.get("flags", "").split()))),
        "aten": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def _processor() -> dict[str, str]:
    """What Linux reports about the first processor; empty on other systems."""
    told = Path("/proc/cpuinfo")
    if not told.is_file():
        return {}
    first = told.read_text(encoding="utf-8").split("\n\n")[0]
    return dict(re.findall(r"^([^\t:]+)\s*: (.*)$", first, re.MULTILINE))


def is_golden_machine(golden: Path = GOLDEN) -> bool:
    """Whether this machine is of the type that the golden files were made on."""
    return bool(json.loads((golden / "machine.json").read_text(encoding="utf-8")) == machine_type())


def tables(folder: Path) -> dict[str, Table]:
    """The tables in a folder by file name, without times."""
    return {path.name: _read(path) for path in sorted(folder.glob("*.csv")) if path.name not in TIMED_FILES}


def _read(path: Path) -> Table:
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    kept = [place for place, name in enumerate(header) if name not in TIMED_COLUMNS]
    return [[row[place] for place in kept] for row in [header, *rows]]


def differences(expected: dict[str, Table], made: dict[str, Table], exact: bool) -> list[str]:
    """Say where tables differ from the expected ones, file by file; empty if they do not differ.

    Args:
        expected: the golden tables.
        made: the tables of another run.
        exact: whether to compare every cell, with numbers within `RELATIVE` or `ABSOLUTE`. If not, only the columns,
            the number of rows and the cells of `KEYS` are compared.
    """
    found = [f"{name} is missing" for name in expected.keys() - made.keys()]
    found += [f"{name} is new" for name in made.keys() - expected.keys()]
    for name in sorted(expected.keys() & made.keys()):
        found += [f"{name}, {said}" for said in _table_differences(expected[name], made[name], exact)]
    return found


def _table_differences(expected: Table, made: Table, exact: bool) -> list[str]:
    header, *rows = expected
    if made[0] != header:
        return [f"columns: {made[0]} instead of {header}"]
    if len(made) != len(expected):
        return [f"{len(made) - 1} rows instead of {len(rows)}"]
    compared = [place for place, name in enumerate(header) if exact or name in KEYS]
    return [
        f"row {number}, {header[place]}: {other[place]} instead of {row[place]}"
        for number, (row, other) in enumerate(zip_longest(rows, made[1:]), start=1)
        for place in compared
        if not _same(row[place], other[place])
    ]


def _same(expected: str, made: str) -> bool:
    """Whether two cells are equal as text, or as numbers within the tolerances."""
    if expected == made:
        return True
    try:
        return math.isclose(float(expected), float(made), rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    except ValueError:
        return False


def renew(results: Path, golden: Path = GOLDEN) -> None:
    """Replace the golden files by the tables of a finished run of tests/config/tiny.yaml and this machine's type."""
    found = tables(results / "analysis")
    if not found:
        raise SystemExit(f"{results}/analysis holds no table: run the experiment tests/config/tiny.yaml first.")
    golden.mkdir(exist_ok=True)
    for old in golden.glob("*.csv"):
        old.unlink()
    for name, rows in found.items():
        with (golden / name).open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
    (golden / "machine.json").write_text(json.dumps(machine_type(), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Renew tests/golden/ from a finished run of tests/config/tiny.yaml.")
    parser.add_argument("--renew", type=Path, required=True, metavar="RESULTS", help="its folder, results/tiny")
    renew(parser.parse_args().renew)
