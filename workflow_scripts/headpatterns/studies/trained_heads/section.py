"""The report's section on heads that are trained alone: do some heads suffice?"""

from pathlib import Path

import pandas as pd

from headpatterns.presentation import style
from headpatterns.presentation.elements import Table, figure, plain_table
from headpatterns.presentation.inputs import RunTable, read_table
from headpatterns.presentation.results import Results
from headpatterns.presentation.sections import Section, render
from headpatterns.studies.trained_heads.figure import TEXT
from headpatterns.studies.transplant.analysis import ALL, ALL_HEADS
from headpatterns.studies.transplant.figure import NUMBERS, RANKINGS
from headpatterns.studies.transplant.section import shown, shown_short

HERE = Path(__file__).parent
TITLE = "Do some heads suffice?"


def section(results: Results) -> list[Section]:
    """A sentence for each model, the figure, and the shares by task, ranking and number of heads.

    Raises:
        InputError: a file is missing or faulty.
    """
    path = results.analysis("trained_heads")
    rows = read_table(path, TEXT, NUMBERS)
    body = render(
        "section.html.j2",
        __package__,
        findings=[learnt(str(model), own, results.runs) for model, own in rows.groupby("model", sort=False)],
        figure=figure(results.figure("figure_trained_heads"), HERE, "Heads trained alone"),
        table=by_task(rows, results.runs),
        every=plain_table(path, "every-trained-head", "Every choice of heads"),
    )
    return [Section("trained-heads", TITLE, body, targets={"Trained heads": "trained-heads"})]


def learnt(model: str, rows: pd.DataFrame, runs: RunTable) -> str:
    """The gain of a model if all heads and nothing else are trained."""
    whole = rows[(rows["task"] == ALL) & (rows["ranking"] == ALL_HEADS)].iloc[0]
    return (
        f"{runs.model_label(model)}: the mean gain over tasks is {style.fixed(whole['gain'])} nats per token. Training "
        f"all {whole['heads']:.0f} heads and nothing else reaches {shown(whole)} of it. Each share is the mean of the "
        "shares of the tasks."
    )


def by_task(rows: pd.DataFrame, runs: RunTable) -> Table:
    """The share with the most heads of each ranking, and with all heads, by task; seeds are averaged."""
    of_seeds = rows[rows["seed"] == ALL]
    some = of_seeds[of_seeds["ranking"] != ALL_HEADS]
    named = [name for name in RANKINGS if name in set(some["ranking"])]
    largest = int(some["k"].max())
    cells = []
    for (model, task), own in of_seeds.groupby(["model", "task"], sort=False):
        of_largest = own[own["k"] == largest]
        shares = [of_largest[of_largest["ranking"] == name].iloc[0] for name in named]
        every = own[own["ranking"] == ALL_HEADS].iloc[0]
        label = "mean over tasks" if task == ALL else runs.task_label(str(task))
        gain = style.fixed(every["gain"])
        cells.append([runs.model_label(str(model)), label, gain, *map(shown_short, (*shares, every))])
    header = ["Model", "Task", "Gain, nats per token", *(f"{largest}: {RANKINGS[name]}" for name in named), "all heads"]
    return Table("trained-heads-by-task", "Shares by task", header, cells, [False] * 2 + [True] * (len(header) - 2))
