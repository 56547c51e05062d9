"""Shared parts of the report's sections on the applications of section 5."""

from collections.abc import Sequence
from dataclasses import dataclass

from headpatterns.presentation.elements import Figure, Table
from headpatterns.presentation.sections import Section, render

READING = """\
Answers are an exception: the intervals of Tables 2 and 3 and of their claims come from resampling the items of the \
evaluation sets. All variants that are compared have the same items in a resample.
The number after “±” is the standard deviation over seeds and random draws. The intervals of single scores are \
Wilson's."""
"""HTML: how to read accuracies, said once for all sections that show some."""


@dataclass(frozen=True, kw_only=True)
class Application:
    """A section: its tables, with the first one next to the paper's and above the notes, then tables with their own
    captions, perhaps a picture, and further tables, folded."""

    anchor: str
    title: str
    tables: Sequence[Table]
    paper: Table
    captioned: Sequence[Table] = ()
    figure: Figure | None = None
    folded: Sequence[Table] = ()
    notes: Sequence[str] = ()


def rendered(made: Application) -> Section:
    """The section of an application; claims about its first table link to it."""
    first = made.tables[0]
    body = render(
        "application.html.j2",
        __package__,
        tables=made.tables,
        paper=made.paper,
        captioned=made.captioned,
        figure=made.figure,
        folded=made.folded,
        notes=made.notes,
    )
    return Section(made.anchor, made.title, body, targets={first.title: first.anchor}, reading=READING)
