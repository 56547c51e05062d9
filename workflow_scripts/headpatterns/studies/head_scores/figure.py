"""Every score against every ablation: rank correlations before and after fine-tuning and for the change."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from headpatterns.presentation import style
from headpatterns.presentation.inputs import read_table
from headpatterns.studies.head_scores.measures import MOVED, SPEARMAN
from headpatterns.studies.head_scores.table import tabulate
from headpatterns.studies.validity.measures import ABSOLUTE, ALL, DIFFERENCE

EFFECT_TEXT = ("model", "task", "phase", "ablation", "change")
ROW, HEAD, PANEL, GAP, FOOT = 0.23, 0.36, 1.5, 0.12, 0.75  # inches
STATES: dict[str, tuple[str, str, float, dict[str, Any]]] = {
    "before": ("before SFT", ABSOLUTE, -0.22, {"marker": "o", "markerfacecolor": "white"}),
    "after": ("after SFT", ABSOLUTE, 0.0, {"marker": "o"}),
    DIFFERENCE: ("change", MOVED, 0.22, {"marker": "D"}),
}
COLOURS = dict(zip(STATES, (*[style.LINE_COLOURS[0]] * 2, style.LINE_COLOURS[1]), strict=True))


def figures(runs: Path, scores: Path, effects: Path) -> dict[str, Figure]:
    """`figure_head_scores`, from runs.csv, analysis/head_scores.csv and analysis/head_effects.csv.

    Raises:
        InputError: a file cannot be used.
    """
    table, _ = tabulate(runs, scores)
    ceilings = read_table(effects, EFFECT_TEXT, ("ceiling",))
    return {"figure_head_scores": draw(table, ceilings[ceilings["task"] == ALL])}


def draw(table: pd.DataFrame, ceilings: pd.DataFrame) -> Figure:
    """Draw panels with models as rows and ablations as columns, and one line per score in each panel.

    Args:
        table: means over tasks and seeds, with labels, in display order.
        ceilings: the largest possible correlations, by model, phase, ablation and kind of change.
    """
    shown = table[table["measure"] == SPEARMAN]
    models, ablations, scores = (list(dict.fromkeys(shown[name])) for name in ("model", "ablation", "score_label"))
    labels = dict(zip(shown["model"], shown["model_label"], strict=True))
    left, height = style.text_width(scores, style.MEDIUM) + 0.15, ROW * len(scores)
    block = HEAD + height + 0.3
    figure = style.new_figure(left + (PANEL + GAP) * len(ablations), block * len(models) + FOOT)
    for m, model in enumerate(models):
        for a, ablation in enumerate(ablations):
            axes = style.axes_at(figure, left + a * (PANEL + GAP), m * block + HEAD, PANEL, height)
            axes.set_title(
                f"{labels[model]}\n{ablation} ablation" if a == 0 else f"\n{ablation} ablation", size=style.SMALL
            )
            own = shown[(shown["model"] == model) & (shown["ablation"] == ablation)]
            limits = ceilings[(ceilings["model"] == model) & (ceilings["ablation"] == ablation)]
            draw_panel(axes, own, limits, scores)
            axes.set_yticks(range(len(scores)), scores if a == 0 else [""] * len(scores))
    bottom = block * len(models)
    style.text_at(figure, left + ((PANEL + GAP) * len(ablations) - GAP) / 2, bottom + 0.12,
                  "Spearman's correlation of score and effect", size=style.SMALL, ha="center", va="center")  # fmt: skip
    figure.legend(handles=legend(), loc="upper center", ncols=2, frameon=False, borderaxespad=0,
                  bbox_to_anchor=(0.5, 1 - (bottom + 0.26) / figure.get_size_inches()[1]))  # fmt: skip
    return figure


def draw_panel(axes: Axes, rows: pd.DataFrame, ceilings: pd.DataFrame, scores: list[str]) -> None:
    """The correlations of one model and ablation, and the largest possible ones."""
    for phase, (_, way, shift, look) in STATES.items():
        own = rows[(rows["phase"] == phase) & (rows["change"] == way)].set_index("score_label")
        ceiling = ceilings[(ceilings["phase"] == phase) & (ceilings["change"] == way)]["ceiling"]
        for value in ceiling[np.isfinite(ceiling)]:
            axes.axvline(value, color=COLOURS[phase], linewidth=0.8,
                         linestyle=":" if phase == "before" else "--", zorder=1)  # fmt: skip
        for line, score in enumerate(scores):
            if score not in own.index:
                continue
            row = own.loc[score]
            axes.hlines(line + shift, row["low"], row["high"], color=COLOURS[phase], linewidth=0.9, zorder=3)
            axes.plot(row["value"], line + shift, color=COLOURS[phase], markersize=3.2, linestyle="",
                      markeredgewidth=0.7, zorder=4, **look)  # fmt: skip
    axes.axvline(0, color=style.FAINT, linewidth=0.5, zorder=0.5)
    axes.set_xlim(-1.03, 1.03)
    axes.set_xticks([-1, -0.5, 0, 0.5, 1], ["−1", "", "0", "", "1"])
    axes.set_ylim(len(scores) - 0.5, -0.5)
    axes.tick_params(axis="y", size=0)
    axes.grid(axis="x", color="#e5e5e5", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["left", "right", "top"]].set_visible(False)


def legend() -> list[Line2D]:
    """What marks and lines mean."""
    size: dict[str, Any] = {"markersize": 3.2, "linewidth": 0.9, "markeredgewidth": 0.7}
    marks = [Line2D([], [], color=COLOURS[phase], label=label, **size, **look)
             for phase, (label, _, _, look) in STATES.items()]  # fmt: skip
    return [*marks, Line2D([], [], color=COLOURS["after"], linewidth=0.8, linestyle="--", label="noise ceiling")]
