"""The view of composition: how well sums of basic changes explain a complex one, and with which weights."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from headpatterns.presentation.inputs import RunTable, mean_over_seeds, read_run_table, read_table
from headpatterns.presentation.views import (
    COLOURS,
    FAINT,
    INK,
    MEAN,
    Chart,
    Control,
    Interactive,
    Spec,
    chosen,
    number,
    of_seeds,
    parameters,
    rounded,
    select,
    text,
    with_intervals,
    word,
)
from headpatterns.studies.composition.figure4 import PANELS

KEYS = ("model", "group", "complex", "of", "terms")
TEXT = (*KEYS, "seed")
FITS = ("size", "r2", "low", "high", "null_high")
COEFFICIENTS = ("beta", "low", "high")


def show(runs: Path, composition: Path, coefficients: Path) -> Interactive:
    """R² of every sum of basic tasks with its interval, and the weights of the chosen sum.

    Args:
        runs: runs.csv.
        composition: analysis/composition.csv.
        coefficients: analysis/composition_coefficients.csv.

    Raises:
        InputError: a file cannot be used, or they are not of the same config.
    """
    table = read_run_table(runs).of_study("composition")
    fits = read_table(composition, TEXT, FITS)
    weights = read_table(coefficients, (*TEXT, "task"), COEFFICIENTS)
    seeds = list(dict.fromkeys(fits["seed"]))
    if len(seeds) > 1:
        fits = pd.concat([fits, mean_over_seeds(fits, KEYS, FITS).assign(seed=MEAN)])
        weights = pd.concat([weights, mean_over_seeds(weights, (*KEYS, "task"), COEFFICIENTS).assign(seed=MEAN)])
    models = [(model, table.model_label(model)) for model in table.order("model", fits["model"], composition)]
    complexes = {f"{group}|{task}": f"{table.task_label(task)} ({group})"
                 for group, task in dict.fromkeys(zip(fits["group"], fits["complex"], strict=True))}  # fmt: skip
    sums = {key: list(dict.fromkeys(rows["terms"])) for key, rows in fits.groupby(["group", "complex"], sort=False)}
    known = {"|".join(map(str, key)): found for key, found in sums.items()}
    of_first = fits[
        (fits["of"] == "change") & (fits["model"] == models[0][0]) & (fits["terms"].isin(known[next(iter(complexes))]))
    ]
    of_pairs = of_first[of_first["size"] == 2] if (of_first["size"] == 2).any() else of_first
    start = str(of_pairs.sort_values("r2", ascending=False, kind="stable")["terms"].iloc[0])
    controls = [
        select("sums-model", "Model", models),
        select("sums-complex", "Complex task", list(complexes.items())),
        of_seeds("sums-seed", seeds),
        select("sums-of", "Fit to", [(of, title) for of, title in PANELS.items() if of in set(fits["of"])]),
        Control("sums-terms", "Sum of", "select", start=start,
                options=[(terms, joined(table, terms)) for terms in dict.fromkeys(fits["terms"])]),
    ]  # fmt: skip
    return Interactive(
        title="Sums of basic tasks",
        controls=controls,
        charts=[fit_chart(controls), weight_chart(controls, known)],
        rows={"fits": shown(fits, table, FITS), "weights": shown(weights, table, COEFFICIENTS)},
        figures=("figure4", "composition-controls"),
        files=("analysis/composition.csv", "analysis/composition_coefficients.csv"),
    )


def joined(table: RunTable, terms: str) -> str:
    """The label of a set of tasks."""
    names = terms.split("+")
    return " + ".join(map(table.task_label, names)) if len(names) <= 3 else f"all {len(names)} basic tasks"


def shown(rows: pd.DataFrame, table: RunTable, numbers: tuple[str, ...]) -> list[dict[str, object]]:
    """Rows for the page, with labels instead of names."""
    made = []
    for row in rows.to_dict("records"):
        kept: dict[str, object] = {name: row[name] for name in ("model", "seed", "of", "terms")}
        kept |= {"complex": f"{row['group']}|{row['complex']}", "sum": joined(table, row["terms"])}
        kept |= {"label": table.task_label(row["task"])} if "task" in row else {}
        made.append({**kept, **{name: rounded(row[name]) for name in numbers}})
    return made


def fit_chart(controls: list[Control]) -> Chart:
    """R² of every sum, the largest first; a click chooses one."""
    x: Spec = {"field": "r2", "type": "quantitative", "title": "R²"}
    y: Spec = {"y": {"field": "sum", "type": "nominal", "title": None, "sort": {"field": "r2", "order": "descending"}}}
    colour: Spec = {
        "condition": {"test": "datum.terms == terms", "value": COLOURS[1]},
        "value": COLOURS[0],
    }
    click: Spec = {
        "name": "picked",
        "select": {"type": "point", "fields": ["terms"], "on": "click", "toggle": False, "clear": False},
        "bind": {"terms": {"element": "#sums-terms"}},
    }
    bars, points = with_intervals(
        x, y, colour, [word("sum", "sum of"), number("r2", "R²", ".2f"), number("low", "from", ".2f"),
                       number("high", "to", ".2f"), number("null_high", "by chance, up to", ".2f")]
    )  # fmt: skip
    points["params"] = [click]
    points["mark"]["cursor"] = "pointer"
    spec: Spec = {
        "data": {"name": "fits"},
        "width": "container",
        "height": {"step": 19},
        "params": parameters(controls),
        "title": {"text": "How much each sum explains", "subtitle": "bars: 95 % interval; grey line: 95 % of chance"},
        "transform": [{"filter": chosen("model", "complex", "seed", "of")}],
        "layer": [
            {
                "mark": {"type": "tick", "color": FAINT, "thickness": 2, "aria": False},
                "encoding": {**y, "x": {**x, "field": "null_high"}},
            },
            bars,
            points,
        ],
    }
    return Chart("sums-fits", "Dot chart of R² of every sum of basic tasks, with intervals", spec)


def weight_chart(controls: list[Control], known: Mapping[str, list[str]]) -> Chart:
    """The weights of the chosen sum; `known` are the sums of each complex task."""
    x: Spec = {"field": "beta", "type": "quantitative", "title": "weight β"}
    y: Spec = {"y": {"field": "label", "type": "nominal", "title": None, "sort": None}}
    spec: Spec = {
        "data": {"name": "weights"},
        "width": "container",
        "height": {"step": 30},
        "params": [*parameters(controls), {"name": "known", "value": known}],
        "title": {
            "text": "Weights of the chosen sum",
            "subtitle": text("indexof(known[complex], terms) < 0 ? 'not a sum for this task: choose another' : "
                             "'bars: 95 % interval'"),
        },
        "transform": [{"filter": chosen("model", "complex", "seed", "of", "terms")}],
        "layer": [
            {
                "mark": {"type": "rule", "color": FAINT, "strokeDash": [3, 3], "aria": False},
                "encoding": {"x": {"datum": 0, "type": "quantitative"}},
            },
            *with_intervals(
                x, y, {"value": INK}, [word("label", "task"), number("beta", "β"), number("low", "from"),
                                       number("high", "to")]
            ),
        ],
    }  # fmt: skip
    return Chart("sums-weights", "Dot chart of the weight of each basic task in the chosen sum, with intervals", spec)
