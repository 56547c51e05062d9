"""Figure 1: activation patterns before and after fine-tuning and their change, layer × head."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headpatterns.presentation import style
from headpatterns.presentation.inputs import RunTable, mean_over_seeds, read_run_table, read_table

TEXT = ("model", "task", "seed", "state")
NUMBERS = ("layer", "head", "value")
STATES = ("before", "after", "change")
TITLES = {state: state for state in STATES}


def figures(runs: Path, patterns: Path) -> dict[str, Figure]:
    """`figure1`, from runs.csv and analysis/patterns.csv.

    Raises:
        InputError: a file cannot be used, or they are not of the same config.
    """
    return {"figure1": draw(read_run_table(runs), read_table(patterns, TEXT, NUMBERS), patterns)}


def draw(
    runs: RunTable,
    patterns: pd.DataFrame,
    source: Path | str = "patterns.csv",
    titles: Mapping[str, str] = TITLES,
) -> Figure:
    """Draw the heat maps: one row per task, three columns per model, seeds averaged.

    `patterns` has the columns `TEXT` and `NUMBERS`. Colours show the square root of a value as a share of the largest
    value of its model and task. Before and after share this value; the change has its own. With a linear scale, a few
    heads with most of a pattern would make the others black. A logarithm could not show a head at zero. The largest
    value is printed above the panels. `titles` are the labels of the states.
    """
    runs = runs.of_study("adaptation")
    models = runs.order("model", patterns["model"], source)
    tasks = runs.order("task", patterns["task"], source)
    averaged = mean_over_seeds(patterns, ("model", "task", "state", "layer", "head"), ("value",))
    grids = {key: grid(rows) for key, rows in averaged.groupby(["model", "task", "state"], sort=False)}
    numbers = {model: sorted(rows["layer"].astype(int).unique()) for model, rows in averaged.groupby("model")}

    panel = float(np.clip(9.0 / (3 * len(models)), 0.72, 1.3))
    tallest = max(rows / columns for rows, columns in (found.shape for found in grids.values()))
    height = float(np.clip(panel * tallest, 0.45, panel))
    labels = [style.wrapped(runs.task_label(task), 16) for task in tasks]
    left = style.text_width(labels, style.MEDIUM) + 0.5
    block, row_height = 3 * panel + 0.14 + 0.42, height + 0.24
    figure = style.new_figure(left + block * len(models), 0.5 + row_height * len(tasks) + 0.95)

    for m, model in enumerate(models):
        middle = left + m * block + (3 * panel + 0.14) / 2
        style.text_at(
            figure, middle, 0.14, runs.model_label(model), size=style.LARGE, weight="bold", ha="center", va="center"
        )
        for t, task in enumerate(tasks):
            found = [grids.get((model, task, state)) for state in STATES]
            scales = (largest(found[:2]), largest(found[:2]), largest(found[2:]))
            for s, (values, scale) in enumerate(zip(found, scales, strict=True)):
                axes = style.axes_at(figure, left + m * block + s * (panel + 0.07), 0.5 + t * row_height, panel, height)
                show(axes, values, scale, numbers[model], signed=STATES[s] == "change")
                if s == 0:
                    axes.set_title(f"≤ {style.number(scale)}", size=style.SMALL, loc="left", color=style.FAINT)
                    axes.set_ylabel("layer", size=style.SMALL, labelpad=1)
                else:
                    axes.set_yticks([])
                if s == 2:
                    axes.set_title(f"± {style.number(scale)}", size=style.SMALL, loc="left", color=style.FAINT)
                if t == len(tasks) - 1:
                    axes.set_xlabel("head", size=style.SMALL, labelpad=1)
                else:
                    axes.set_xticklabels([])
                if t == 0:
                    style.text_at(
                        figure, left + m * block + s * (panel + 0.07) + panel / 2, 0.3, titles[STATES[s]],
                        ha="center", va="center",
                    )  # fmt: skip
    for t, label in enumerate(labels):
        style.text_at(figure, left - 0.42, 0.5 + t * row_height + height / 2, label, ha="right", va="center")
    add_colour_bars(figure, left, 0.5 + row_height * len(tasks) + 0.28, block * len(models) - 0.42)
    return figure


def grid(rows: pd.DataFrame) -> np.ndarray:
    """The values of one pattern as [layers, heads]; a missing head is NaN."""
    return rows.pivot(index="layer", columns="head", values="value").to_numpy(float)


def largest(patterns: list[np.ndarray | None]) -> float:
    """The largest magnitude in `patterns`, 0 if there is none."""
    found = [np.nanmax(np.abs(values)) for values in patterns if values is not None and np.isfinite(values).any()]
    return float(max(found, default=0.0))


def signed_root(values: np.ndarray) -> np.ndarray:
    """Square root that keeps the sign."""
    root: np.ndarray = np.sign(values) * np.sqrt(np.abs(values))
    return root


def show(axes: Axes, values: np.ndarray | None, scale: float, numbers: Sequence[int], signed: bool) -> None:
    """Draw one pattern, whose layers have these numbers.

    It is an image, because one path per head would make a figure of thousands of heads large.
    """
    for spine in axes.spines.values():
        spine.set_linewidth(0.4)
    if values is None:
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "no run", transform=axes.transAxes, ha="center", va="center", size=style.SMALL)
        return
    layers, heads = values.shape
    axes.imshow(
        signed_root(values / scale) if scale > 0 else np.zeros_like(values),
        cmap=style.colour_map(style.SIGNED if signed else style.MAGNITUDE),
        vmin=-1 if signed else 0,
        vmax=1,
        interpolation="none",
        aspect="auto",  # models with different shapes share one panel size
    )
    axes.set_xticks(sorted({0, heads - 1}))
    if heads > 8:  # cells are narrow: keep the last head's label clear of the first one of the next panel
        sides: Sequence[Literal["left", "right"]] = ("left", "right")
        for label, side in zip(axes.get_xticklabels(), sides, strict=False):
            label.set_horizontalalignment(side)
    ends = sorted({0, layers - 1})
    axes.set_yticks(ends, labels=[str(numbers[end]) for end in ends])
    axes.tick_params(pad=1, size=1.5)


def add_colour_bars(figure: Figure, left: float, top: float, width: float) -> None:
    """The two scales, side by side below the panels, labelled in shares of the value above a panel."""
    gap = 0.5
    bar = (width - gap) / 2
    shares = np.array([0, 0.05, 0.25, 0.5, 1]) if bar > 1.8 else np.array([0, 0.25, 1])
    magnitude = style.colour_bar(
        style.axes_at(figure, left, top, bar, 0.1), style.MAGNITUDE, 0, 1,
        style.wrapped("activation level, share of the value (≤) above the panels", int(bar * 15)),
    )  # fmt: skip
    magnitude.set_ticks(np.sqrt(shares), labels=[f"{share:g}" for share in shares])
    signed = shares[1:] if bar > 2.4 else np.array([0.25, 1])
    ticks = np.concatenate([-signed[::-1], [0], signed])
    change = style.colour_bar(
        style.axes_at(figure, left + bar + gap, top, bar, 0.1), style.SIGNED, -1, 1,
        style.wrapped("change, share of the value (±) above the panel", int(bar * 15)),
    )  # fmt: skip
    change.set_ticks(signed_root(ticks).tolist(), labels=[f"{tick:g}".replace("-", "−") for tick in ticks])
