"""The table of tests/gpu/check.py: what passed, failed, was skipped or was measured, as JSON and Markdown."""

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from headpatterns.io import read_csv, read_json, write_json, write_text

PASSED, FAILED, SKIPPED, MEASURED = "passed", "failed", "skipped", "measured"
COLUMNS = ("part", "what", "outcome", "value", "limit", "unit", "note")

TABLE = "check.json"

OURS = ("abs_of_sum", "abs_per_position", "sum_of_abs")
"""Procedures of benchmarks/attribution.py that must be measured and correct; results of others are only recorded."""

SHARE = "of the peak"
"""The unit of a share of the bf16 peak that a data sheet states."""

ATTRIBUTION_UNITS = {
    "seconds": "s", "samples_per_second": "samples/s", "tokens_per_second": "tokens/s", "times_unrecorded": "times",
    "times_faster_than_published": "times", "peak_gib": "GiB", "bf16_share": SHARE,
}  # fmt: skip
FINETUNING_UNITS = {
    "seconds": "s", "tokens_per_second": "tokens/s", "ratio": "times", "peak_gib": "GiB", "bf16_share": SHARE,
}  # fmt: skip

PRODUCTS = "bfloat16 matrix products"
"""The fastest operations on a device; kernels.py measures them."""


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        part: the part of the check.
        what: what was checked or measured.
        outcome: PASSED, FAILED, SKIPPED or MEASURED.
        value: the number found, None if there is none.
        limit: the largest value that passes.
        unit: the unit of value and limit; relative numbers have none.
        note: a reason, or the place of the value.
    """

    part: str
    what: str
    outcome: str
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    note: str = ""


def held(part: str, what: str, value: float, limit: float, unit: str = "", note: str = "") -> Row:
    """Compare a number with its limit. NaN and infinity fail; the row has None instead, because JSON lacks them."""
    finite = math.isfinite(value)
    passed = finite and value <= limit
    note = ", ".join(filter(None, [note, "" if finite else str(value)]))
    return Row(part, what, PASSED if passed else FAILED, value if finite else None, limit, unit, note)


def attribution_rows(part: str, path: Path, tolerance: float) -> list[Row]:
    """The table of benchmarks/attribution.py: our procedures must be measured, with errors of at most `tolerance`."""
    rows = []
    for found in read_csv(path, ("procedure", "status", "error", *ATTRIBUTION_UNITS)):
        name = found["procedure"]
        rows += _speeds(part, name, found, ATTRIBUTION_UNITS, name in (*OURS, "unrecorded"))
        if name in OURS and found["status"] == MEASURED:
            error = float(found["error"] or "nan")
            rows.append(held(part, f"{name}: error against eager attention", error, tolerance))
    return rows


def finetuning_rows(part: str, path: Path) -> list[Row]:
    """The table of benchmarks/finetuning.py: every trainer must be measured."""
    rows = []
    for found in read_csv(path, ("trainer", "padding_free", "status", *FINETUNING_UNITS)):
        name = f"{found['trainer']}{', padding-free' if found['padding_free'].lower() == 'true' else ''}"
        rows += _speeds(part, name, found, FINETUNING_UNITS, needed=True)
    return rows


def _speeds(part: str, name: str, found: Mapping[str, str], units: Mapping[str, str], needed: bool) -> list[Row]:
    """A row for each number of a benchmark's row, or one that says why there is none."""
    if found["status"] != MEASURED:
        return [Row(part, name, FAILED if needed else SKIPPED, note=found["status"])]
    return [
        Row(part, f"{name}: {column.replace('_', ' ')}", MEASURED, float(found[column]), unit=unit)
        for column, unit in units.items()
        if found[column]
    ]


def scaled_rows(part: str, path: Path, times: float, layers: int) -> list[Row]:
    """The rows of `finetuning_rows`, and the tokens per second of a model with all layers at that share of the peak.

    Args:
        part: the part of the check.
        path: the table of a model with fewer layers.
        times: operations per token of the model with all layers, divided by those of the measured model.
        layers: the number of all layers.
    """
    rows = finetuning_rows(part, path)
    ending = ": tokens per second"
    estimates = [
        Row(
            part,
            f"{row.what}, {layers} layers",
            MEASURED,
            row.value / times,
            unit=row.unit,
            note="scaled by operations",
        )
        for row in rows
        if row.what.endswith(ending) and row.value
    ]
    return rows + estimates


def of_measured_peak(rows: Sequence[Row]) -> list[Row]:
    """For each share of the data sheet's peak, the share of the peak that matrix products reach on this device."""
    reached = next((row.value for row in rows if row.what.startswith(PRODUCTS) and row.unit == SHARE), None)
    return [
        replace(row, what=f"{row.what}, of the measured peak", value=row.value / reached)
        for row in rows
        if reached and row.value and row.unit == SHARE and not row.what.startswith(PRODUCTS)
    ]


def script_rows(part: str, path: Path) -> list[Row]:
    """The rows that a script of this folder has written with `write_rows`."""
    return [Row(**{**found, "part": part}) for found in read_json(path)]


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows for `script_rows`."""
    write_json(path, [asdict(row) for row in rows])


def failed(rows: Sequence[Row]) -> bool:
    """Whether any row failed; a table without rows is also a failure."""
    return not rows or any(row.outcome == FAILED for row in rows)


def markdown(rows: Sequence[Row]) -> str:
    """The table in Markdown, with failures first and numbers with three digits."""
    order = (FAILED, PASSED, SKIPPED, MEASURED)
    lines = [_line(COLUMNS), _line(["---"] * len(COLUMNS))]
    lines += [
        _line([_cell(getattr(row, column)) for column in COLUMNS])
        for row in sorted(rows, key=lambda row: order.index(row.outcome))
    ]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def write(folder: Path, about: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """Write check.json and check.md; returns the text of check.md.

    Args:
        folder: created if it does not exist.
        about: the `machine`, which becomes the heading, and other facts about the check, in words.
        rows: the rows in the order in which they were found.
    """
    counts = {outcome: sum(row.outcome == outcome for row in rows) for outcome in (PASSED, FAILED, SKIPPED, MEASURED)}
    write_json(folder / TABLE, {**about, "counts": counts, "rows": [asdict(row) for row in rows]})
    head = [
        *(f"{key}: {value}" for key, value in about.items() if key != "machine"),
        ", ".join(f"{n} {word}" for word, n in counts.items()),
    ]
    text = f"## {about['machine']}\n\n" + "\n".join(f"- {line}" for line in head) + f"\n\n{markdown(rows)}\n"
    write_text(folder / "check.md", text)
    return text


def parser(description: str | None, small: str) -> argparse.ArgumentParser:
    """The command line of a part that is a separate script; `small` says what --small changes."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    made.add_argument("--small", action="store_true", help=small)
    made.add_argument("--result", type=Path, required=True, help="where the rows are written")
    return made
