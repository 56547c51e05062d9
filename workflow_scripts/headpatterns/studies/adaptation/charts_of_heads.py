"""The charts of the view of heads: the heat map, and charts about the chosen head."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headpatterns.presentation.views import (
    COLOURS,
    FAINT,
    INK,
    OF_CHOSEN_SEED,
    Chart,
    Control,
    Spec,
    calculate,
    chosen,
    number,
    parameters,
    text,
    with_intervals,
    word,
)

VALUE = {
    "over_loss": "datum.now / datum.nll",
    "change": "datum.now - datum.first",
    "ratio": "log(datum.now / datum.first) / LN2",
    "signed": "datum.sign",
    "level": "datum.now",
}
"""Each quantity, from a head's level at a step, `now`, its level at step 0, `first`, the loss `nll` and the signed
sum."""

SIGNED = ("change", "ratio", "signed")
"""Quantities that may be below 0."""

TALL = 16
"""With at least this many layers, the heat map is as high as the other charts together, which are then next to it."""

STEP_0 = {"datum.now": "datum.first", "datum.nll": "datum.first_nll", "datum.sign": "datum.first_sign"}
PHASES = {"domain": ["before", "after"], "range": [COLOURS[4], COLOURS[1]]}


@dataclass(frozen=True)
class Tables:
    """Tables in which charts look up values.

    Attributes:
        about: steps, numbers of the layers, and heads, by `model|task`.
        limits: largest magnitudes by quantity: `shared` by all, and `own` by `model|task|seed` and step.
        labels: of models and tasks, by name.
        quantities: the shown quantities, with their labels.
    """

    about: Mapping[str, Any]
    limits: Mapping[str, Any]
    labels: Mapping[str, Mapping[str, str]]
    quantities: Mapping[str, str]

    @property
    def most_layers(self) -> int:
        """Layers of the deepest model."""
        return max(len(one["layers"]) for one in self.about.values())

    @property
    def cell_height(self) -> int:
        """Pixels: about 500 for all layers, if cells stay readable and do not become bars."""
        return min(40, max(14, 500 // self.most_layers))

    @property
    def has_signs(self) -> bool:
        """Whether records have a list of signed sums."""
        return "signed" in self.quantities

    @property
    def parameters(self) -> list[Spec]:
        """The tables, and values that follow from them and the choices."""
        return [
            {"name": "about", "value": self.about},
            {"name": "labels", "value": self.labels},
            {"name": "quantities", "value": self.quantities},
            {"name": "run", "expr": "about[model + '|' + task] || {steps: [0], layers: [], heads: 0}"},
            {"name": "k", "expr": "min(toNumber(step), length(run.steps) - 1)"},
            {"name": "row", "expr": "indexof(run.layers, toNumber(layer))"},
            {"name": "there", "expr": "row >= 0 && indexof(sequence(run.heads), toNumber(head)) >= 0"},
            {"name": "place", "expr": "there ? row * run.heads + toNumber(head) : -1"},
            {"name": "axis_title", "expr": "quantities[quantity]"},
            {"name": "task_title", "expr": "labels.model[model] + ', ' + labels.task[task]"},
            {
                "name": "head_title",
                "expr": "'Layer ' + layer + ', head ' + head + (there ? '' : ': not in this model')",
            },
        ]

    @property
    def value(self) -> str:
        """Expression: the chosen quantity of a row."""
        cases = [f"quantity == '{name}' ? {VALUE[name]} : " for name in self.quantities if name != "level"]
        return f"{''.join(cases)}{VALUE['level']}"

    @property
    def value_at_step_0(self) -> str:
        """The same of a row at step 0."""
        found = self.value
        for now, before in STEP_0.items():
            found = found.replace(now, before)
        return found


def charts(controls: Sequence[Control], tables: Tables, ablated: bool) -> list[Chart]:
    """The heat map, the head's curve, its levels on every task and, if heads were ablated, the effect of this."""
    made = [heat_map(controls, tables), curve(controls, tables), of_tasks(controls, tables)]
    return [*made, of_ablations(controls, tables)] if ablated else made


def heat_map(controls: Sequence[Control], tables: Tables) -> Chart:
    """Layer × head at the chosen step; a click chooses a head."""
    own = "(limits[quantity].own[model + '|' + task + '|' + seed] || [1])[k]"
    sign = ["sign"] if tables.has_signs else []
    click: Spec = {
        "name": "picked",
        "select": {"type": "point", "fields": ["layer", "head"], "on": "click", "toggle": False, "clear": False},
        "bind": {"layer": {"element": "#heads-layer"}, "head": {"element": "#heads-head"}},
    }
    cell: Spec = {
        "x": {"field": "head", "type": "ordinal", "title": "head", "axis": {"labelAngle": 0}},
        "y": {"field": "layer", "type": "ordinal", "title": "layer"},
    }
    colour: Spec = {
        "field": "colour",
        "type": "quantitative",
        "scale": {
            "scheme": {"expr": "is_signed ? 'blueorange' : 'viridis'"},
            "domainMin": {"expr": "is_signed ? -most : 0"},
            "domainMax": {"expr": "most"},
        },
        "legend": {
            "title": None,
            "gradientLength": 180,
            "tickCount": 3,
            "labelExpr": "format(datum.value < 0 ? -datum.value * datum.value : datum.value * datum.value, '.2~g')",
        },
    }
    spec: Spec = {
        "data": {"name": "heads"},
        "width": "container",
        "height": {"step": tables.cell_height},
        "params": [
            *parameters(controls),
            *tables.parameters,
            {"name": "limits", "value": tables.limits},
            {"name": "is_signed", "expr": " || ".join(f"quantity == '{name}'" for name in SIGNED)},
            {"name": "most", "expr": f"sqrt(scale == 'shared' ? limits[quantity].shared : {own}) || 1"},
        ],
        "title": {
            "text": text("task_title"),
            "subtitle": text("axis_title + ', step ' + run.steps[k] + ' of ' + run.steps[length(run.steps) - 1]"),
        },
        "transform": [
            {"filter": f"{chosen('model', 'task')} && {OF_CHOSEN_SEED}"},
            *calculate(
                now="datum.level[k]",
                first="datum.level[0]",
                nll="datum.loss[k]",
                **({"sign": "datum.signed[k]"} if sign else {}),
                cell="sequence(length(datum.now))",
            ),
            {"flatten": ["cell", "now", "first", *sign]},
            *calculate(value=tables.value),
            {"aggregate": [{"op": "mean", "field": "value", "as": "value"}], "groupby": ["cell"]},
            *calculate(
                layer="run.layers[floor(datum.cell / run.heads)]",
                head="datum.cell % run.heads",
                colour="datum.value < 0 ? -sqrt(-datum.value) : sqrt(datum.value)",
                said="'layer ' + datum.layer + ', head ' + datum.head + ': ' + format(datum.value, '.3~g')",
            ),
        ],
        "layer": [
            {
                "params": [click],
                "mark": {"type": "rect", "cursor": "pointer"},
                "encoding": {
                    **cell,
                    "color": colour,
                    "description": {"field": "said"},
                    "tooltip": [number("layer", "layer", "d"), number("head", "head", "d"), number("value", "value")],
                },
            },
            {
                "transform": [{"filter": "datum.layer == toNumber(layer) && datum.head == toNumber(head)"}],
                "mark": {"type": "rect", "fill": None, "stroke": "white", "strokeWidth": 4, "aria": False},
                "encoding": cell,
            },
            {
                "transform": [{"filter": "datum.layer == toNumber(layer) && datum.head == toNumber(head)"}],
                "mark": {"type": "rect", "fill": None, "stroke": INK, "strokeWidth": 2, "aria": False},
                "encoding": cell,
            },
        ],
        "config": {"axis": {"domain": False, "ticks": False}},
    }
    return Chart(
        "heads-map", "Heat map of all heads, layer by head, at the chosen step", spec, beside=tables.most_layers >= TALL
    )


def curve(controls: Sequence[Control], tables: Tables) -> Chart:
    """The chosen head at every step, with one line per seed."""
    sign = ["signed"] if tables.has_signs else []
    at: Spec = {
        "field": "at",
        "type": "quantitative",
        "title": "training step",
        "scale": {"type": "symlog"},
        "axis": {"values": {"expr": "run.steps"}, "grid": False, "format": "d"},
    }
    value: Spec = {"field": "value", "type": "quantitative", "title": None, "scale": {"zero": False}}
    several = len(next(control for control in controls if control.id == "heads-seed").options) > 1
    mean: Spec = {
        "transform": [{"aggregate": [{"op": "mean", "field": "value", "as": "value"}], "groupby": ["at"]}],
        "mark": {"type": "line", "color": INK, "strokeWidth": 2.5, "aria": False},
        "encoding": {"x": at, "y": value},
    }
    spec: Spec = {
        "data": {"name": "heads"},
        "width": "container",
        "height": 190,
        "params": [*parameters(controls), *tables.parameters],
        "title": {
            "text": text("head_title"),
            "subtitle": text(
                f"axis_title + ', ' + labels.task[task] + '{'; black: mean over seeds' if several else ''}'"
            ),
        },
        "transform": [
            {"filter": chosen("model", "task")},
            *calculate(first="datum.level[0][place]"),
            {"flatten": ["steps", "loss", "level", *sign], "as": ["at", "nll", "levels", *(["signs"] if sign else [])]},
            *calculate(now="datum.levels[place]", **({"sign": "datum.signs[place]"} if sign else {})),
            {"filter": "there && isValid(datum.now)"},
            *calculate(value=tables.value),
        ],
        "layer": [
            {
                "transform": [{"filter": "datum.at == run.steps[k]"}],
                "mark": {"type": "rule", "color": FAINT, "strokeDash": [3, 3], "aria": False},
                "encoding": {"x": at},
            },
            {
                "mark": {"type": "line", "point": {"size": 40}, "strokeWidth": 1.5},
                "encoding": {
                    "x": at,
                    "y": value,
                    "color": {
                        "field": "seed",
                        "type": "nominal",
                        "sort": None,
                        "legend": {"title": "seed"} if several else None,
                    },
                    "opacity": {"condition": {"test": OF_CHOSEN_SEED, "value": 0.9}, "value": 0.25},
                    "tooltip": [word("seed", "seed"), number("at", "step", "d"), number("value", "value")],
                },
            },
            *([mean] if several else []),
        ],
    }
    return Chart("heads-curve", "Line chart of the chosen head over the training steps, one line for each seed", spec)


def of_tasks(controls: Sequence[Control], tables: Tables) -> Chart:
    """The chosen head on every task, at step 0 and at the chosen step."""
    signs = calculate(sign="datum.signed[datum.own][place]", first_sign="datum.signed[0][place]")
    of_task: Spec = {"y": {"field": "label", "type": "nominal", "title": None, "sort": None}}
    value: Spec = {"type": "quantitative", "title": None, "scale": {"zero": False}}
    spec: Spec = {
        "data": {"name": "heads"},
        "width": "container",
        "height": {"step": 24},
        "params": [*parameters(controls), *tables.parameters],
        "title": {
            "text": text("head_title + ', every task'"),
            "subtitle": text("axis_title + '; hollow: step 0, filled: the chosen step'"),
        },
        "transform": [
            {"filter": f"there && {chosen('model')} && {OF_CHOSEN_SEED}"},
            *calculate(
                own="min(toNumber(step), length(datum.steps) - 1)",
                now="datum.level[datum.own][place]",
                first="datum.level[0][place]",
                nll="datum.loss[datum.own]",
                first_nll="datum.loss[0]",
            ),
            *(signs if tables.has_signs else []),
            *calculate(value=tables.value, before=tables.value_at_step_0),
            {
                "aggregate": [{"op": "mean", "field": name, "as": name} for name in ("value", "before")],
                "groupby": ["task", "label"],
            },
        ],
        "layer": [
            {
                "mark": {"type": "rule", "color": FAINT, "aria": False},
                "encoding": {**of_task, "x": {**value, "field": "before"}, "x2": {"field": "value"}},
            },
            {
                "mark": {
                    "type": "point",
                    "filled": True,
                    "fill": "white",
                    "stroke": COLOURS[0],
                    "size": 60,
                    "opacity": 1,
                },
                "encoding": {
                    **of_task,
                    "x": {**value, "field": "before"},
                    "tooltip": [word("label", "task"), number("before", "step 0")],
                },
            },
            {
                "mark": {"type": "point", "filled": True, "color": COLOURS[0], "size": 70, "opacity": 1},
                "encoding": {
                    **of_task,
                    "x": {**value, "field": "value"},
                    "tooltip": [word("label", "task"), number("value", "chosen step")],
                },
            },
        ],
    }
    return Chart("heads-tasks", "Dot chart of the chosen head on every task, before and at the chosen step", spec)


def of_ablations(controls: Sequence[Control], tables: Tables) -> Chart:
    """The change of the loss if only the chosen head is ablated, with 95 % intervals."""
    x: Spec = {"field": "value", "type": "quantitative", "title": "change of the loss, nats per token"}
    y: Spec = {
        "y": {"field": "label", "type": "nominal", "title": None, "sort": None},
        "yOffset": {"field": "phase", "type": "nominal", "sort": ["before", "after"]},
    }
    colour: Spec = {"field": "phase", "type": "nominal", "title": "fine-tuning", "scale": PHASES}
    spec: Spec = {
        "data": {"name": "ablations"},
        "width": "container",
        "height": {"step": 34, "for": "position"},
        "params": [*parameters(controls), *tables.parameters],
        "title": {"text": text("head_title + ', ablated'"), "subtitle": text("labels.model[model]")},
        "transform": [
            {"filter": f"there && {chosen('model')} && {OF_CHOSEN_SEED}"},
            *calculate(label="labels.task[datum.task]", at="datum.mean[place]", error="datum.half[place]"),
            {
                "aggregate": [
                    {"op": "mean", "field": "at", "as": "value"},
                    {"op": "mean", "field": "error", "as": "error"},
                ],
                "groupby": ["task", "label", "phase"],
            },
            *calculate(low="datum.value - datum.error", high="datum.value + datum.error"),
        ],
        "layer": [
            {
                "mark": {"type": "rule", "color": FAINT, "strokeDash": [3, 3], "aria": False},
                "encoding": {"x": {"datum": 0, "type": "quantitative"}},
            },
            *with_intervals(
                x, y, colour, [word("label", "task"), word("phase", "fine-tuning"), number("value", "change")]
            ),
        ],
    }
    description = "Dot chart of the change of the loss when the chosen head is ablated, before and after fine-tuning"
    return Chart("heads-ablated", description, spec)
