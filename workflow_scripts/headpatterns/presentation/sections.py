"""Sections of the report, and their templates."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headpatterns.presentation.elements import figure
from headpatterns.presentation.results import Results

if TYPE_CHECKING:
    import jinja2


class Place(IntEnum):
    """The place of a section on the page; sections with the same place keep the order of their studies."""

    OPENING = 0
    FIGURES = 1
    RESULTS = 2
    APPENDIX = 3


@dataclass(frozen=True)
class Section:
    """One section of the report.

    Attributes:
        anchor: its id on the page.
        title: its heading, and its line in the contents.
        body: HTML below the heading.
        place: its place on the page.
        targets: anchors of tables and figures that claims mention, by title, such as "Table 2".
        reading: HTML for the page's "how to read", which shows it once for all sections that have it; empty for none.
        summary: Markdown at the start of the experiment's summary; empty for none.
    """

    anchor: str
    title: str
    body: str
    place: Place = Place.RESULTS
    targets: Mapping[str, str] = field(default_factory=dict)
    reading: str = ""
    summary: str = ""


def figure_section(results: Results, name: str, captions: Path) -> Section:
    """A section of one figure with its caption from the folder `captions`.

    Raises:
        InputError: the figure or its caption is missing or faulty.
    """
    shown = figure(results.figure(name), captions)
    body = render("figure.html.j2", figure=shown)
    return Section(shown.anchor, shown.title, body, Place.FIGURES, {shown.title: shown.anchor})


def render(template: str, package: str = __package__, **content: Any) -> str:
    """The HTML of a template of `package`, which may import the macros of elements.html.j2.

    Everything in `content` is escaped, except parts that the template marks as safe. The last line break is left out.
    """
    return environment(package).get_template(template).render(**content).removesuffix("\n")


@cache
def environment(package: str) -> "jinja2.Environment":
    """Jinja with the templates of a package and of this one."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(name, ".") for name in (package, __package__)]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
