"""The mean activation level of each task before and after fine-tuning, a panel a model."""

from pathlib import Path

from matplotlib.figure import Figure

from headpatterns.presentation import style
from headpatterns.presentation.inputs import mean_over_seeds, read_run_table, read_table

TEXT = ("model", "task", "seed", "state")
NUMBERS = ("value", "low", "high")
STATES = ("before", "after")


def figures(runs: Path, levels: Path) -> dict[str, Figure]:
    """`levels`, from runs.csv and analysis/levels.csv.

    Raises:
        InputError: a file cannot be used, or they are not of the same config.
    """
    labels, rows = read_run_table(runs).of_study("levels"), read_table(levels, TEXT, NUMBERS)
    models = labels.order("model", rows["model"], levels)
    tasks = labels.order("task", rows["task"], levels)
    means = mean_over_seeds(rows, ("model", "task", "state"), NUMBERS).set_index(["model", "task", "state"])
    figure = style.new_figure(1.4 + 2.4 * len(models), 1.0 + 0.3 * len(tasks))
    for place, model in enumerate(models):
        axes = style.axes_at(figure, 1.3 + 2.4 * place, 0.3, 2.1, 0.3 * len(tasks))
        for state, colour, marker in zip(STATES, style.LINE_COLOURS, style.MARKERS, strict=False):
            found = means.reindex([(model, task, state) for task in tasks])
            axes.hlines(range(len(tasks)), found["low"], found["high"], color=colour, linewidth=1.2)
            axes.plot(found["value"], range(len(tasks)), marker, color=colour, markersize=4, label=state)
        axes.set(ylim=(len(tasks) - 0.5, -0.5), xlabel="mean activation level")
        axes.set_yticks(range(len(tasks)), map(labels.task_label, tasks) if place == 0 else [])
        axes.set_title(labels.model_label(model), size=style.LARGE, weight="bold")
    figure.axes[0].legend(frameon=False)
    return {"levels": figure}
