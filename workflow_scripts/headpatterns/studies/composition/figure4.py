"""Figure 4: how well the changes of basic tasks, alone, in pairs and all together, explain a complex task's change."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from headpatterns.presentation import style
from headpatterns.presentation.inputs import RunTable, mean_over_seeds, read_run_table, read_table

TEXT = ("model", "group", "seed", "complex", "terms")
NUMBERS = ("size", "r2", "low", "high", "null_mean", "null_high")
BEST_PAIRS = 5  # pairs drawn with their intervals
LINE = 0.28  # inches, one line of the strip


def figures(runs: Path, composition: Path) -> dict[str, Figure]:
    """`figure4`, from runs.csv and analysis/composition.csv.

    Raises:
        InputError: a file cannot be used, or they are not of the same config.
    """
    return {"figure4": draw(read_run_table(runs), read_table(composition, TEXT, NUMBERS), composition)}


def draw(runs: RunTable, composition: pd.DataFrame, source: Path | str = "composition.csv") -> Figure:
    """Draw R² matrices, each above a strip with the best pairs' intervals and null.

    Rows are groups and columns models; the groups of a single model stand side by side.

    `composition` has the columns `TEXT` and `NUMBERS`; seeds are averaged. A cell of the lower triangle is a pair, one
    of the diagonal a single task. R² may be negative (a fit without intercept): colours end at 0, values do not.
    """
    runs = runs.of_study("composition")
    models = runs.order("model", composition["model"], source)
    averaged = mean_over_seeds(composition, ("model", "group", "complex", "terms"), NUMBERS)
    groups = group_order(runs, averaged)
    tasks = {
        key: runs.order("task", "+".join(rows["terms"]).split("+"), source)
        for key, rows in averaged.groupby(["group", "complex"], sort=False)
    }
    names = [style.wrapped(runs.task_label(task), 18) for group in groups for task in tasks[group]]
    left = style.text_width([*names, "all 20 tasks"]) + 0.2
    side = float(np.clip(0.4 * max(len(found) for found in tasks.values()), 1.9, 4.2))
    block = left + side + 0.25
    below = 0.72 * style.text_width(names) + 0.15
    cells = {(*key,): rows for key, rows in averaged.groupby(["group", "complex", "model"], sort=False)}
    heights = {}
    for group in groups:
        lines = max(len(strip_rows(cells[key], len(tasks[group]))) for key in cells if key[:2] == group)
        heights[group] = 0.95 + side + below + lines * LINE + 0.62
    side_by_side = len(models) == 1
    columns, height = (len(groups), max(heights.values())) if side_by_side else (len(models), sum(heights.values()))
    figure = style.new_figure(block * columns, height + 0.45)

    for g, group in enumerate(groups):
        top = 0.0 if side_by_side else sum(heights[above] for above in groups[:g])
        title = f"Group {group[0]}: change of {runs.task_label(group[1])}"
        style.text_at(figure, g * block if side_by_side else 0, top + 0.1, title, size=style.LARGE, va="center")
        for m, model in enumerate(models):
            rows = cells.get((*group, model))
            x = (g if side_by_side else m) * block + left
            matrix = style.axes_at(figure, x, top + 0.8, side, side)
            strip_top = top + 0.8 + side + below + 0.1
            strip = style.axes_at(figure, x, strip_top, side, heights[group] - (strip_top - top) - 0.52)
            style.text_at(
                figure, x + side / 2, top + 0.36, runs.model_label(model),
                size=style.LARGE, weight="bold", ha="center", va="center",
            )  # fmt: skip
            if rows is None:
                matrix.set_axis_off()
                strip.set_axis_off()
                matrix.set_title("no run")
                continue
            labels = {task: style.wrapped(runs.task_label(task), 18) for task in tasks[group]}
            draw_matrix(matrix, rows, labels)
            matrix.set_title(title_lines(rows, len(labels)), linespacing=1.3)
            draw_strip(strip, rows, labels)
    middle = left + (block * columns - left) / 2
    bar = style.axes_at(figure, middle - 1.25, height + 0.02, 2.5, 0.1)
    style.colour_bar(bar, style.MAGNITUDE, 0, 1, "R² (0 and below have the same colour)", extend="min")
    return figure


def group_order(runs: RunTable, rows: pd.DataFrame) -> list[tuple[str, str]]:
    """The (group, complex task) pairs in the table, groups in the run table's order."""
    ranks = {group: rank for rank, group in enumerate(dict.fromkeys(runs.rows["group"]))}
    found = list(dict.fromkeys(zip(rows["group"], rows["complex"], strict=True)))
    return sorted(found, key=lambda pair: ranks.get(pair[0], len(ranks)))


def best(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """The `count` pairs of the highest R², best first."""
    return ranked(rows, 2).head(count)


def ranked(rows: pd.DataFrame, size: int) -> pd.DataFrame:
    """The fits with `size` tasks, highest R² first; undefined ones (a change that is constant) are left out."""
    return rows[rows["size"] == size].dropna(subset="r2").sort_values("r2", ascending=False, kind="stable")


def title_lines(rows: pd.DataFrame, tasks: int) -> str:
    """Above a matrix: R² of the full set and the 95 % quantile of its null."""
    full = rows[rows["size"] == tasks]
    if full.empty:
        return ""
    row = full.iloc[0]
    what = f"all {tasks} tasks" if tasks > 1 else "the one task"
    return f"{what}: R² {style.fixed(row['r2'])}\nits null's 95 % quantile: {style.fixed(row['null_high'])}"


def draw_matrix(axes: Axes, rows: pd.DataFrame, labels: dict[str, str]) -> None:
    """R² of single tasks on the diagonal and of pairs below it; the best pair has a frame."""
    import seaborn

    places = {task: i for i, task in enumerate(labels)}
    values = np.full((len(places), len(places)), np.nan)
    for terms, size, r2 in zip(rows["terms"], rows["size"], rows["r2"], strict=True):
        if size <= 2:
            at = sorted(places[task] for task in terms.split("+"))
            values[at[-1], at[0]] = r2
    seaborn.heatmap(
        values,
        ax=axes,
        vmin=0,
        vmax=1,
        cmap=style.MAGNITUDE,
        cbar=False,
        annot=np.array([[style.compact(value) for value in row] for row in values]),
        fmt="",
        annot_kws={"size": style.SMALL},
        mask=np.isnan(values),
        linewidths=0.5,
        linecolor="white",
    )
    axes.set_yticks(np.arange(len(labels)) + 0.5, labels.values(), rotation=0)
    axes.set_xticks(np.arange(len(labels)) + 0.5, labels.values())
    axes.tick_params(axis="x", rotation=45, rotation_mode="xtick")
    axes.tick_params(size=0, pad=2)
    for terms in best(rows, 1)["terms"]:
        low, high = sorted(places[task] for task in terms.split("+"))
        axes.add_patch(
            Rectangle((low, high), 1, 1, fill=False, edgecolor=style.HIGHLIGHT, linewidth=2.2, clip_on=False)
        )


def draw_strip(axes: Axes, rows: pd.DataFrame, labels: dict[str, str]) -> None:
    """R² with its interval for the full set, the best pairs and the best single task; grey is the null."""
    shown = strip_rows(rows, len(labels))
    places = np.arange(len(shown))
    axes.barh(
        places, shown["null_high"] - shown["null_mean"], left=shown["null_mean"], height=0.8, color="#bdbdbd", zorder=1
    )
    axes.hlines(places, shown["low"], shown["high"], color="black", linewidth=1.2, zorder=2)
    axes.scatter(shown["r2"], places, s=14, color=style.HIGHLIGHT, edgecolor="black", linewidth=0.5, zorder=3)
    axes.set_yticks(places, [strip_label(terms, labels) for terms in shown["terms"]], linespacing=0.95)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    lowest = np.nanmin(shown[["r2", "low", "null_mean"]].to_numpy(float), initial=0.0)
    axes.set_xlim(lowest - 0.02, 1.02)
    axes.axvline(0, color=style.FAINT, linewidth=0.6)
    axes.grid(axis="x", color="#e5e5e5", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", size=0)
    axes.spines[["right", "top"]].set_visible(False)
    axes.set_xlabel("R² with 95 % interval (grey: null, mean to 95 %)", size=style.SMALL, labelpad=2)


def strip_rows(rows: pd.DataFrame, tasks: int) -> pd.DataFrame:
    """The lines of a strip: the full set where it is more than a pair, the best pairs, the best single task."""
    full = rows[(rows["size"] == tasks) & (rows["size"] > 2)]
    return pd.concat([full, best(rows, BEST_PAIRS), ranked(rows, 1).head(1)])


def strip_label(terms: str, labels: dict[str, str]) -> str:
    """The name of a line: a task, two tasks on two lines, or all."""
    names = [labels[task].replace("\n", " ") for task in terms.split("+")]
    if len(names) > 2:
        return f"all {len(names)} tasks"
    return " +\n".join(names)
