"""The paper's statements of sections 4 and 5, held against the numbers of the analysis.

Each statement is turned into a number with an interval and a value that would refute it. The verdict is `holds` when
the whole interval lies on the side of the statement, `fails` when it lies wholly on the other, and `undecided` when it
does not exclude either or does not exist. The intervals are the analysis's 95 % bootstrap intervals, over probe samples
or, for the accuracies of Tables 2 and 3, over the items of the evaluation sets, paired between what is compared: they
cover neither training seeds nor random draws, whose means are compared. Where a number is put together from intervals
that were made one by one, the ends that favour the statement least and most are combined: such an interval is wider
than a joint one, and a verdict of `undecided` more likely.
"""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

Interval = tuple[float, float, float]
"""Estimate, lower and upper end."""


class Claim(NamedTuple):
    """A row of claims.csv: a statement held against one number of one model."""

    claim: str
    where: str
    statement: str
    model: str
    value: float
    low: float
    high: float
    verdict: str


COLUMNS = Claim._fields


def verdict(low: float, high: float, bound: float, above: bool) -> str:
    """`holds`, `fails` or `undecided` for the statement that a value is above (or below) a bound."""
    if low > bound:
        return "holds" if above else "fails"
    if high < bound:
        return "fails" if above else "holds"
    return "undecided"


def gains(
    where: str, statements: Mapping[tuple[str, str], tuple[str, str]], rows: Iterable[tuple[Mapping[str, str], str]]
) -> list[Claim]:
    """Claims about differences in accuracy, which should be above 0.

    Args:
        where: the table of the paper.
        statements: name and words of a claim, by what should be better and what worse.
        rows: rows of a table of differences, each with what it was taken of.
    """
    claims: list[Claim] = []
    for row, taken_of in rows:
        if (row["better"], row["worse"]) in statements:
            claim, statement = statements[row["better"], row["worse"]]
            statement = f"{statement} ({taken_of}difference in accuracy)."
            claims.append(judged(claim, where, statement, row["model"], interval_of(row), bound=0, above=True))
    return claims


def interval_of(row: Mapping[str, str]) -> Interval:
    """Estimate and interval of a row of a table."""
    return float(row["value"]), float(row["low"]), float(row["high"])


def judged(claim: str, where: str, statement: str, model: str, interval: Interval, bound: float, above: bool) -> Claim:
    """A claim that a value is above (or below) a bound; what is not finite is undefined and leaves it undecided."""
    value, low, high = (float(end) if math.isfinite(end) else math.nan for end in interval)
    return Claim(claim, where, statement, model, value, low, high, verdict(low, high, bound, above))
