"""The report's section on transplanted heads: is the effect of fine-tuning in the heads?"""

from pathlib import Path

import numpy as np
import pandas as pd

from headpatterns.presentation import style
from headpatterns.presentation.elements import Table, figure, plain_table
from headpatterns.presentation.inputs import RunTable, read_table, row_at
from headpatterns.presentation.results import Results
from headpatterns.presentation.sections import Section, render
from headpatterns.studies.transplant.analysis import ALL, ALL_HEADS, REST
from headpatterns.studies.transplant.figure import NUMBERS, TEXT
from headpatterns.studies.transplant.moved import DIRECTIONS, TRANSPLANT

HERE = Path(__file__).parent
TITLE = "Does fine-tuning live in the heads?"


def section(results: Results) -> list[Section]:
    """A sentence for each model, the figure, and the shares by task and by number of heads.

    Raises:
        InputError: a file is missing or faulty.
    """
    path = results.analysis("transplant")
    rows = read_table(path, TEXT, NUMBERS)
    body = render(
        "section.html.j2",
        __package__,
        findings=[carried(str(model), own, results.runs) for model, own in rows.groupby("model", sort=False)],
        figure=figure(results.figure("figure_transplant"), HERE, "Heads transplanted and reverted"),
        table=by_task(rows, results.runs),
        every=plain_table(path, "every-transplant", "Every choice of heads"),
    )
    return [Section("transplant", TITLE, body, targets={"Transplant": "transplant"})]


def carried(model: str, rows: pd.DataFrame, runs: RunTable) -> str:
    """The shares of a model's gain that all heads carry, and that everything else carries."""
    means = rows[rows["task"] == ALL].set_index(["direction", "ranking"])
    whole, others = (row_at(means, (TRANSPLANT, name)) for name in (ALL_HEADS, REST))
    heads, rest = shown(whole), shown(others)
    return (
        f"{runs.model_label(model)}: the mean gain over tasks is {style.fixed(whole['gain'])} nats per token. All "
        f"{whole['heads']:.0f} heads carry {heads} of it when they are put into the base model, and all other "
        f"weights carry {rest}. Shares need not add up to 1, because the parts work together. Each share is the "
        "mean of the shares of the tasks."
    )


def shown(row: pd.Series) -> str:
    """A share with its interval; words if there is no gain."""
    if not np.isfinite(row["value"]):
        return "no known share (some run gains nothing)"
    return style.interval(row["value"], row["low"], row["high"])


def by_task(rows: pd.DataFrame, runs: RunTable) -> Table:
    """The shares of all heads and of everything else, by task and as the mean over tasks; seeds are averaged."""
    of_seeds = rows[rows["seed"] == ALL]
    cells = []
    for (model, task), own in of_seeds[of_seeds["ranking"].isin([ALL_HEADS, REST])].groupby(
        ["model", "task"], sort=False
    ):
        found = own.set_index(["direction", "ranking"])
        gain = style.fixed(own["gain"].iloc[0])
        label = "mean over tasks" if task == ALL else runs.task_label(str(task))
        shares = [
            shown_short(row_at(found, (direction, name))) for direction in DIRECTIONS for name in (ALL_HEADS, REST)
        ]
        cells.append([runs.model_label(str(model)), label, gain, *shares])
    header = ["Model", "Task", "Gain, nats per token", *(
        f"{name}, {direction}" for direction in DIRECTIONS for name in (ALL_HEADS, REST)
    )]  # fmt: skip
    return Table("transplant-by-task", "Shares by task", header, cells, [False] * 2 + [True] * (len(header) - 2))


def shown_short(row: pd.Series) -> str:
    """A share with its interval; a dash if there is no gain."""
    return style.interval(row["value"], row["low"], row["high"]) if np.isfinite(row["value"]) else "–"
