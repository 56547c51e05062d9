"""Interactive views of the report: specifications of Vega-Lite, their data, and the controls whose values they read.

A control is an element of the page's form, to which parameters of any number of charts are bound: a choice in one
place, also one that is made by a click in a chart, is seen by every chart of the view.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headpatterns.presentation import style

Spec = dict[str, Any]
Options = Sequence[tuple[str, str]]
"""Values with what they are called."""

MEAN = "mean"
"""In the place of a seed: the mean over all of them."""

OF_CHOSEN_SEED = f"(seed == '{MEAN}' || datum.seed == seed)"
"""The condition that a row is of the chosen seed, or of any where the mean over all of them is chosen."""

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
"""The look of all charts: that of the page around them, in colours that survive colour blindness."""


@dataclass(frozen=True)
class Control:
    """One element of a view's form.

    Attributes:
        id: of the element on the page; the parameter of charts is what follows its first `-`.
        label: what it chooses.
        kind: `select`, `range` or `number`.
        options: values of a `select`, and what those of a `range`, from 0 on, are called.
        most: the largest value of a `number`, from 0 on.
        start: the value at first.
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
        description: what it shows, for those who do not see it.
        spec: Vega-Lite; data are named, and the rows of the view.
        beside: whether the other charts stand beside it on a wide page, one below the other.
    """

    id: str
    description: str
    spec: Spec
    beside: bool = False


@dataclass(frozen=True)
class Interactive:
    """What a view shows.

    Attributes:
        title: its heading.
        controls: its form.
        charts: its charts.
        rows: the data of the charts, by name.
        figures: names of the figures and tables of the report with numbers of the same kind, which lead here.
        files: where the numbers lie, below the folder of the experiment.
    """

    title: str
    controls: Sequence[Control]
    charts: Sequence[Chart]
    rows: Mapping[str, Sequence[Mapping[str, Any]]]
    figures: Sequence[str] = ()
    files: Sequence[str] = field(default_factory=tuple)


def select(id: str, label: str, options: Options) -> Control:
    """A choice among options, at first of the first one."""
    return Control(id, label, "select", list(options), start=options[0][0])


def of_seeds(id: str, seeds: Sequence[str]) -> Control:
    """A choice of a training seed, or of the mean over several."""
    every = [(MEAN, f"mean of {len(seeds)}")] if len(seeds) > 1 else []
    return select(id, "Seed", [*every, *((seed, seed) for seed in seeds)])


def parameters(controls: Sequence[Control], *names: str) -> list[Spec]:
    """The parameters of some controls, those of these names or all."""
    made = [control.parameter for control in controls]
    return [one for one in made if not names or one["name"] in names]


def chosen(*names: str) -> str:
    """The condition that the fields of these names are as chosen."""
    return " && ".join(f"datum.{name} == {name}" for name in names)


def calculate(**expressions: str) -> list[Spec]:
    """Transforms that give fields the values of expressions, one after the other."""
    return [{"calculate": expression, "as": name} for name, expression in expressions.items()]


def text(expression: str) -> Spec:
    """A text that follows an expression."""
    return {"expr": expression}


def rounded(value: float) -> float | None:
    """A number in `DIGITS` significant digits; None where there is none."""
    return None if not math.isfinite(value) else float(f"{value:.{DIGITS}g}")


def with_intervals(x: Spec, y: Spec, colour: Spec, tooltip: Sequence[Spec]) -> list[Spec]:
    """Layers of points with a bar from the field `low` to the field `high`; no bar where there is no interval.

    Args:
        x: encoding of the value.
        y: encoding of what it is of.
        colour: encoding of the colour.
        tooltip: what is said of a point.
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
