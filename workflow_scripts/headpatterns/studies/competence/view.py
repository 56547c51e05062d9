"""The view of competence: accuracy and likelihood of every model on every task, before fine-tuning on it and after."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from headpatterns.claims.competence import AFTER, ALL, BEFORE
from headpatterns.presentation.inputs import RunTable, read_run_table, read_table
from headpatterns.presentation.views import (
    COLOURS,
    FAINT,
    Chart,
    Control,
    Interactive,
    Options,
    Spec,
    chosen,
    number,
    parameters,
    rounded,
    select,
    text,
    with_intervals,
    word,
)
from headpatterns.studies.competence.table import triple

KEYS = ("model", "task", "seed", "state")
SHARES = {"accuracy": ("accuracy", "low", "high"), "likelihood": triple("likelihood")}
TITLES = {"accuracy": "Accuracy", "likelihood": "Accuracy by likelihood"}
FALL = "fall"
"""Used instead of a state: the decrease of the loss between both states."""

STATES = {BEFORE: COLOURS[4], AFTER: COLOURS[1], FALL: COLOURS[2]}
NUMBERS = tuple(dict.fromkeys([*sum(SHARES.values(), ()), *triple("nll"), *triple("loss_fall"), "chance"]))


def show(runs: Path, competence: Path) -> Interactive:
    """Shares of correct answers compared with chance, and losses of gold responses.

    Args:
        runs: runs.csv.
        competence: analysis/competence.csv.

    Raises:
        InputError: a file cannot be used, or they are not of the same config.
    """
    labels = read_run_table(runs).of_study("adaptation")
    table = read_table(competence, (*KEYS, "items", "note"), NUMBERS)
    seeds = [seed for seed in dict.fromkeys(table["seed"]) if seed != ALL]
    models = [(model, labels.model_label(model)) for model in labels.order("model", table["model"], competence)]
    tasks = [labels.task_label(task) for task in labels.order("task", table["task"], competence)]
    of_all: Options = [(ALL, f"all {len(seeds)}" if len(seeds) > 1 else next(iter(seeds), ALL))]
    found = list(shares(table, labels))
    spent = list(losses(table, labels))
    fallen = any(row["state"] == FALL for row in spent)
    measures = [(name, title) for name, title in TITLES.items() if any(row["measure"] == name for row in found)]
    controls = [
        select("competence-model", "Model", models),
        select("competence-seed", "Seed", [*of_all, *((seed, seed) for seed in seeds)] if len(seeds) > 1 else of_all),
        select("competence-measure", "Answers", measures or [("accuracy", TITLES["accuracy"])]),
    ]
    return Interactive(
        title="Competence task by task",
        controls=controls,
        charts=[share_chart(controls, models, tasks), loss_chart(controls, models, tasks, fallen)],
        rows={"shares": found, "losses": spent},
        figures=("competence",),
        files=("analysis/competence.csv",),
    )


def shares(table: pd.DataFrame, labels: RunTable) -> Iterator[dict[str, Any]]:
    """Shares of correct answers in per cent, or why there is none."""
    for row in table.to_dict("records"):
        for measure, names in SHARES.items():
            numbers = [rounded(100 * row[name]) for name in (*names, "chance")]
            value, low, high, chance = numbers
            note = row["note"] if measure == "accuracy" and row["state"] == AFTER else ""
            if value is not None or note:
                yield {**texts(row, labels), "measure": measure, "items": row["items"], "value": value, "low": low,
                       "high": high, "chance": chance, "note": note}  # fmt: skip


def losses(table: pd.DataFrame, labels: RunTable) -> Iterator[dict[str, Any]]:
    """Negative log-likelihoods of gold responses in nats per token; if none is known, the decrease of the loss."""
    for row in table.to_dict("records"):
        value, low, high = (rounded(row[name]) for name in triple("nll"))
        fell = [rounded(row[name]) for name in triple("loss_fall")]
        if value is not None:
            yield {**texts(row, labels), "value": value, "low": low, "high": high}
        elif fell[0] is not None:
            yield {**texts(row, labels), "state": FALL, **dict(zip(("value", "low", "high"), fell, strict=True))}


def texts(row: Mapping[Any, Any], labels: RunTable) -> dict[str, str]:
    """The subject of a row, with labels of tasks."""
    return {"model": row["model"], "seed": row["seed"], "state": row["state"], "task": labels.task_label(row["task"])}


def frame(controls: Sequence[Control], models: Options, rows: str, title: Spec | str, subtitle: str) -> Spec:
    """The common parts of both charts."""
    return {
        "data": {"name": rows},
        "width": "container",
        "height": {"step": 34, "for": "position"},
        "params": [*parameters(controls), {"name": "names", "value": {"model": dict(models), "measure": TITLES}}],
        "title": {"text": title, "subtitle": text(f"names.model[model] + '; {subtitle}'")},
    }


def placed(tasks: Sequence[str]) -> Spec:
    """A row for each task, in their order, with a separate line for each state."""
    return {
        "y": {"field": "task", "type": "nominal", "title": None, "sort": list(tasks)},
        "yOffset": {"field": "state", "type": "nominal", "sort": list(STATES)},
    }


def coloured(*states: str) -> Spec:
    """The colour of each state."""
    scale = {"domain": list(states), "range": [STATES[state] for state in states]}
    return {"field": "state", "type": "nominal", "title": "fine-tuning", "scale": scale}


def share_chart(controls: Sequence[Control], models: Options, tasks: Sequence[str]) -> Chart:
    """Correct answers in per cent, compared with chance; for tasks without an accuracy, the reason."""
    x: Spec = {"field": "value", "type": "quantitative", "title": "per cent", "scale": {"domain": [0, 100]}}
    y = placed(tasks)
    said = [word("task", "task"), word("state", "fine-tuning"), number("value", "per cent"), number("low", "from"),
            number("high", "to"), number("chance", "chance"), word("items", "items")]  # fmt: skip
    spec: Spec = {
        **frame(controls, models, "shares", text("names.measure[measure]"), "bars: 95 % interval, grey: chance"),
        "transform": [{"filter": chosen("model", "seed", "measure")}],
        "layer": [
            {
                "transform": [{"filter": f"datum.state == '{AFTER}' && isValid(datum.chance)"}],
                "mark": {"type": "tick", "color": FAINT, "thickness": 2, "size": 28, "aria": False},
                "encoding": {"y": y["y"], "x": {**x, "field": "chance"}},
            },
            {
                "transform": [{"filter": "datum.note != ''"}],
                "mark": {"type": "text", "align": "left", "color": FAINT, "fontSize": 11},
                "encoding": {"y": y["y"], "x": {"datum": 1, "type": "quantitative"}, "text": {"field": "note"}},
            },
            *with_intervals(x, y, coloured(BEFORE, AFTER), said),
        ],
    }
    points = spec["layer"][-1]
    points["transform"] = [{"filter": "isValid(datum.value)"}]
    description = "Dot chart of the right answers on every task before and after fine-tuning, with intervals and chance"
    return Chart("competence-shares", description, spec, beside=True)


def loss_chart(controls: Sequence[Control], models: Options, tasks: Sequence[str], fallen: bool) -> Chart:
    """The loss of the gold response on every task; `fallen` if only the decrease is known for some."""
    x: Spec = {"field": "value", "type": "quantitative", "title": "nats per token"}
    said = [word("task", "task"), word("state", "fine-tuning"), number("value", "nats per token"),
            number("low", "from"), number("high", "to")]  # fmt: skip
    spec: Spec = {
        **frame(controls, models, "losses", "NLL of the gold response", "bars: 95 % interval"),
        "transform": [{"filter": chosen("model", "seed")}],
        "layer": with_intervals(x, placed(tasks), coloured(BEFORE, AFTER, *([FALL] if fallen else [])), said),
    }
    description = "Dot chart of the loss of gold responses on every task before and after fine-tuning, with intervals"
    return Chart("competence-losses", description, spec)
