"""Whole experiments side by side: differences of their configs, and the results of each for the same questions.

An experiment is its folder, below results/ or published. Only files that both kinds have are read: config.yaml,
provenance.json, analysis/ and tables/. Each column of the results is a model of an experiment. So two experiments with
different models are shown like two models of one experiment.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from headpatterns.errors import InputError
from headpatterns.experiment import published, written
from headpatterns.io import read_json
from headpatterns.presentation.inputs import ALL_MODELS, read_table
from headpatterns.report import origins

CONFIG, PROVENANCE = "config.yaml", "provenance.json"
CLAIMS = "analysis/claims.csv"
NOT_SET = "(not set)"
UNCOMPARED = ("experiment", "resources")
"""Keys of a config that say nothing about results."""


@dataclass(frozen=True)
class Experiment:
    """A finished experiment.

    Attributes:
        folder: the folder as given.
        config: its config without the settings of where its jobs ran.
        provenance: its provenance.
    """

    folder: Path
    config: Mapping[str, Any]
    provenance: Mapping[str, Any]

    @property
    def version(self) -> str:
        """The version of headpatterns, if it is known."""
        return str(self.provenance.get("versions", {}).get("headpatterns", "an unknown version"))


@dataclass(frozen=True)
class Kind:
    """A table that experiments have.

    Attributes:
        title: for readers.
        path: below the folder of an experiment.
        keys: columns that name a row, apart from the model.
        quantities: columns of each quantity: its value, and the ends of its interval.
        shown: values of columns that select the rows of the page; the file has all rows.
    """

    title: str
    path: str
    keys: tuple[str, ...]
    quantities: Mapping[str, tuple[str, str, str]]
    shown: Mapping[str, str]


def _with_bounds(*names: str) -> dict[str, tuple[str, str, str]]:
    return {name: (name, f"{name}_low", f"{name}_high") for name in names}


VALUE = {"value": ("value", "low", "high")}
KINDS = (
    Kind(
        "Competence",
        "tables/competence.csv",
        ("task", "seed", "state"),
        {"accuracy": ("accuracy", "low", "high"), **_with_bounds("nll", "loss_fall")},
        {"seed": "all"},
    ),
    Kind(
        "Table 1: spread of the activation levels, mean over tasks",
        "tables/table1.csv",
        ("task", "state"),
        _with_bounds("gini", "cv", "kurtosis", "level", "rising", "coherence"),
        {"task": ""},
    ),
    Kind(
        "Similarity of the patterns of tasks", "analysis/similarity_summary.csv", ("matrix", "pairs"), VALUE,
        {"pairs": "all"},
    ),
    Kind("Table 2: mixtures of basic tasks", "tables/table2.csv", ("measure", "variant"), VALUE, {}),
    Kind(
        "Table 3: selection of samples, mean over domains",
        "tables/table3.csv",
        ("measure", "domain", "variant", "budget"),
        VALUE,
        {"domain": "all"},
    ),
)  # fmt: skip


class Number(NamedTuple):
    """A value with its interval; missing numbers are NaN."""

    value: float
    low: float
    high: float


NUMBERS = ("estimate", "low", "high")
"""Columns of claims.csv."""

Statement = tuple[str, str, str]
"""A claim: its name, its words, and its subject."""

Column = tuple[str, str]
"""A folder of an experiment, and a model in it."""

Row = tuple[str, ...]
"""The key of a row of a table, with the quantity last."""

Side = dict[Row, dict[Column, Number]]
Differences = dict[str, list[str]]
Verdicts = dict[Statement, dict[Column, dict[str, Any]]]


def opened(folders: Sequence[Path]) -> list[Experiment]:
    """The experiments in some folders.

    Raises:
        InputError: there are fewer than two, two are the same, or one is not a readable finished experiment.
    """
    if len(folders) < 2:
        raise InputError(
            f"with= names {len(folders)} experiments to compare: name two or more folders, as in --config "
            "with='[results/mini, published/smollm2-135m]'."
        )
    places: dict[Path, Path] = {}
    for folder in folders:
        if (place := folder.resolve()) in places:
            raise InputError(f"with= names {folder} and {places[place]}, which are the same folder: name another one.")
        places[place] = folder
    return [_opened(folder) for folder in folders]


def _opened(folder: Path) -> Experiment:
    if not folder.is_dir():
        raise InputError(f"with= names {folder}, which is not a folder: fix the path.")
    for name in (CONFIG, PROVENANCE, CLAIMS):
        if not (folder / name).is_file():
            raise InputError(
                f"{folder} is not a finished experiment (it has no {name}): name a folder below results/ in which "
                "`all` is complete, or a published folder."
            )
    if (folder / published.MANIFEST).is_file():
        published.opened(folder)
    config, provenance = written.read_config(folder / CONFIG), read_json(folder / PROVENANCE)
    for name, content in {CONFIG: config, PROVENANCE: provenance}.items():
        if not isinstance(content, dict):
            raise InputError(f"{folder / name} has no keys: build that experiment again, or publish it again.")
    return Experiment(folder, config, provenance)


def table(one: Experiment, path: str, text: Sequence[str], numbers: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of a table of an experiment, with columns of text and of numbers; empty if it has no such table.

    Raises:
        InputError: it has other columns, from another version, or a word instead of a number.
    """
    file = one.folder / path
    if not file.is_file():
        return []
    with file.open(encoding="utf-8") as lines:
        header = lines.readline().rstrip("\n").split(",")
    if lacking := [name for name in (*text, *numbers) if name not in header]:
        raise InputError(
            f"{file} lacks the column {lacking[0]}: headpatterns {one.version} wrote it in another format; build "
            "that experiment again with this version, or publish it again."
        )
    rows = read_table(file, text, numbers, may_be_empty=True).to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in rows]


# Where configs differ.


def differences(configs: Sequence[Mapping[str, Any]]) -> Differences:
    """The keys in which configs differ, with the value in each as JSON; a key that only some have is listed once."""
    found: Differences = {}
    _compare([{key: value for key, value in one.items() if key not in UNCOMPARED} for one in configs], "", found)
    return found


def _compare(given: Sequence[Any], key: str, found: Differences) -> None:
    if all(isinstance(one, Mapping) for one in given):
        for name in dict.fromkeys(name for one in given for name in one):
            _compare([one.get(name, NOT_SET) for one in given], f"{key}.{name}" if key else str(name), found)
    elif any(one != given[0] for one in given):
        found[key] = [NOT_SET if one == NOT_SET else json.dumps(one, ensure_ascii=False) for one in given]


# Their results.


def verdicts(experiments: Sequence[Experiment]) -> Verdicts:
    """The rows of claims.csv by claim, statement and subject, then by column."""
    text = ("claim", "statement", "about", "model", "verdict")
    found: Verdicts = {}
    for one in experiments:
        for row in table(one, CLAIMS, text, NUMBERS):
            name = row["claim"], row["statement"], row["about"]
            found.setdefault(name, {})[str(one.folder), row["model"] or ALL_MODELS] = row
    return found


def side_by_side(experiments: Sequence[Experiment], kind: Kind) -> Side:
    """The numbers of a table by row and column; quantities that no experiment has are left out."""
    numbers = [name for columns in kind.quantities.values() for name in columns]
    found: Side = {}
    for one in experiments:
        for row in table(one, kind.path, ["model", *kind.keys], numbers):
            for quantity, columns in kind.quantities.items():
                number = Number(*(row[name] for name in columns))
                if not math.isnan(number.value):
                    place = (*(row[key] for key in kind.keys), quantity)
                    found.setdefault(place, {})[str(one.folder), row["model"]] = number
    return found


def columns_of(rows: Mapping[Any, Mapping[Column, Any]], experiments: Sequence[Experiment]) -> list[Column]:
    """The columns of a table: experiments in their order, and the models of each in the order of the table."""
    seen = dict.fromkeys(column for row in rows.values() for column in row)
    return [column for one in experiments for column in seen if column[0] == str(one.folder)]


def agreement(rows: Mapping[Statement, Mapping[Column, Mapping[str, Any]]]) -> tuple[int, int]:
    """The number of statements with equal verdicts in all of their columns, and of statements with several columns."""
    several = [{row["verdict"] for row in by_column.values()} for by_column in rows.values() if len(by_column) > 1]
    return sum(len(verdicts) == 1 for verdicts in several), len(several)


def warnings(experiments: Sequence[Experiment]) -> list[str]:
    """Causes of differences other than the configs: other commits, versions, processors."""
    parts = [
        origins.Part(
            origins.ANALYSIS,
            "",
            str(one.folder),
            {
                "commit": one.provenance.get("commit", ""),
                "versions": json.dumps(one.provenance.get("versions", {}), sort_keys=True),
                "processor": one.provenance.get("processor") or one.provenance.get("machine", {}).get("processor", ""),
            },
        )
        for one in experiments
    ]
    own = [f"{one.folder}: {sentence}" for one in experiments for sentence in one.provenance.get(origins.MIXED, ())]
    return [*origins.mixed(parts), *own]
