"""Tables for readers: rounded texts in rows and columns, written as Markdown and LaTeX next to their CSV.

Libraries write other files, and converting these takes more code than writing them. `Styler.to_latex` of pandas has no
space between groups of rows (it draws lines, or merges cells with another package). It puts headers of index and
columns on two lines. Its long tables repeat the header twice and print "Continued on next page". tabulate pads every
cell of a Markdown table to the widest one of its column, so that one longer label would change every line of a table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from headpatterns.io import atomic_path

LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "[": "{[}",  # after a line break LaTeX would read it as an option
    "]": "{]}",
}


@dataclass(frozen=True)
class Grid:
    """One table for readers.

    Attributes:
        title: description of its numbers.
        groups: headers of the first columns; rows with the same values in them form a group.
        names: headers of the further columns of text.
        numbers: headers of the columns of numbers.
        rows: one text per column.
        long: whether it may run over several pages.
    """

    title: str
    groups: list[str]
    names: list[str]
    numbers: list[str]
    rows: list[list[str]]
    long: bool = False

    @property
    def header(self) -> list[str]:
        """Headers of all columns."""
        return [*self.groups, *self.names, *self.numbers]

    @property
    def readable_rows(self) -> list[list[str]]:
        """The rows with a minus sign, not a hyphen, before negative numbers."""
        return [[*row[: self.texts], *(text.replace("-", "−") for text in row[self.texts :])] for row in self.rows]

    @property
    def texts(self) -> int:
        """How many columns hold text."""
        return len(self.groups) + len(self.names)


def markdown(grids: Sequence[Grid]) -> str:
    """Titles and Markdown tables."""
    parts = ["\n".join([grid.title, "", *markdown_lines(grid)]) for grid in grids]
    return "\n\n".join(parts) + "\n"


def markdown_lines(grid: Grid) -> list[str]:
    """The lines of one Markdown table."""
    made = [f"| {' | '.join(grid.header)} |", "|" + "---|" * grid.texts + "---:|" * len(grid.numbers)]
    return made + [f"| {' | '.join(map(escape_markdown, row))} |" for row in grid.readable_rows]


def escape_markdown(text: str) -> str:
    """`text` with characters that would end a cell escaped."""
    return text.replace("|", "\\|")


def latex(grids: Sequence[Grid]) -> str:
    """LaTeX tables."""
    packages = "packages booktabs and longtable" if any(grid.long for grid in grids) else "package booktabs"
    parts = ["\n".join(latex_lines(grid)) for grid in grids]
    return f"% Needs the {packages}.\n" + "\n\n".join(parts) + "\n"


def latex_lines(grid: Grid) -> list[str]:
    """The lines of one LaTeX table; groups are named once, with a space between them."""
    environment = "longtable" if grid.long else "tabular"
    columns = "l" * grid.texts + "r" * len(grid.numbers)
    header = " & ".join(map(escape_latex, grid.header)) + r" \\"
    made = [rf"\begin{{{environment}}}{{{columns}}}", r"\toprule", header, r"\midrule"]
    if grid.long:
        made.append(r"\endhead")
    previous = None
    for row in grid.rows:
        group = row[: len(grid.groups)]
        if group and previous not in (None, group):
            made.append(r"\addlinespace")
        shown = ["" if group == previous else escape_latex(text) for text in group]
        names = [escape_latex(text) for text in row[len(group) : grid.texts]]
        made.append(" & ".join([*shown, *names, *map(latex_number, row[grid.texts :])]) + r" \\")
        previous = group
    return [*made, r"\bottomrule", rf"\end{{{environment}}}"]


def latex_number(text: str) -> str:
    """A number in mathematics mode, for correct minus signs; words instead of a number are unchanged."""
    if not any(character.isdigit() for character in text):
        return escape_latex(text)
    signs = text.replace(" ± ", "±").replace(" → ", "→").replace(" ", r"\ ")
    return f"${signs}$".replace("±", r"\pm ").replace("→", r"\to ").replace("$$", "")


def escape_latex(text: str) -> str:
    """`text` with every character that LaTeX would read as a command escaped."""
    return "".join(LATEX.get(character, character) for character in text)


def write(table: pd.DataFrame, grids: Sequence[Grid], stem: Path) -> None:
    """Write `stem`.csv (the table, unrounded, every row), `stem`.md and `stem`.tex (its grids), each atomically."""
    contents = {".csv": table.to_csv(index=False), ".md": markdown(grids), ".tex": latex(grids)}
    for suffix, content in contents.items():
        with atomic_path(stem.with_name(stem.name + suffix)) as temporary:
            temporary.write_text(content, encoding="utf-8")
