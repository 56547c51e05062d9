"""The interactive views on the report's page: their forms, and the parts of Vega-Lite that draw them offline."""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headpatterns.experiment.study import Study
from headpatterns.presentation.elements import caption
from headpatterns.presentation.sections import render
from headpatterns.presentation.views import CONFIG, Interactive
from headpatterns.studies.commands import called, parsed

HERE = Path(__file__).parent

NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src 'unsafe-inline'"
"""A policy with which a page can request nothing and run no script. It allows the page's own styles, and the styles
that Vega gives to its elements."""

FIT = {"type": "fit-x", "contains": "padding"}
"""Charts have the width of their place on the page, and the height that they need."""


@dataclass(frozen=True)
class Shown:
    """A view for the template: `body` is HTML, and `data` JSON.

    `data` has specifications and, if rows have their own height, `steps` by the ids of charts, and the data `rows`.
    """

    anchor: str
    title: str
    body: str
    data: str
    figures: Sequence[str]


def shown(studies: Iterable[Study], given: str, titles: Mapping[str, str]) -> list[Shown]:
    """The requested views, in the order of their studies.

    Args:
        studies: studies of the page.
        given: JSON object, `inputs` and `settings` by the names of views.
        titles: titles of the figures and tables on the page, by their anchors.

    Raises:
        InputError: `given` is not such JSON, or a view refuses its input.
    """
    asked = parsed(given, "--views")
    found = []
    for study in studies:
        for view in study.views:
            if view.name in asked:
                words = asked[view.name]
                made = called(view.show, f"the view {view.name}", words["inputs"], words["settings"])
                text = caption(HERE.parent / "studies" / study.name / f"view_{view.name}.rst")
                found.append(of(view.name, made, text, titles))
    return found


def of(name: str, made: Interactive, text: str, titles: Mapping[str, str]) -> Shown:
    """A view with its caption, and links to the figures and tables on the page that show the same numbers."""
    anchor = f"view-{name}"
    static = {figure: titles[figure] for figure in made.figures if figure in titles}
    body = render("view.html.j2", __package__, anchor=anchor, view=made, caption=text, static=static)
    charts = {
        chart.id: {**chart.spec, "height": height(chart.spec), "autosize": FIT, "description": chart.description,
                   "config": look(chart.spec)}
        for chart in made.charts
    }  # fmt: skip
    steps = {chart.id: height(chart.spec) for chart in made.charts if isinstance(chart.spec.get("height"), dict)}
    data = in_script({"charts": charts, "rows": dict(made.rows), "steps": steps})
    return Shown(anchor, made.title, body, data, list(static))


def height(spec: Mapping[str, Any]) -> int:
    """Height of a chart in pixels, or of each of its rows, if their number is known only when it is drawn."""
    stated: int | Mapping[str, Any] = spec["height"]
    return stated if isinstance(stated, int) else int(stated["step"])


def look(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The look of all charts, with the settings of one chart."""
    own = spec.get("config", {})
    return {key: {**CONFIG[key], **own[key]} if key in own else CONFIG[key] for key in CONFIG}


def in_script(content: Any) -> str:
    """JSON for an element `script`: nothing in it can end the element or start a comment."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


@dataclass(frozen=True)
class Scripts:
    """The scripts that draw the views, and the policy of the page, which allows only these scripts."""

    library: str
    start: str

    @property
    def policy(self) -> str:
        """A Content-Security-Policy."""
        hashes = " ".join(f"'sha256-{digest(text)}'" for text in (self.library, self.start) if text)
        return f"{NOTHING}; script-src {hashes}" if hashes else NOTHING


def digest(text: str) -> str:
    """SHA-256 of a script in the form of a policy."""
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def scripts(views: Sequence[Shown]) -> Scripts:
    """Vega, Vega-Lite and Vega-Embed as one script, from the package vl-convert, and the script that starts them;
    empty if there are no views."""
    if not views:
        return Scripts("", "")
    import vl_convert

    library = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its stub makes the snippet obligatory
    if "</script" in library.lower() or "<!--" in library:
        raise RuntimeError("the script of vl-convert has text that would close the script element")
    return Scripts(library, (HERE / "views.js").read_text(encoding="utf-8"))
