"""The summary of an experiment, in Markdown: the competence of its models, then every claim with its verdict."""

from collections.abc import Iterable, Mapping
from typing import Any

from headpatterns.presentation.grids import Grid, markdown
from headpatterns.presentation.sections import Section
from headpatterns.report import claims

HEADER = ["Here [95 % interval]", "Paper"]


def digest(experiment: str, judged: claims.Shown, sections: Iterable[Section], mixed: Iterable[str] = ()) -> str:
    """The summary.

    Args:
        experiment: name of the experiment.
        judged: its claims.
        sections: sections of the report; their summaries come first.
        mixed: sentences about results of mixed origins.
    """
    opening = [f"## {one.title}\n\n{one.summary.strip()}" for one in sections if one.summary]
    tables = [
        Grid(f"### {one['title']}", [], ["Statement", "About", "Verdict"], HEADER, lines(one))
        for one in judged.sections
    ]
    verdicts = "\n\n".join(["## Claims", judged.tally or "No statement of the paper was checked.", markdown(tables)])
    warned = [f"**Mixed origins.** {sentence}" for sentence in mixed]
    return "\n\n".join([f"# {experiment}", *warned, *opening, verdicts.strip()]) + "\n"


def lines(section: Mapping[str, Any]) -> list[list[str]]:
    """A row for each number of the claims of a section of the paper."""
    return [
        [claim["statement"], line["about"], line["shown"], line["value"], line["paper"]]
        for claim in section["claims"]
        for line in claim["lines"]
    ]
