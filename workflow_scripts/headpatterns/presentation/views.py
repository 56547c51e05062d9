"""Interactive views of the report: specifications of Vega-Lite, their data, and the controls whose values they read.

A control is an element of the page's form that is bound to parameters of any number of charts. So a choice, even one by
a click in a chart, applies to every chart of the view.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headpatterns.presentation import style

Spec = dict[str, Any]
Options = Sequence[tuple[str, str]]
"""Values with their labels."""

MEAN = "mean"
"""Used instead of a seed: the mean over all seeds."""

OF_CHOSEN_SEED = f"(seed == '{MEAN}' || datum.seed == seed)"
"""The condition that a row belongs to the chosen seed, or to any seed if the mean over all seeds is chosen."""

DIGITS = 4
"""Significant digits of the numbers of a view, more than a screen can show."""

INK, FAINT, LINE = "#1c1c1c", "#595959", "#d5d5d5"
COLOURS = style.LINE_COLOURS

CONFIG: Spec = {
    "font": "system-ui, sans-serif",
    "background": "white",
    "padding": {"left": 2, "right": 10, "top": 4, "bottom": 4},
    "view": {"stroke": None},
    "title": {"anchor": "start", "fontSize": 13, "fontWeight": 600, "color": INK, "subtitleColor": FAINT,
              "subtitleFontSize": 12, "offset": 10},
    "axis": {"labelColor": FAINT, "titleColor": INK, "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": 400,
             "domainColor": LINE, "tickColor": LINE, "gridColor": "#ececec", "labelLimit": 170, "labelOverlap": True},
    "legend": {"labelColor": FAINT, "titleColor": INK, "labelFontSize": 11, "titleFontSize": 12,
               "titleFontWeight": 400, "orient": "top", "gradientThickness": 10, "symbolType": "circle"},
    "range": {"category": list(COLOURS)},
}  # fmt: skip
"""The look of all charts, which fits the page, with colours for colour blindness."""


@dataclass(frozen=True)
class Control:
    """One element of a view's form.

    Attributes:
        id: of the element on the page; the part after its first `-` is the parameter of charts.
        label: its label.
        kind: `select`, `range` or `number`.
        options: values of a `select` with their labels, or labels of the values 0, 1, ... of a `range`.
        most: the largest value of a `number`, from 0 on.
        start: the initial value.
    """

    id: str
    label: str
    kind: str
    options: Options = ()
    most: int = 0
    start: str = ""

    @property
    def parameter(self) -> Spec:
        """A parameter of a chart that has the control's value, as text."""
        return {"name": self.id.partition("-")[2], "value": self.start, "bind": {"element": f"#{self.id}"}}


@dataclass(frozen=True)
class Chart:
    """One chart of a view.

    Attributes:
        id: of its element on the page.
        description: a text for readers who cannot see it.
        spec: Vega-Lite; its named data are the rows of the view.
        beside: whether the other charts are next to it on a wide page, one below the other.
    """

    id: str
    description: str
    spec: Spec
    beside: bool = False


@dataclass(frozen=True)
class Interactive:
    """The contents of a view.

    Attributes:
        title: its heading.
        controls: its form.
        charts: its charts.
        rows: the data of the charts, by name.
        figures: names of the figures and tables of the report with numbers of the same kind, which link to the view.
        files: files of the numbers, below the folder of the experiment.
    """

    title: str
    controls: Sequence[Control]
    charts: Sequence[Chart]
    rows: Mapping[str, Sequence[Mapping[str, Any]]]
    figures: Sequence[str] = ()
    files: Sequence[str] = field(default_factory=tuple)


def select(id: str, label: str, options: Options) -> Control:
    """A choice among options; the first one is selected initially."""
    return Control(id, label, "select", list(options), start=options[0][0])


def of_seeds(id: str, seeds: Sequence[str]) -> Control:
    """A choice of a training seed, or of the mean over several."""
    every = [(MEAN, f"mean of {len(seeds)}")] if len(seeds) > 1 else []
    return select(id, "Seed", [*every, *((seed, seed) for seed in seeds)])


def parameters(controls: Sequence[Control], *names: str) -> list[Spec]:
    """The parameters of controls, of all or of the given names."""
    made = [control.parameter for control in controls]
    return [one for one in made if not names or one["name"] in names]


def chosen(*names: str) -> str:
    """The condition that the fields of these names have the chosen values."""
    return " && ".join(f"datum.{name} == {name}" for name in names)


def calculate(**expressions: str) -> list[Spec]:
    """Transforms that set fields to the values of expressions, in order."""
    return [{"calculate": expression, "as": name} for name, expression in expressions.items()]


def text(expression: str) -> Spec:
    """A text whose value is an expression."""
    return {"expr": expression}


def rounded(value: float) -> float | None:
    """A number in `DIGITS` significant digits; None if there is none."""
    return None if not math.isfinite(value) else float(f"{value:.{DIGITS}g}")


def with_intervals(x: Spec, y: Spec, colour: Spec, tooltip: Sequence[Spec]) -> list[Spec]:
    """Layers of points with a bar from the field `low` to the field `high`; no bar without an interval.

    Args:
        x: encoding of the value.
        y: encoding of its subject.
        colour: encoding of the colour.
        tooltip: encodings of the tooltip of a point.
    """
    return [
        {
            "transform": [{"filter": "isValid(datum.low) && isValid(datum.high)"}],
            "mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.55, "aria": False},
            "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, **y, "color": colour},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
            "encoding": {"x": x, **y, "color": colour, "tooltip": list(tooltip)},
        },
    ]


def number(field: str, title: str, form: str = ".3~g") -> Spec:
    """A number in a tooltip."""
    return {"field": field, "type": "quantitative", "title": title, "format": form}


def word(field: str, title: str) -> Spec:
    """A text in a tooltip."""
    return {"field": field, "type": "nominal", "title": title}
