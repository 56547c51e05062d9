"""The mean activation level of every layer before and after fine-tuning, a panel a model."""

from pathlib import Path

from matplotlib.figure import Figure

from headpatterns.presentation import style
from headpatterns.presentation.inputs import read_run_table, read_table

TEXT = ("model", "state")
NUMBERS = ("layer", "value", "low", "high")
STATES = ("before", "after")


def figures(runs: Path, layers: Path) -> dict[str, Figure]:
    """`layers`, from runs.csv and analysis/layers.csv.

    Raises:
        InputError: a file cannot be used, or they are not of the same config.
    """
    labels, rows = read_run_table(runs).of_study("adaptation"), read_table(layers, TEXT, NUMBERS)
    models = labels.order("model", rows["model"], layers)
    figure = style.new_figure(0.8 + 2.4 * len(models), 2.4)
    for place, model in enumerate(models):
        axes = style.axes_at(figure, 0.7 + 2.4 * place, 0.3, 1.9, 1.6)
        for state, colour, marker in zip(STATES, style.LINE_COLOURS, style.MARKERS, strict=False):
            line = rows[(rows["model"] == model) & (rows["state"] == state)]
            axes.fill_between(line["layer"], line["low"], line["high"], color=colour, alpha=0.15, linewidth=0)
            axes.plot(line["layer"], line["value"], color=colour, marker=marker, markersize=3.5, label=state)
        axes.set_title(labels.model_label(model), size=style.LARGE, weight="bold")
        axes.set_xlabel("layer")
        axes.set_xticks(sorted(set(rows.loc[rows["model"] == model, "layer"])))
        if place == 0:
            axes.set_ylabel("mean activation level")
            axes.legend(frameon=False)
    return {"layers": figure}
