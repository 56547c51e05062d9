"""The first section of the report: the competence of the models, on which all other sections depend."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from headpatterns.claims.competence import ACCURACY, AFTER, LOSS
from headpatterns.presentation.elements import figure, grid_tables, plain_table
from headpatterns.presentation.grids import markdown
from headpatterns.presentation.inputs import read_table
from headpatterns.presentation.results import Results
from headpatterns.presentation.sections import Place, Section, render
from headpatterns.studies.competence.table import MARKS, NUMBERS, TEXT, grids

HERE = Path(__file__).parent
TITLE = "What the models can do"
NOT_LEARNT = MARKS["0"]
READING = """\
A model has learnt a task if the interval of its accuracy after fine-tuning is above chance. Without an accuracy, the
fall of the loss on the probe set decides. Claims about what fine-tuning changes are tested only where more than half of
the tasks that they are about were learnt."""
"""HTML: the conditions under which a claim is tested."""


def section(results: Results) -> list[Section]:
    """The sentence about how much was learnt, its tables, the figure, and every number.

    Raises:
        InputError: a file is missing or faulty.
    """
    path = results.table("competence")
    rows = read_table(path, TEXT, NUMBERS)
    shown = grids(rows)
    tables = grid_tables(shown, path, HERE, [""] * len(shown))
    body = render(
        "section.html.j2",
        __package__,
        sentence=sentence(rows),
        tables=[replace(table, title=one.title) for table, one in zip(tables, shown, strict=True)],
        mark=NOT_LEARNT,
        figure=figure(results.figure("figure_competence"), HERE, "Accuracy before and after fine-tuning"),
        every=plain_table(results.analysis("competence"), "every-competence", "Every seed and state"),
    )
    summary = f"{sentence(rows)}\n\n{markdown(shown)}"
    return [Section("competence", TITLE, body, Place.OPENING, reading=READING, summary=summary)]


def sentence(rows: pd.DataFrame) -> str:
    """How many of the pairs of model and task were learnt, and by which measure.

    Args:
        rows: the table's rows; the rows after fine-tuning have the verdicts.
    """
    judged = rows[(rows["state"] == AFTER) & (rows["learnt"] != "")]
    by_accuracy, by_loss = (judged[judged["learnt_by"] == by]["learnt"] for by in (ACCURACY, LOSS))
    parts = []
    if len(by_accuracy):
        parts.append(
            f"{(by_accuracy == '1').sum()} of {len(by_accuracy)} pairs of model and task are learnt: the whole "
            "interval of the accuracy after fine-tuning is above chance."
        )
    if len(by_loss):
        parts.append(
            f"Of {len(by_loss)} pairs without an accuracy, {(by_loss == '1').sum()} are learnt: the whole "
            "interval of the fall of the loss on the probe set is above 0."
        )
    return " ".join(parts) or "It is unknown what the models can do, because nothing was evaluated."
