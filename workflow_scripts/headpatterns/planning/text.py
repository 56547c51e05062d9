"""Tables in Markdown that are readable as plain text, and their numbers."""

from collections.abc import Iterable, Sequence
from typing import Any


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]], texts: int = 1) -> str:
    """A Markdown table whose first columns, as many as `texts`, are text; the others are aligned to the right."""
    from tabulate import tabulate

    alignment = ["left"] * texts + ["right"] * (len(headers) - texts)
    made: str = tabulate(list(rows), headers, tablefmt="pipe", disable_numparse=True, colalign=alignment)
    return made


def duration(hours: float) -> str:
    """A time for a reader."""
    for unit, scale in (("h", 1), ("min", 60)):
        if hours * scale >= 1:
            return f"{hours * scale:,.1f} {unit}"
    return f"{hours * 3600:.0f} s"


def hours(value: float) -> str:
    """Hours of GPUs or processors for a reader."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def gigabytes(size: float) -> str:
    """Bytes for a reader."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size / 1e6:.0f} MB"
