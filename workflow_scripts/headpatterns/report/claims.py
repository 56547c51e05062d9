"""The claims on the report's page: the paper's value next to ours, and the verdict with its basis."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from headpatterns.errors import InputError
from headpatterns.presentation import style
from headpatterns.presentation.elements import estimate
from headpatterns.presentation.inputs import ALL_MODELS, RunTable, read_table

TEXT = (
    *("claim", "section", "where", "statement", "computed", "model", "about", "unit", "varies", "held", "learnt"),
    *("verdict", "reason"),
)
NUMBERS = ("paper", "estimate", "low", "high", "smallest", "p_adjusted", "power", "paper_power")
LEFT_OUT = ("claim", "where", "statement", "reason")
VERDICTS = {
    "holds": "✓ holds",
    "reversed": "✗ reversed",
    "negligible": "≈ negligible",
    "undecided": "? undecided",
    "not testable": "– not testable",
}
BEYOND = "beyond"
"""The name in a registry of the section of claims about questions that the paper leaves open."""

COUNTED = {
    "holds": ("holds", "hold"),
    "reversed": ("is reversed", "are reversed"),
    "negligible": ("is negligible", "are negligible"),
    "undecided": ("is undecided", "are undecided"),
    "not testable": ("is not testable", "are not testable"),
}
"""Words of the tally for one number and for several."""


@dataclass(frozen=True)
class Shown:
    """The contents for the template.

    Attributes:
        sections: of the paper, each with its claims; a claim has one line per number.
        tally: how many of the numbers have which verdict, as a sentence; empty if there are none.
        left_out: claims that are not about this experiment, with the reason.
    """

    sections: list[dict[str, Any]]
    tally: str
    left_out: list[dict[str, str]]


def shown(claims: Path, left_out: Path, runs: RunTable, anchors: Mapping[str, str]) -> Shown:
    """Claims in the order of the file, by section of the paper.

    Args:
        claims: claims.csv.
        left_out: claims_left_out.csv.
        runs: labels of models.
        anchors: the anchor on the page of a table or figure of the paper, by its title in lower case.

    Raises:
        InputError: a file cannot be used, or a verdict is not in `VERDICTS`.
    """
    rows = read_table(claims, TEXT, NUMBERS, may_be_empty=True)
    if unknown := [row for row in rows.to_dict("records") if row["verdict"] not in VERDICTS]:
        raise InputError(
            f"The claim {unknown[0]['claim']!r} has the verdict {unknown[0]['verdict']!r}: "
            f"it must be one of {', '.join(VERDICTS)}."
        )
    sections = []
    for section, found in rows.groupby("section", sort=False):
        groups = [group(of_claim, runs, anchors) for _, of_claim in found.groupby("claim", sort=False)]
        sections.append({"section": str(section), "title": title(str(section)), "claims": groups})
    missing = read_table(left_out, LEFT_OUT, may_be_empty=True).to_dict("records")
    return Shown(sections, tally(rows), [{str(key): str(value) for key, value in row.items()} for row in missing])


def title(section: str) -> str:
    """The heading of a section's claims."""
    return "Beyond the paper" if section == BEYOND else f"Section {section} of the paper"


def group(rows: pd.DataFrame, runs: RunTable, anchors: Mapping[str, str]) -> dict[str, Any]:
    """One claim with a line for each number."""
    first = rows.iloc[0]
    where = str(first["where"])
    return {
        "id": str(first["claim"]),
        "where": where,
        "anchor": anchors.get(where.lower(), anchors.get(where.lower().split(",")[0])),
        "statement": str(first["statement"]),
        "computed": str(first["computed"]),
        "unit": str(first["unit"]),
        "lines": [line(row, runs) for row in rows.to_dict("records")],
    }


def line(row: Mapping[Any, Any], runs: RunTable) -> dict[str, str]:
    """One number of a claim, as texts."""
    model = runs.model_label(row["model"]) if row["model"] else ALL_MODELS
    return {
        "model": runs.model_label(row["model"]) if row["model"] else "",
        "of": row["about"],
        "power": percent(row["power"]) if row["verdict"] == "undecided" else "",
        "about": ", ".join(filter(None, [model, row["about"]])),
        "paper": number(row["paper"]),
        "value": estimate(row["estimate"], row["low"], row["high"]),
        "smallest": number(row["smallest"]),
        "varies": row["varies"] or "nothing",
        "held": row["held"],
        "verdict": row["verdict"].replace(" ", "-"),
        "shown": VERDICTS[row["verdict"]],
        "notes": "; ".join(notes(row)),
    }


def notes(row: Mapping[Any, Any]) -> Iterator[str]:
    """Notes below a verdict: its certainty, the power if it is undecided, and missing sources of variation."""
    if math.isfinite(row["p_adjusted"]):
        yield f"p = {style.number(row['p_adjusted'])}"
    if row["verdict"] == "undecided" and math.isfinite(row["power"]):
        yield f"power {percent(row['power'])}"
    if math.isfinite(row["paper_power"]):
        yield f"power of the paper's comparison {percent(row['paper_power'])}"
    if row["reason"]:
        yield row["reason"]
    if row["learnt"] and row["verdict"] != "not testable":
        yield f"learnt {row['learnt']}"


def number(value: float) -> str:
    """Three significant digits, or a dash without a number."""
    return estimate(value, math.nan, math.nan)


def percent(share: float) -> str:
    """A share as a percentage; empty if there is none."""
    if not math.isfinite(share):
        return ""
    if share < 0.01:
        return "below 1 %"
    return "above 99 %" if share > 0.99 else f"{100 * share:.0f} %"


def tally(rows: pd.DataFrame) -> str:
    """How many numbers have which verdict, as a sentence; empty if there are none."""
    counts = {verdict: int((rows["verdict"] == verdict).sum()) for verdict in VERDICTS} if len(rows) else {}
    parts = [f"{count} {COUNTED[verdict][count != 1]}" for verdict, count in counts.items()]
    checks = "check" if len(rows) == 1 else "checks"
    return f"Of {len(rows)} {checks}, {', '.join(parts[:-1])} and {parts[-1]}." if parts else ""
