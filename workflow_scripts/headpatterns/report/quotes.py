"""Numbers that README and docs quote from the tables of an experiment: they are found in the text, checked and updated.

docs/quoted.csv lists them. `text` is a passage of `file` in which `{#}` stands for the quoted number and `#` for any
other one. `table`, `where` and `column` define its source: `where` has conditions such as `phase=before;task=*`, and if
several rows meet them, their mean is quoted. The number itself is only in the text. `source` is the published folder
with the table, such as published/NAME, or empty for a run of the experiment.
"""

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from headpatterns.errors import InputError
from headpatterns.io import read_csv, write_csv, write_text

COLUMNS = ("file", "text", "table", "where", "column", "decimals", "source")
CHECKED = ("file", "text", "quoted", "table", "where", "column", "value", "low", "high", "verdict")
WITHIN, OUTSIDE, BOUND = "within", "outside", "bound"
NUMBER = r"[−-]?\d+(?:\.\d+)?"
PIECES = re.compile(r"(\{#\}|#|\s+)")
Row = dict[str, str]


@dataclass(frozen=True)
class Quote:
    """One quoted number.

    Attributes:
        file: the document, below the project.
        text: the passage around it.
        table: a CSV file below analysis/, without `.csv`.
        where: values by column that select the rows; the number is their mean.
        column: the column of the number: `value`, or `low` or `high` for the end of an interval.
        decimals: number of decimals in the text.
        source: the published folder of the table, below the project; empty for one of a run.
    """

    file: str
    text: str
    table: str
    where: tuple[tuple[str, str], ...]
    column: str
    decimals: int
    source: str = ""

    @property
    def pattern(self) -> re.Pattern[str]:
        """The passage with any line breaks; the group `number` is the quoted number."""
        parts = {"{#}": f"(?P<number>{NUMBER})", "#": NUMBER}
        pieces = (part for part in PIECES.split(self.text) if part)
        return re.compile("".join(r"\s+" if part.isspace() else parts.get(part, re.escape(part)) for part in pieces))

    def found(self, document: str) -> re.Match[str]:
        """The place of the passage in a document.

        Raises:
            InputError: the passage does not occur in it, or occurs several times.
        """
        matches = list(self.pattern.finditer(document))
        if len(matches) != 1:
            raise InputError(
                f"{self.file} has the passage '{self.text}' {len(matches)} times, but docs/quoted.csv quotes a "
                "number from it: make text and list agree, with a passage that appears once."
            )
        return matches[0]

    def shown(self, number: float) -> str:
        """A number as the text shows it."""
        return f"{number:.{self.decimals}f}".replace("-", "−")


def read(path: Path, source: str | None = None) -> list[Quote]:
    """The quotes of a list: all of them, or those from one source.

    Raises:
        InputError: a column is missing, a text has no or several `{#}`, a condition has no `=`, or decimals are not a
            number.
    """
    found = [_quote(row, f"{path}, row {number}") for number, row in enumerate(read_csv(path, COLUMNS), start=1)]
    return [quote for quote in found if source in (None, quote.source)]


def _quote(row: Row, where: str) -> Quote:
    if row["text"].count("{#}") != 1:
        raise InputError(
            f"{where}: the text has {{#}}, the place of the quoted number, {row['text'].count('{#}')} times: "
            "write it once."
        )
    conditions = [condition.partition("=") for condition in row["where"].split(";") if condition]
    if wrong := next((column for column, sign, _ in conditions if not sign), None):
        raise InputError(
            f"{where}: the condition '{wrong}' has no '=': write COLUMN=VALUE, and separate conditions with ;."
        )
    if not row["decimals"].isdecimal():
        raise InputError(f"{where}: decimals is '{row['decimals']}', which is not a whole number of 0 or more: fix it.")
    chosen = tuple((column, value) for column, _, value in conditions)
    return Quote(row["file"], row["text"], row["table"], chosen, row["column"], int(row["decimals"]), row["source"])


def tables(quotes: Iterable[Quote]) -> list[str]:
    """The tables that quotes come from, each once."""
    return list(dict.fromkeys(quote.table for quote in quotes))


def fresh(quote: Quote, analysis: Path) -> dict[str, float]:
    """Means of the rows of a quote in its column, and in `low` and `high` if the table has these.

    Raises:
        InputError: the table lacks the column or has no such row.
    """
    path = analysis / f"{quote.table}.csv"
    rows = read_csv(path, (*(column for column, _ in quote.where), quote.column))
    chosen = [row for row in rows if all(row[column] == value for column, value in quote.where)]
    if not chosen:
        conditions = ", ".join(f"{column} {value}" for column, value in quote.where)
        raise InputError(f"{path} has no row with {conditions}, which docs/quoted.csv quotes: fix the conditions.")
    columns = dict.fromkeys((quote.column, "low", "high"))
    return {column: fmean(float(row[column]) for row in chosen) for column in columns if column in chosen[0]}


def check(quotes: Sequence[Quote], project: Path, analysis: Path) -> list[tuple[object, ...]]:
    """A row of `CHECKED` for each quote: whether the quoted number is in the new interval.

    Because a quoted number is rounded, half a unit of its last digit is allowed. If a table has no interval, the
    interval is only the new number. Ends of intervals are `bound`: they are quoted with an estimate, and only the
    estimate is judged.

    Raises:
        InputError: a quote is not in its file or has no row in its table.
    """
    documents = {quote.file: (project / quote.file).read_text(encoding="utf-8") for quote in quotes}
    rows: list[tuple[object, ...]] = []
    for quote in quotes:
        text = quote.found(documents[quote.file])["number"]
        number, now = float(text.replace("−", "-")), fresh(quote, analysis)
        value, half = now[quote.column], 0.5 * 10.0**-quote.decimals
        low, high = (now.get(end, value) for end in ("low", "high"))
        inside = min(low, value) - half <= number <= max(high, value) + half
        verdict = BOUND if quote.column in ("low", "high") else WITHIN if inside else OUTSIDE
        where = ";".join(f"{column}={of}" for column, of in quote.where)
        rows.append((quote.file, quote.text, text, quote.table, where, quote.column, value, low, high, verdict))
    return rows


def write_checked(path: Path, rows: Sequence[tuple[object, ...]]) -> list[str]:
    """Write the result of `check`; returns a sentence for each quote outside its interval."""
    write_csv(path, CHECKED, rows)
    found = [dict(zip(CHECKED, row, strict=True)) for row in rows]
    return [
        f"{row['file']} quotes {row['quoted']}, but {row['table']}.csv has {row['value']:.4g} [{row['low']:.4g}, "
        f"{row['high']:.4g}]: '{row['text']}'"
        for row in found
        if row["verdict"] == OUTSIDE
    ]


def renew(quotes: Sequence[Quote], project: Path, analysis: Path) -> None:
    """Write new numbers into the documents.

    Raises:
        InputError: as `check`; then no document is changed.
    """
    check(quotes, project, analysis)
    changed: dict[str, str] = {}
    for quote in quotes:
        text = changed.get(quote.file) or (project / quote.file).read_text(encoding="utf-8")
        start, end = quote.found(text).span("number")
        changed[quote.file] = text[:start] + quote.shown(fresh(quote, analysis)[quote.column]) + text[end:]
    for name, text in changed.items():
        write_text(project / name, text)


def publish(quotes: Sequence[Quote], project: Path, analysis: Path, files: Mapping[str, Path]) -> None:
    """Write new numbers into the documents, and copy their sources into docs/.

    Args:
        quotes: all quotes.
        project: folder of the documents.
        analysis: folder of the tables.
        files: files to copy into docs/, by their names there: figures, and published.json, the experiment's own
            provenance with its commit, versions and machine. docs/published.csv has the rows of `CHECKED`.

    Raises:
        InputError: as `renew`.
    """
    renew(quotes, project, analysis)
    for name, file in files.items():
        shutil.copyfile(file, project / "docs" / name)
    write_csv(project / "docs/published.csv", CHECKED, check(quotes, project, analysis))
