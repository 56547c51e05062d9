"""Sections of the report, and the templates that they are rendered from."""

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
    """Where a section stands on the page; those of one place keep the order of their studies."""

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
        place: where it stands.
        targets: anchors of what claims speak of, by its title, such as "Table 2".
        reading: HTML that the page's "how to read" says once, however many sections bring it along; empty for none.
        summary: Markdown that the experiment's summary opens with; empty for none.
    """

    anchor: str
    title: str
    body: str
    place: Place = Place.RESULTS
    targets: Mapping[str, str] = field(default_factory=dict)
    reading: str = ""
    summary: str = ""


def figure_section(results: Results, name: str, captions: Path) -> Section:
    """A section of one figure with its caption, which lies in the folder `captions`.

    Raises:
        InputError: the figure or its caption is missing or faulty.
    """
    shown = figure(results.figure(name), captions)
    body = render("figure.html.j2", figure=shown)
    return Section(shown.anchor, shown.title, body, Place.FIGURES, {shown.title: shown.anchor})


def render(template: str, package: str = __package__, **content: Any) -> str:
    """The HTML of a template of `package`, which may import the macros of elements.html.j2.

    Everything in `content` is escaped but what the template calls safe. The last line break is left out.
    """
    return environment(package).get_template(template).render(**content).removesuffix("\n")


@cache
def environment(package: str) -> "jinja2.Environment":
    """Jinja with the templates of a package and those of this one."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(name, ".") for name in (package, __package__)]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
