"""Raw files to instructions: every row is used, left out or rejected, and counted accordingly."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from headpatterns.data import conversations, sources, templates
from headpatterns.data.adapters import ADAPTERS
from headpatterns.data.records import Instruction, MissingFieldError, Row, RowError, Skipped, listed
from headpatterns.data.spool import Entry, Spool
from headpatterns.data.texts import valid
from headpatterns.errors import InputError
from headpatterns.progress import Progress

FIRST_ROWS = 3
"""A file whose first rows (or all of them, if fewer) lack a needed field has a wrong schema."""

MAX_REJECTED = 0.2
"""With more than this share of rejected rows, a dataset does not fit its adapter; its config may allow more."""


@dataclass
class Loaded:
    """The instructions of one split, and reasons with their numbers of rows that were left out or rejected."""

    instructions: list[Entry] = field(default_factory=list)
    rows_read: int = 0
    not_selected: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    """The place of the first row of each reason for rejection."""


def load(
    dataset: str,
    adapter: str,
    options: Mapping[str, Any],
    template: str,
    files: Sequence[Path],
    labels: Mapping[Path, str],
    workspace: Path | None = None,
    most_rejected: float = MAX_REJECTED,
) -> Loaded:
    """Read `files` with an adapter of ADAPTERS and its resolved `options`, and put each instruction into `template`.

    `labels` gives the name of each file in ids (see `id_labels`), and `workspace` the folder on whose disk the texts
    are stored meanwhile.

    Raises:
        InputError: a file cannot be read or has a wrong schema, or too large a share of the rows is rejected.
    """
    loaded, spool, progress = Loaded(), Spool(workspace), Progress(f"{dataset}, read")
    rows = sources.read_rows(files, ADAPTERS[adapter].csv_columns)
    for path, rows_of_file in groupby(rows, key=lambda row: row.path):
        lacking: list[tuple[Row, MissingFieldError]] = []
        number = 0
        for number, row in enumerate(rows_of_file, start=1):
            loaded.rows_read += 1
            progress.add()
            try:
                outcome = ADAPTERS[adapter].convert(row, options)
                if isinstance(outcome, Skipped):
                    loaded.not_selected[outcome.why] += 1
                else:
                    loaded.instructions.append(spool.add(_finished(outcome, row, dataset, labels[path], template)))
            except RowError as error:
                loaded.rejected[str(error)] += 1
                loaded.examples.setdefault(str(error), row.place)
                if isinstance(error, MissingFieldError) and number <= FIRST_ROWS:
                    lacking.append((row, error))
            if number == FIRST_ROWS:
                _check_schema(adapter, options, lacking, number)
        _check_schema(adapter, options, lacking, min(number, FIRST_ROWS))
    _check_rejections(dataset, adapter, loaded, most_rejected)
    return loaded


def _finished(one: Instruction, row: Row, dataset: str, label: str, template: str) -> Instruction:
    number = "" if row.number is None else f"-{row.number}"
    name = one.id or f"{dataset}-{label}{number}"
    if not (one.prompt.strip() and one.response.strip()):
        raise RowError("empty prompt or response")
    for content in (name, one.prompt, one.response, one.answer, one.group, *one.tags, *one.choices):
        valid(content)
    if template == templates.CHAT:
        said = one if one.messages else replace(one, messages=conversations.exchange(one.prompt, one.response))
        conversations.check(said.messages)
        return replace(said, id=name, group=one.group or name)
    prompt, response = templates.apply(template, one.prompt, one.response)
    return replace(one, id=name, group=one.group or name, prompt=prompt, response=response)


def _check_schema(
    adapter: str, options: Mapping[str, Any], lacking: Sequence[tuple[Row, MissingFieldError]], rows: int
) -> None:
    if not lacking or len(lacking) < rows:
        return
    row, error = lacking[0]
    advice = ADAPTERS[adapter].advice
    fix = advice(row, options) if advice else f"give files that the adapter {adapter} reads, or choose another adapter"
    raise InputError(
        f"{row.place} has no field {' or '.join(error.names)} (its fields are {listed(row.fields)}): {fix}."
    )


def _check_rejections(dataset: str, adapter: str, loaded: Loaded, most: float) -> None:
    rejected = loaded.rejected.total()
    candidates = loaded.rows_read - loaded.not_selected.total()
    if rejected <= most * candidates:
        return
    reason, times = ordered(loaded.rejected)[0]
    raise InputError(
        f"{rejected} of {candidates} rows of {dataset} were rejected, {times} of them because of: {reason} (first "
        f"at {loaded.examples[reason]}): fix the files, choose an adapter other than {adapter}, or allow more "
        f"rows to be left out (datasets.{dataset}.most_rejected, {most:g} of the rows)."
    )


def ordered(reasons: Counter[str]) -> list[tuple[str, int]]:
    """Reasons with their counts, the most frequent first and ties by name, independent of the order of rows."""
    return sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))


def id_labels(files: Sequence[Path]) -> dict[Path, str]:
    """A name for each file: its stem, with as many parent folders as are needed to make all names different."""
    distinct = list(dict.fromkeys(files))
    depth = 1
    while True:
        labels = ["-".join([*path.parts[:-1], sources.stem(path)][-depth:]) for path in distinct]
        if len(set(labels)) == len(distinct) or depth >= max(len(path.parts) for path in distinct):
            return dict(zip(distinct, labels, strict=True))
        depth += 1
