"""Accuracy of every model on every task before and after fine-tuning, compared with chance."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from headpatterns.claims.competence import AFTER, BEFORE
from headpatterns.presentation import style
from headpatterns.presentation.inputs import row_at
from headpatterns.studies.competence.table import tabulate, triple

ROW, HEAD, PANEL, GAP, FOOT = 0.27, 0.24, 1.75, 0.14, 0.75  # inches
PLACES = {BEFORE: 0.3, AFTER: 0.7}
KINDS = (("accuracy", ("accuracy", "low", "high"), "o", style.LINE_COLOURS[0]),
         ("accuracy by likelihood", triple("likelihood"), "D", style.LINE_COLOURS[1]))  # fmt: skip


def figures(runs: Path, competence: Path) -> dict[str, Figure]:
    """`figure_competence`, from runs.csv and analysis/competence.csv.

    Raises:
        InputError: a file cannot be used.
    """
    table, _ = tabulate(runs, competence)
    return {"figure_competence": draw(table)}


def draw(table: pd.DataFrame) -> Figure:
    """Draw one panel per model and one row per task.

    Args:
        table: the rows over all seeds, with labels, in display order.
    """
    models, tasks = (list(dict.fromkeys(table[name])) for name in ("model_label", "task_label"))
    left, height = style.text_width(tasks) + 0.12, ROW * len(tasks)
    figure = style.new_figure(left + (PANEL + GAP) * len(models), HEAD + height + FOOT)
    found = table.set_index(["model_label", "task_label", "state"])
    for place, model in enumerate(models):
        axes = style.axes_at(figure, left + place * (PANEL + GAP), HEAD, PANEL, height)
        axes.set_title(style.wrapped(model, 30))
        for line, task in enumerate(tasks):
            if (model, task, AFTER) in found.index:
                draw_task(axes, found, (model, task), line)
        finish(axes, tasks if place == 0 else [""] * len(tasks), height)
    style.text_at(figure, left + ((PANEL + GAP) * len(models) - GAP) / 2, HEAD + height + 0.3, "accuracy in per cent",
                  size=style.SMALL, ha="center", va="center")  # fmt: skip
    figure.legend(handles=legend(), loc="upper center", ncols=len(legend()), frameon=False, borderaxespad=0,
                  bbox_to_anchor=(0.5, 1 - (HEAD + height + 0.45) / figure.get_size_inches()[1]))  # fmt: skip
    return figure


def draw_task(axes: Axes, found: pd.DataFrame, key: tuple[str, str], line: int) -> None:
    """Both states of a task in its row, or why there is no accuracy."""
    after = row_at(found, (*key, AFTER))
    chance = 100 * after["chance"]
    if not np.isnan(chance):
        axes.vlines(chance, line, line + 1, color=style.FAINT, linewidth=1.4, zorder=2)
    if after["note"]:
        axes.text(2, line + 0.5, style.wrapped(after["note"], 40), size=style.SMALL, color=style.FAINT,
                  va="center_baseline")  # fmt: skip
    for state, place in PLACES.items():
        if (*key, state) not in found.index:
            continue
        row = row_at(found, (*key, state))
        for shift, (_, names, marker, colour) in zip((0, 0.12), KINDS, strict=True):
            value, low, high = (100 * row[name] for name in names)
            y = line + place + shift
            axes.hlines(y, low, high, color=colour, linewidth=1.0, zorder=3)
            axes.plot(value, y, marker=marker, markersize=4.0, color=colour, linestyle="", zorder=4,
                      markerfacecolor=colour if state == AFTER else "white", markeredgewidth=0.8)  # fmt: skip


def finish(axes: Axes, tasks: list[str], height: float) -> None:
    """Scales, labels and the lines between rows."""
    axes.set_ylim(len(tasks), 0)
    axes.set_yticks([line + 0.5 for line in range(len(tasks))], tasks)
    axes.set_xlim(-3, 103)
    axes.set_xticks([0, 25, 50, 75, 100])
    axes.tick_params(axis="y", size=0)
    axes.grid(axis="x", color="#dddddd", linewidth=0.5)
    for line in range(1, len(tasks)):
        axes.axhline(line, color="#ececec", linewidth=0.5, zorder=1)
    axes.set_axisbelow(True)
    axes.spines[["left", "right", "top"]].set_visible(False)


def legend() -> list[Line2D]:
    """Legend entries for hollow and filled markers, colours and strokes."""
    states = [Line2D([], [], color=KINDS[0][3], marker="o", markersize=4, linewidth=1, markeredgewidth=0.8,
                     markerfacecolor=KINDS[0][3] if state == AFTER else "white", label=f"{state} SFT")
              for state in PLACES]  # fmt: skip
    label, _, marker, colour = KINDS[1]
    likelihood = Line2D([], [], color=colour, marker=marker, markersize=4, linewidth=1, label=label)
    return [*states, likelihood, Line2D([], [], color=style.FAINT, linewidth=1.4, label="chance")]
