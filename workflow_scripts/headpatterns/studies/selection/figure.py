"""Precision of the selection methods over the number of samples: do they find samples with a domain's relations?"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from headpatterns.experiment.variants import Variant, domain_labels, model_labels, read_variants
from headpatterns.presentation import style
from headpatterns.presentation.inputs import mean_over_seeds, read_table
from headpatterns.studies.accuracies import labelled, unique
from headpatterns.studies.selection.table3 import METHODS

TEXT = ("model", "domain", "seed", "method")
NUMBERS = ("n", "value", "expected", "chance_low", "chance_high")
LEFT, TOP, WIDTH, HEIGHT = 0.6, 0.3, 2.3, 1.7
ACROSS, DOWN = 0.2, 0.72
"""Inches beside, above and between the panels."""
BAND, LINE = "#dcdcdc", 0.17


def figures(variants: Path, curve: Path, precision: Path) -> dict[str, Figure]:
    """`precision`, from variants.csv, analysis/precision_curve.csv, and the budgets of analysis/precision.csv.

    Raises:
        InputError: a file cannot be used, or they are not of the same config.
    """
    rows = read_table(curve, TEXT, NUMBERS)
    budgets = unique(n for n in read_table(precision, ("n",))["n"] if n)
    return {"precision": draw(read_variants(variants, "selection"), rows, list(map(int, budgets)), curve)}


def draw(
    variants: Sequence[Variant], curve: pd.DataFrame, budgets: Sequence[int], source: Path | str = "precision_curve.csv"
) -> Figure:
    """Draw a row of panels for each model and a column for each domain, with n on a logarithmic axis.

    Args:
        variants: rows of the selection study, which name and order models and domains.
        curve: rows with the columns `TEXT` and `NUMBERS`; seeds are averaged.
        budgets: where vertical lines stand.
        source: the file of the curve, for error messages.

    Raises:
        InputError: a model or domain that the variants do not have; `source` is named.
    """
    rows = labelled(curve, {"model": model_labels(variants), "domain": domain_labels(variants)}, source)
    models, domains = unique(rows["model_label"]), unique(rows["domain_label"])
    methods = [method for method in METHODS if method in set(rows["method"])]
    looks = {
        method: {
            "color": style.LINE_COLOURS[place % len(style.LINE_COLOURS)],
            "linestyle": style.LINE_STYLES[place % len(style.LINE_STYLES)],
        }
        for place, method in enumerate(methods)
    }
    width = LEFT + len(domains) * (WIDTH + ACROSS)
    bottom = TOP + len(models) * (HEIGHT + DOWN)
    figure = style.new_figure(width, bottom + LINE * (len(methods) + 1))
    for r, model in enumerate(models):
        for c, domain in enumerate(domains):
            own = rows[(rows["model_label"] == model) & (rows["domain_label"] == domain)]
            left, top = LEFT + c * (WIDTH + ACROSS), TOP + r * (HEIGHT + DOWN)
            axes = style.axes_at(figure, left, top, WIDTH, HEIGHT)
            draw_panel(axes, own, looks, budgets)
            axes.set_title(style.wrapped(f"{model}: {domain}", 36))
            if c == 0:
                axes.set_ylabel("precision at n")
            else:
                axes.tick_params(labelleft=False)
    add_legend(figure, looks, bottom)
    return figure


def draw_panel(axes: Axes, rows: pd.DataFrame, looks: Mapping[str, dict[str, Any]], budgets: Sequence[int]) -> None:
    """Draw the curves of one model and domain, means over seeds, on top of the results of chance."""
    means = mean_over_seeds(rows, ("method", "n"), NUMBERS[1:])
    chance = means.drop_duplicates("n").sort_values("n")
    axes.fill_between(chance["n"], chance["chance_low"], chance["chance_high"], color=BAND, linewidth=0)
    axes.plot(chance["n"], chance["expected"], color=style.FAINT, linewidth=0.8, linestyle=(0, (2, 2)))
    for budget in budgets:
        axes.axvline(budget, color=style.FAINT, linewidth=0.5)
    for method, look in looks.items():
        own = means[means["method"] == method].sort_values("n")
        axes.plot(own["n"], own["value"], linewidth=1.2, **look)
    most = max(float(chance["n"].max()), 2.0)
    powers = [10**power for power in range(int(np.log10(most)) + 1)]
    axes.set(xscale="log", xlim=(1, most), ylim=(0, 1.02))
    axes.set_xticks(powers, list(map(str, powers)))
    axes.set_xticks([], minor=True)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.set_xlabel("n, samples taken")
    axes.spines[["right", "top"]].set_visible(False)


def add_legend(figure: Figure, looks: Mapping[str, dict[str, Any]], top: float) -> None:
    """Explain lines and band below the panels."""
    handles = [Line2D([], [], label=METHODS[method], **look) for method, look in looks.items()]
    handles.append(Line2D([], [], color=style.FAINT, linestyle=(0, (2, 2)), label="by chance, with 95 % of choices"))
    width, height = figure.get_size_inches()
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(LEFT / width, 1 - top / height),
        frameon=False,
        borderaxespad=0,
        handlelength=2.6,
    )
