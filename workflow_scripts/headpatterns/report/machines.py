"""A note if quoted numbers come from another machine than a run: how much vector instructions alone change them.

benchmarks/vector_widths.py measured docs/vector_widths.csv on one machine. It has a row for each number, with its
`spread` over the widths and `share`, the spread as a share of half of the number's interval.
"""

from pathlib import Path
from statistics import median
from typing import Any

from headpatterns.io import read_csv, read_json


def computed_on(provenance: Path) -> tuple[str, ...]:
    """Processor, vector instructions and PyTorch of an experiment's fine-tuning; empty if they are not recorded."""
    content: dict[str, Any] = read_json(provenance)
    runs, machine, versions = (content.get(key, {}) for key in ("fine-tuned", "machine", "versions"))
    torch = f"PyTorch {versions['torch']}" if "torch" in versions else ""
    return runs.get("processor") or machine.get("processor", ""), runs.get("cpu_capability", ""), torch


def shares(widths: Path) -> list[float]:
    """The change of each number by vector instructions, as a share of half of its interval, if it has one.

    Raises:
        InputError: the table lacks the column.
    """
    return [float(row["share"]) for row in read_csv(widths, ("share",)) if row["share"]]


def sentence(published: Path, here: Path, widths: Path) -> str:
    """The note about quoted numbers that were computed on another machine; empty if they were not.

    Args:
        published: provenance of the run that the documents quote.
        here: provenance of the run that they are compared with.
        widths: docs/vector_widths.csv.
    """
    there, now = computed_on(published), computed_on(here)
    if all(one == other for one, other in zip(there, now, strict=True) if one and other):
        return ""
    measured = shares(widths)
    return (
        f"The published numbers are from {', '.join(filter(None, there))}; this run is from "
        f"{', '.join(filter(None, now))}. In a measurement of {len(measured)} numbers of an experiment, other "
        f"vector instructions alone changed them by a median of {median(measured):.2g} times half of their "
        f"interval. The largest change was {max(measured):.2g} times half of it ({widths})."
    )
