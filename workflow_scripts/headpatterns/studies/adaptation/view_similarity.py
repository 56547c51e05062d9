"""The view of the similarity of tasks: a matrix, and a map on which similar tasks are close to each other."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from headpatterns.presentation.inputs import RunTable, mean_over_seeds, read_run_table, read_table
from headpatterns.presentation.views import (
    COLOURS,
    INK,
    LINE,
    MEAN,
    Chart,
    Interactive,
    Spec,
    chosen,
    number,
    of_seeds,
    parameters,
    rounded,
    select,
    text,
    word,
)

TEXT = ("model", "seed", "matrix", "task_a", "task_b")
NUMBERS = ("value", "low", "high")
MATRICES = {
    "before": "before fine-tuning",
    "after": "after fine-tuning",
    "change_rate": "of change rates",
    "log_ratio": "of log(after / before)",
    "before_spearman": "before, ranks",
    "after_spearman": "after, ranks",
    "change_rate_spearman": "of change rates, ranks",
}
LEVELS = ("before", "after", "before_spearman", "after_spearman")
"""Matrices of levels; the others are of changes, whose correlations are much smaller."""

SHAPES = ["circle", "triangle-up", "square", "diamond", "triangle-down", "cross"]


def show(runs: Path, similarity: Path) -> Interactive:
    """Correlations of every pair of tasks, and a map of them.

    Args:
        runs: runs.csv.
        similarity: analysis/similarity.csv.

    Raises:
        InputError: a file cannot be used, or they are not of the same config.
    """
    table = read_run_table(runs).of_study("adaptation")
    cells = read_table(similarity, TEXT, NUMBERS)
    seeds = list(dict.fromkeys(cells["seed"]))
    keys = [name for name in TEXT if name != "seed"]
    if len(seeds) > 1:
        cells = pd.concat([cells, mean_over_seeds(cells, keys, NUMBERS).assign(seed=MEAN)])
    models = [(model, table.model_label(model)) for model in table.order("model", cells["model"], similarity)]
    matrices = [(name, title) for name, title in MATRICES.items() if name in set(cells["matrix"])]
    controls = [
        select("tasks-model", "Model", models),
        of_seeds("tasks-seed", seeds),
        select("tasks-matrix", "Correlation", matrices),
    ]
    tasks = table.order("task", [*cells["task_a"], *cells["task_b"]], similarity)
    labels = {task: table.task_label(task) for task in tasks}
    pairs = [
        {**{name: row[name] for name in ("model", "seed", "matrix")}, "a": labels[row["task_a"]],
         "b": labels[row["task_b"]], **{name: rounded(row[name]) for name in NUMBERS}}
        for row in cells.to_dict("records")
    ]  # fmt: skip
    on_map = list(places(cells, table, tasks))
    reach: dict[str, float] = {}
    for one in on_map:
        of_map = f"{one['model']}|{scale_of(one['matrix'])}"
        reach[of_map] = max(reach.get(of_map, 0), 1.25 * abs(one["x"]), 1.25 * abs(one["y"]))
    families = list(dict.fromkeys(table.family(task) or "tasks" for task in tasks))
    params = parameters(controls)
    titles = {"models": dict(models), "matrices": dict(matrices)}
    looked_up: list[Spec] = [{"name": "titles", "value": titles},
                 {"name": "what", "expr": "titles.models[model] + ', ' + titles.matrices[matrix]"}]  # fmt: skip
    return Interactive(
        title="Similarity of tasks",
        controls=controls,
        charts=[
            matrix_chart([*params, *looked_up], list(labels.values())),
            *([map_chart([*params, *looked_up, {"name": "reach", "value": reach}], families)] if on_map else []),
        ],
        rows={"pairs": pairs, "places": on_map},
        figures=("figure2", "figure2_clustered", "figure2_rates"),
        files=("analysis/similarity.csv",),
    )


def scale_of(matrix: str) -> str:
    """The kind of maps that share one scale."""
    return "levels" if matrix in LEVELS else "changes"


def places(cells: pd.DataFrame, table: RunTable, tasks: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The place of each task on the map of a model, seed and matrix; fewer than three tasks have no map."""
    keys = ["model", "seed", "matrix"]
    anchors: dict[tuple[str, str], np.ndarray] = {}
    for (model, seed, matrix), rows in cells.groupby(keys, sort=False):
        square = rows.pivot(index="task_a", columns="task_b", values="value")
        present = [task for task in tasks if task in square.index]
        found = square.loc[present, present].to_numpy(dtype=float)
        if len(present) < 3 or not np.isfinite(found).all():
            continue
        points, share = scaled(found)
        anchor = anchors.setdefault((str(model), str(seed)), points)
        if anchor.shape == points.shape:
            points = turned(points, anchor)
        for task, (x, y), under in zip(present, points, is_crowded(points), strict=True):
            yield {"model": model, "seed": seed, "matrix": matrix, "task": table.task_label(task),
                   "family": table.family(task) or "tasks", "x": rounded(x), "y": rounded(y),
                   "share": rounded(share), "under": bool(under)}  # fmt: skip


def is_crowded(points: np.ndarray) -> np.ndarray:
    """Whether another point, [n, 2], is so close above each point that its label must be below it, [n]."""
    size = np.abs(points).max() or 1.0
    across, up = (points[None, :, axis] - points[:, None, axis] for axis in (0, 1))
    found: np.ndarray = ((np.abs(across) < 0.6 * size) & (up > 0) & (up < 0.2 * size)).any(axis=1)
    return found


def scaled(correlations: np.ndarray) -> tuple[np.ndarray, float]:
    """Classical multidimensional scaling of the distances √(2 (1 − r)) to two dimensions (Torgerson 1952).

    Args:
        correlations: [n, n].

    Returns:
        Coordinates, [n, 2], and the share of the positive eigenvalues that two dimensions have, 1 where all is shown.
    """
    count = len(correlations)
    symmetric = (correlations + correlations.T) / 2
    squared = np.clip(2 * (1 - symmetric), 0, None)
    np.fill_diagonal(squared, 0)
    centring = np.eye(count) - 1 / count
    values, vectors = np.linalg.eigh(-centring @ squared @ centring / 2)
    order = np.argsort(values)[::-1][:2]
    kept = np.clip(values[order], 0, None)
    # The sign of an eigenvector is arbitrary: its largest entry is made positive.
    axes = vectors[:, order]
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
    total = float(np.clip(values, 0, None).sum())
    return axes * signs * np.sqrt(kept), float(kept.sum()) / total if total else 1.0


def turned(points: np.ndarray, anchor: np.ndarray) -> np.ndarray:
    """Points, [n, 2], turned and mirrored to lie closest to others, so that maps can be compared (Procrustes)."""
    left, _, right = np.linalg.svd(points.T @ anchor)
    moved: np.ndarray = points @ (left @ right)
    return moved


def matrix_chart(params: list[Spec], tasks: list[str]) -> Chart:
    """Tasks × tasks."""
    cell: Spec = {
        "x": {
            "field": "a",
            "type": "nominal",
            "sort": tasks,
            "title": None,
            "axis": {"labelAngle": -45, "labelOverlap": False},
        },
        "y": {"field": "b", "type": "nominal", "sort": tasks, "title": None},
    }
    spec: Spec = {
        "data": {"name": "pairs"},
        "width": "container",
        "height": {"step": 38},
        "params": params,
        "title": {"text": "Correlation of patterns", "subtitle": text("what")},
        "transform": [{"filter": chosen("model", "seed", "matrix")}],
        "layer": [
            {
                "mark": {"type": "rect"},
                "encoding": {
                    **cell,
                    "color": {
                        "field": "value",
                        "type": "quantitative",
                        "scale": {"scheme": "blueorange", "domain": [-1, 1]},
                        "legend": {"title": "correlation", "gradientLength": 180, "tickCount": 5},
                    },
                    "tooltip": [word("a", "task"), word("b", "and"), number("value", "correlation", ".2f"),
                                number("low", "from", ".2f"), number("high", "to", ".2f")],
                },
            },
            {
                "mark": {"type": "text", "fontSize": 11, "aria": False},
                "encoding": {
                    **cell,
                    "text": {"field": "value", "type": "quantitative", "format": ".2f"},
                    "color": {"condition": {"test": "abs(datum.value) > 0.85", "value": "white"}, "value": INK},
                },
            },
        ],
        "config": {"axis": {"domain": False, "ticks": False}},
    }  # fmt: skip
    return Chart("tasks-matrix-chart", "Matrix of the correlations between all tasks", spec)


def map_chart(params: list[Spec], families: list[str]) -> Chart:
    """The map of the tasks."""
    family: Spec = {"field": "family", "type": "nominal", "title": None, "sort": families}
    # Distances have the same scale in both directions, and on all maps of the levels or of the changes of a model.
    most = f"reach[model + '|' + (indexof({json.dumps(LEVELS)}, matrix) < 0 ? 'changes' : 'levels')] || 1"
    reach = {"x": f"({most}) * width / height", "y": most}
    point: Spec = {
        name: {"field": name, "type": "quantitative", "title": None,
               "scale": {"domainMin": {"expr": f"-({end})"}, "domainMax": {"expr": end}, "nice": False}}
        for name, end in reach.items()
    }  # fmt: skip
    spec: Spec = {
        "data": {"name": "places"},
        "width": "container",
        "height": 300,
        "params": params,
        "title": {"text": "Map: close tasks are similar", "subtitle": text("what")},
        "transform": [{"filter": chosen("model", "seed", "matrix")}],
        "layer": [
            {
                "mark": {"type": "point", "filled": True, "size": 110, "opacity": 1},
                "encoding": {
                    **point,
                    "color": {**family, "scale": {"domain": families, "range": list(COLOURS[: len(families)])}},
                    "shape": {**family, "scale": {"domain": families, "range": SHAPES[: len(families)]}},
                    "tooltip": [word("task", "task"), word("family", "family"),
                                number("share", "shown of all distances", ".0%")],
                },
            },
            {
                "mark": {"type": "text", "dy": {"expr": "datum.under ? 16 : -12"}, "fontSize": 11, "aria": False},
                "encoding": {**point, "text": {"field": "task", "type": "nominal"}},
            },
        ],
        "config": {"axis": {"labels": False, "ticks": False, "domain": False, "grid": False}, "view": {"stroke": LINE}},
    }  # fmt: skip
    return Chart("tasks-map", "Map of the tasks, on which similar tasks lie close to each other", spec)
