"""Figure 2: correlation between tasks of patterns before and after fine-tuning and of their change rates."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headpatterns.presentation import style
from headpatterns.presentation.inputs import RunTable, mean_over_seeds, read_run_table, read_table, row_at

TEXT = ("model", "seed", "matrix", "task_a", "task_b")
NUMBERS = ("value",)
SUMMARY_TEXT = ("model", "matrix", "pairs")
SUMMARY_NUMBERS = ("value", "low", "high")
MATRICES = {"before": "before SFT", "after": "after SFT", "change_rate": "change rate"}
RATES = {"change_rate": "change rate", "log_ratio": "log(after / before)", "change_rate_spearman": "change rate, ranks"}
MOST_WITH_VALUES = 12  # tasks up to which a cell has room for its value


def figures(runs: Path, similarity: Path, summary: Path) -> dict[str, Figure]:
    """`figure2` in run-table order, `figure2_clustered` in cluster order, and `figure2_rates` only of changes.

    Args:
        runs: runs.csv.
        similarity: analysis/similarity.csv.
        summary: analysis/similarity_summary.csv.

    Raises:
        InputError: a file cannot be used, or they are not of the same config.
    """
    table = read_run_table(runs)
    cells = read_table(similarity, TEXT, NUMBERS)
    # A single task has no pair, and so no row in the summary.
    means = read_table(summary, SUMMARY_TEXT, SUMMARY_NUMBERS, may_be_empty=True)
    return {
        "figure2": draw(table, cells, means, source=similarity),
        "figure2_clustered": draw(table, cells, means, clustered=True, source=similarity),
        "figure2_rates": draw(table, cells, means, source=similarity, matrices=RATES),
    }


def draw(
    runs: RunTable,
    similarity: pd.DataFrame,
    summary: pd.DataFrame,
    clustered: bool = False,
    source: Path | str = "similarity.csv",
    matrices: Mapping[str, str] = MATRICES,
) -> Figure:
    """Draw three correlation matrices per model, seeds averaged, on a fixed scale from −1 to 1.

    `similarity` has the columns `TEXT` and `NUMBERS`; `summary` has `SUMMARY_TEXT` and `SUMMARY_NUMBERS` and gives the
    mean correlation of all pairs above each matrix. Tasks are in the run table's order, with lines between families. If
    `clustered`, they are in the order of average-linkage clustering by 1 − r of the model's change rates, with its
    tree. `matrices` are their titles by name.
    """
    runs = runs.of_study("adaptation")
    models = runs.order("model", similarity["model"], source)
    tasks = runs.order("task", set(similarity["task_a"]) | set(similarity["task_b"]), source)
    families = list(dict.fromkeys(runs.family(task) for task in tasks if runs.family(task)))
    marked = clustered and len(families) > 1
    symbols = dict(zip(families, style.FAMILY_SYMBOLS * len(families), strict=False)) if marked else {}
    labels = {task: f"{runs.task_label(task)} {symbols.get(runs.family(task), '')}".strip() for task in tasks}
    found = correlations(similarity, tasks)
    means = summary[summary["pairs"] == "all"].set_index(["model", "matrix"])

    show_values = len(tasks) <= MOST_WITH_VALUES
    cell = float(np.clip(2.1 / len(tasks), 0.26 if show_values else 0.15, 0.5))
    side = max(cell * len(tasks), 1.35)  # with smaller panels, the line above one would overlap the next one
    below = 0.72 * style.text_width(labels.values()) + 0.12
    blocks = [] if clustered else family_blocks([runs.family(task) for task in tasks])
    family_names = [style.wrapped(name, 10) for name, _, _ in blocks]
    left = style.text_width(labels.values()) + 0.15 + (style.text_width(family_names) + 0.15 if blocks else 0)
    tree = 0.7 if clustered and len(tasks) > 1 else 0.0
    row_height = 0.76 + side + (below if clustered else 0)
    last_row = 0 if clustered else below
    notes = 0.25 if symbols else 0.0
    width = left + 3 * side + 2 * 0.12 + (tree + 0.1 if tree else 0)
    figure = style.new_figure(width, row_height * len(models) + last_row + 0.6 + notes)

    for m, model in enumerate(models):
        top = m * row_height + 0.58
        style.text_at(figure, 0, top - 0.46, runs.model_label(model), size=style.LARGE, weight="bold", va="center")
        order, branches = cluster(found[model, "change_rate"]) if tree else (list(range(len(tasks))), None)
        shown = [tasks[i] for i in order]
        for c, (matrix, title) in enumerate(matrices.items()):
            axes = style.axes_at(figure, left + c * (side + 0.12), top, side, side)
            draw_matrix(axes, found[model, matrix].loc[shown, shown], show_values)
            axes.set_title(f"{title}\n{mean_line(means, model, matrix)}".strip(), linespacing=1.3)
            axes.set_yticks(np.arange(len(shown)) + 0.5, [labels[task] for task in shown] if c == 0 else [])
            named_below = clustered or m == len(models) - 1
            axes.set_xticks(np.arange(len(shown)) + 0.5, [labels[task] for task in shown] if named_below else [])
            axes.tick_params(axis="x", rotation=45, rotation_mode="xtick")
            axes.tick_params(size=0, pad=2)
            for _, start, _ in blocks[1:]:
                axes.axhline(start, color="black", linewidth=1.2)
                axes.axvline(start, color="black", linewidth=1.2)
        for (_, start, stop), name in zip(blocks, family_names, strict=True):
            add_family(figure, name, top + start * side / len(tasks), top + stop * side / len(tasks))
        if branches is not None:
            add_tree(style.axes_at(figure, left + 3 * side + 2 * 0.12 + 0.06, top, tree, side), branches, len(tasks))
    bottom = row_height * len(models) + last_row + 0.1
    middle = left + (3 * side + 2 * 0.12) / 2
    bar = style.axes_at(figure, middle - 1.25, bottom, 2.5, 0.1)
    style.colour_bar(bar, style.SIGNED, -1, 1, "correlation between tasks", ticks=[-1, -0.5, 0, 0.5, 1])
    if symbols:
        note = "     ".join(f"{symbol} {family}" for family, symbol in symbols.items())
        style.text_at(figure, middle, bottom + 0.58, note, size=style.SMALL, ha="center", va="center")
    return figure


def correlations(similarity: pd.DataFrame, tasks: list[str]) -> dict[tuple[str, str], pd.DataFrame]:
    """(model, matrix) -> [tasks, tasks], mean over seeds; a pair that is not in the table is NaN."""
    averaged = mean_over_seeds(similarity, ("model", "matrix", "task_a", "task_b"), ("value",))
    empty = pd.DataFrame(np.nan, index=tasks, columns=tasks)
    found = {(model, matrix): empty for model in averaged["model"].unique() for matrix in {**MATRICES, **RATES}}
    for (model, matrix), rows in averaged.groupby(["model", "matrix"], sort=False):
        square = rows.pivot(index="task_a", columns="task_b", values="value").reindex(index=tasks, columns=tasks)
        found[str(model), str(matrix)] = square
    return found


def cluster(correlation: pd.DataFrame) -> tuple[list[int], dict[str, Any]]:
    """Leaf order and tree (scipy's dendrogram) of average linkage by 1 − r; an undefined r counts as 0."""
    from scipy.cluster.hierarchy import dendrogram, linkage
    from scipy.spatial.distance import squareform

    distance = 1 - np.nan_to_num(correlation.to_numpy(float))
    distance = np.clip((distance + distance.T) / 2, 0, None)
    np.fill_diagonal(distance, 0)
    links = linkage(squareform(distance, checks=False), "average", optimal_ordering=True)
    tree: dict[str, Any] = dict(dendrogram(links, no_plot=True))
    return tree["leaves"], tree


def family_blocks(families: list[str]) -> list[tuple[str, int, int]]:
    """Runs of equal families as (name, start, stop); none if there are no different families."""
    starts = [i for i, name in enumerate(families) if i == 0 or name != families[i - 1]]
    stops = [*starts[1:], len(families)]
    found = [(families[start], start, stop) for start, stop in zip(starts, stops, strict=True)]
    return found if len(found) > 1 else []


def mean_line(means: pd.DataFrame, model: str, matrix: str) -> str:
    """The text above a matrix: its mean off-diagonal correlation, empty without pairs."""
    if (model, matrix) not in means.index:
        return ""
    row = row_at(means, (model, matrix))
    if not np.isfinite(row["value"]):
        return ""
    return f"mean {style.interval(row['value'], row['low'], row['high'])}"


def draw_matrix(axes: Axes, matrix: pd.DataFrame, show_values: bool) -> None:
    """One matrix as a heat map, with values without their leading zero if there is room."""
    import seaborn

    values = matrix.to_numpy(float)
    texts = np.array([[style.compact(value) for value in row] for row in values])
    seaborn.heatmap(
        values,
        ax=axes,
        vmin=-1,
        vmax=1,
        cmap=style.colour_map(style.SIGNED),
        cbar=False,
        annot=texts if show_values else None,
        fmt="",
        annot_kws={"size": style.SMALL},
        linewidths=0.5,
        linecolor="white",
        xticklabels=False,
        yticklabels=False,
    )
    axes.set_facecolor(style.MISSING)


def add_family(figure: Figure, name: str, top: float, bottom: float) -> None:
    """The name of a family with a line beside its rows, at the figure's left edge."""
    right = style.text_width([name]) if name else 0.0
    style.text_at(figure, 0, (top + bottom) / 2, name, size=style.SMALL, va="center", color=style.FAINT)
    axes = style.axes_at(figure, right + 0.05, top + 0.03, 0.02, bottom - top - 0.06)
    axes.set_axis_off()
    axes.plot([0.5, 0.5], [0, 1], color=style.FAINT, linewidth=1)


def add_tree(axes: Axes, tree: dict[str, Any], leaves: int) -> None:
    """The clustering tree, its leaves level with the rows of the matrices (scipy puts leaf i at 10 i + 5)."""
    for places, heights in zip(tree["icoord"], tree["dcoord"], strict=True):
        axes.plot(heights, np.array(places) / 10, color="black", linewidth=0.8)
    axes.set_ylim(leaves, 0)
    axes.set_xlim(left=0)
    axes.set_yticks([])
    axes.set_xlabel("1 − r", size=style.SMALL, labelpad=1)
    axes.locator_params(axis="x", nbins=2)
    axes.spines[["left", "right", "top"]].set_visible(False)
