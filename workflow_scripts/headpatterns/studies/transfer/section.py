"""The report's section on transfer: does similarity predict what training on one task does for another?"""

from pathlib import Path

import pandas as pd

from headpatterns.presentation import style
from headpatterns.presentation.elements import figure, grid_tables, plain_table
from headpatterns.presentation.inputs import RunTable, read_table
from headpatterns.presentation.results import Results
from headpatterns.presentation.sections import Section, render
from headpatterns.statistics.mantel import SPEARMAN, SYMMETRISED
from headpatterns.statistics.verdicts import ALPHA
from headpatterns.studies.transfer.figure import ALL, TRANSFER_TEXT
from headpatterns.studies.transfer.table import MATRICES, NUMBERS, grids

HERE = Path(__file__).parent
TITLE = "Does similarity predict transfer?"
TEXT = ("model", "model_label", "matrix", "design", "statistic", "shared")


def section(results: Results) -> list[Section]:
    """Sentences with the findings, the figure, the tables, and every gain.

    Raises:
        InputError: a file is missing or faulty.
    """
    path = results.table("transfer")
    rows = read_table(path, TEXT, NUMBERS)
    gains = read_table(results.analysis("transfer"), TRANSFER_TEXT, ("gain", "low", "high"))
    shown = grids(rows)
    body = render(
        "section.html.j2",
        __package__,
        findings=[*helped(gains[gains["seed"] == ALL], results.runs), power(rows), *related(rows)],
        figure=figure(results.figure("figure_transfer"), HERE, "Transfer and similarity"),
        tables=grid_tables(shown, path, HERE, ["", "rows and form"]),
        every=plain_table(results.analysis("transfer"), "every-transfer", "Every run on every task"),
    )
    return [Section("transfer", TITLE, body, targets={"Transfer": "transfer"})]


def helped(gains: pd.DataFrame, runs: RunTable) -> list[str]:
    """How often training on one task surely helps another, and surely harms it."""
    sentences = []
    for model, rows in gains[gains["trained_on"] != gains["task"]].groupby("model", sort=False):
        better, worse = (rows["low"] > 0).sum(), (rows["high"] < 0).sum()
        sentences.append(
            f"{runs.model_label(str(model))}: training on one task lowers the loss on another in {better} of "
            f"{len(rows)} ordered pairs and raises it in {worse}, by the whole 95 % interval. The mean gain is "
            f"{style.fixed(rows['gain'].mean())} nats per token."
        )
    return sentences


def power(rows: pd.DataFrame) -> str:
    """The least p that as few tasks allow, and the correlations that they can tell from none."""
    tests = rows[rows["design"] != ""]
    chosen = tests[(tests["design"] == SYMMETRISED) & (tests["statistic"] == SPEARMAN)]
    limits = chosen["critical"].dropna()
    ends = " to ".join(dict.fromkeys(style.fixed(end) for end in (limits.min(), limits.max())))
    needed = (
        f"a rank correlation over pairs of tasks must be {ends} or more for a p of 5 %"
        if len(limits)
        else "no rank correlation over pairs of tasks has a p of 5 %"
    )
    return (
        "Mantel's test permutes whole tasks. With this number of tasks, no two-sided p is below "
        f"{style.number(2 * tests['p_least'].iloc[0])}, and {needed}, both before any correction. So few tasks "
        "can show only a strong relation."
    )


def related(rows: pd.DataFrame) -> list[str]:
    """Which similarities go with transfer, of pairs of tasks by ranks; and what rows and form add."""
    chosen = rows[(rows["design"] == SYMMETRISED) & (rows["statistic"] == SPEARMAN)]
    sure = chosen[chosen["p_adjusted"] <= ALPHA]
    named = "; ".join(
        f"{row['model_label']}, {MATRICES[row['matrix']]} (ρ = {style.fixed(row['value'])})"
        for _, row in sure.iterrows()
    )
    found = [
        f"By rank correlation, {len(sure)} of {len(chosen)} similarities are related to transfer at 5 %, "
        f"corrected: {named or 'none'}."
    ]
    for shared, text in (("rows", "the same rows in another form"), ("form", "the same form with other rows")):
        own = rows[rows["shared"] == shared]
        if len(own):
            found.append(
                f"Sharing {text} makes tasks more alike in {(own['low'] > 0).sum()} and less alike in "
                f"{(own['high'] < 0).sum()} of {len(own)} relations, by the intervals. The smallest p that is "
                f"possible with so few sets of rows is {style.number(2 * own['p_least'].iloc[0])}."
            )
    return found
