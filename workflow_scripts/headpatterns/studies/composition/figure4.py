"""Figure 4: how well basic tasks, alone, in pairs and all together, explain a complex task, with two controls."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from headpatterns.presentation import style
from headpatterns.presentation.inputs import RunTable, mean_over_seeds, read_run_table, read_table
from headpatterns.statistics import spearman

TEXT = ("model", "group", "seed", "complex", "of", "terms")
NUMBERS = ("size", "r2", "low", "high", "null_mean", "null_high", "plain")
PANELS = {
    "change": "Changes",
    "base": "Base patterns alone",
    "partialled": "Changes without base pattern",
}
BEST_PAIRS = 3  # pairs drawn with their intervals
LINE = 0.28  # inches, one line of the strip
ABOVE = 0.95  # inches, the lines above a matrix


def figures(runs: Path, composition: Path) -> dict[str, Figure]:
    """`figure4`, from runs.csv and analysis/composition.csv.

    Raises:
        InputError: a file cannot be used, or they are not of the same config.
    """
    return {"figure4": draw(read_run_table(runs), read_table(composition, TEXT, NUMBERS), composition)}


def draw(runs: RunTable, composition: pd.DataFrame, source: Path | str = "composition.csv") -> Figure:
    """Draw a block for each group and model: R² matrices on changes and on both controls, each above a strip.

    The strips have the same term sets in all three panels, the best ones on changes, with intervals and null.

    `composition` has the columns `TEXT` and `NUMBERS`; seeds are averaged. A cell of the lower triangle is a pair, and
    a cell of the diagonal a single task. R² may be negative (without intercept): colours end at 0, but values do not.
    """
    runs = runs.of_study("composition")
    models = runs.order("model", composition["model"], source)
    averaged = mean_over_seeds(composition, ("model", "group", "complex", "of", "terms"), NUMBERS)
    tasks = {
        key: runs.order("task", "+".join(rows["terms"]).split("+"), source)
        for key, rows in averaged.groupby(["group", "complex"], sort=False)
    }
    cells = {(*key,): rows for key, rows in averaged.groupby(["group", "complex", "model", "of"], sort=False)}
    blocks = [(*group, model) for group in group_order(runs, averaged) for model in models
              if (*group, model, "change") in cells]  # fmt: skip
    names = [style.wrapped(runs.task_label(task), 18) for found in tasks.values() for task in found]
    left = style.text_width([*names, "all 20 tasks"]) + 0.2
    side = float(np.clip(0.31 * max(len(found) for found in tasks.values()), 1.9, 4.2))
    below = 0.72 * style.text_width(names) + 0.15
    lines = {block: max(1, len(strip_rows(cells[*block, "change"], len(tasks[block[:2]])))) for block in blocks}
    heights = [ABOVE + side + below + count * LINE + 0.72 for count in lines.values()]
    height = sum(heights)
    figure = style.new_figure(left + len(PANELS) * (side + 0.12), height + 0.45)
    for place, block in enumerate(blocks):
        top = sum(heights[:place])
        title = f"{runs.model_label(block[2])}, group {block[0]}: {runs.task_label(block[1])}"
        style.text_at(figure, 0, top + 0.1, title, size=style.LARGE, weight="bold", va="center")
        labels = {task: style.wrapped(runs.task_label(task), 18) for task in tasks[block[:2]]}
        panels = {of: cells[*block, of] for of in PANELS}
        shown = strip_rows(panels["change"], len(labels))["terms"].tolist()
        for column, (of, rows) in enumerate(panels.items()):
            x = left + column * (side + 0.12)
            matrix = style.axes_at(figure, x, top + ABOVE, side, side)
            strip = style.axes_at(figure, x, top + ABOVE + side + below + 0.1, side, lines[block] * LINE)
            draw_matrix(matrix, rows, labels)
            as_paper = "the paper's fit" if of == "change" else f"ρ with changes: {agreement(panels['change'], rows)}"
            matrix.set_title(f"{PANELS[of]}\n{as_paper}\n{title_lines(rows, len(labels))}", linespacing=1.3)
            draw_strip(strip, rows.set_index("terms").reindex(shown).reset_index(), labels)
            if column == 1:
                strip.set_xlabel("R² with 95 % interval (grey: null, mean to 95 %)", size=style.SMALL, labelpad=7)
            if column:
                for axes in (matrix, strip):
                    axes.set_yticklabels([])
    bar = style.axes_at(figure, left + (len(PANELS) * (side + 0.12) - 2.5) / 2, height + 0.02, 2.5, 0.1)
    style.colour_bar(bar, style.MAGNITUDE, 0, 1, "R² (0 and below have the same colour)", extend="min")
    return figure


def agreement(changes: pd.DataFrame, control: pd.DataFrame) -> str:
    """Spearman's correlation over pairs between R² on changes and on a control, as composition_controls.csv has it."""
    r2 = [rows[rows["size"] == 2].set_index("terms")["plain"] for rows in (changes, control)]
    if len(r2[0]) < 3:
        return "n/a"
    # `spearman` takes patterns, so pairs stand where it expects heads.
    return style.fixed(float(spearman(*(values.reindex(r2[0].index).to_numpy()[None] for values in r2))))


def group_order(runs: RunTable, rows: pd.DataFrame) -> list[tuple[str, str]]:
    """The (group, complex task) pairs in the table, groups in the run table's order."""
    ranks = {group: rank for rank, group in enumerate(dict.fromkeys(runs.rows["group"]))}
    found = list(dict.fromkeys(zip(rows["group"], rows["complex"], strict=True)))
    return sorted(found, key=lambda pair: ranks.get(pair[0], len(ranks)))


def best(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """The `count` pairs with the highest R², best first."""
    return ranked(rows, 2).head(count)


def ranked(rows: pd.DataFrame, size: int) -> pd.DataFrame:
    """The fits with `size` tasks, highest R² first; undefined ones (with a constant change) are left out."""
    return rows[rows["size"] == size].dropna(subset="r2").sort_values("r2", ascending=False, kind="stable")


def title_lines(rows: pd.DataFrame, tasks: int) -> str:
    """The text above a matrix: R² of the full set and the 95 % quantile of its null."""
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


def draw_strip(axes: Axes, shown: pd.DataFrame, labels: dict[str, str]) -> None:
    """R² with its interval for each of some term sets, from top to bottom; grey is the null."""
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
    axes.locator_params(axis="x", nbins=4)


def strip_rows(rows: pd.DataFrame, tasks: int) -> pd.DataFrame:
    """The lines of a strip: the full set if it is more than a pair, the best pairs, the best single task."""
    full = rows[(rows["size"] == tasks) & (rows["size"] > 2)]
    return pd.concat([full, best(rows, BEST_PAIRS), ranked(rows, 1).head(1)])


def strip_label(terms: str, labels: dict[str, str]) -> str:
    """The name of a line: a task, two tasks on two lines, or all."""
    names = [labels[task].replace("\n", " ") for task in terms.split("+")]
    if len(names) > 2:
        return f"all {len(names)} tasks"
    return " +\n".join(names)
