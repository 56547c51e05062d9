"""The results of every variant's runs on every item: the evaluations, read and checked for a fair comparison."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from headpatterns.errors import InputError
from headpatterns.experiment.variants import ITEM_COLUMNS, Variant, name_of
from headpatterns.io import read_csv
from headpatterns.statistics import probe_weights
from headpatterns.statistics.accuracy import ACCURACY, NLL, Measure, Outcome

Key = tuple[str, str, str]
"""Model, run and set of an evaluation."""

Value = TypeVar("Value")

MEASURES = (ACCURACY, NLL)
"""The measures of an item, in the order of the columns that `read_items` returns."""


def read_items(paths: Sequence[Path], wanted: Iterable[Key]) -> dict[Key, np.ndarray]:
    """The values of `MEASURES`, float64 [items, measures], of the wanted evaluations.

    Accuracy is 1 if the answer is right, else 0. The negative log-likelihood of the gold answer is in nats per token.
    The items of a set are in the order of their ids, the same for every model and run.

    Raises:
        InputError: as `by_item` and `judged`.
    """
    found = by_item(paths, wanted, ITEM_COLUMNS, judged)
    return {key: np.array(list(marks.values())) for key, marks in found.items()}


def by_item(
    paths: Sequence[Path],
    wanted: Iterable[Key],
    columns: Sequence[str],
    read: Callable[[Mapping[str, str], str], Value],
) -> dict[Key, dict[str, Value]]:
    """The values read from every item of the wanted evaluations, in the order of ids, the same for each model and run.

    Args:
        paths: the evaluations' `.items.csv`.
        wanted: the evaluations.
        columns: of the tables.
        read: takes a row, and its location for error messages.

    Raises:
        InputError: a table cannot be used, a wanted evaluation is missing, an item occurs twice, two runs have
            answered different items of one set, or as `read`.
    """
    rows: dict[Key, dict[str, Value]] = {key: {} for key in wanted}
    for path in paths:
        for number, row in enumerate(read_csv(path, columns), start=1):
            key = (row["model"], row["run"], row["set"])
            if key not in rows:
                continue
            if row["id"] in rows[key]:
                raise InputError(
                    f"{path}, row {number}: the item {row['id']!r} of {name_of(key)} appears twice: evaluate again."
                )
            rows[key][row["id"]] = read(row, f"{path}, row {number}")
    first: dict[str, Key] = {}
    for key, found in rows.items():
        if not found:
            raise InputError(f"There are no items of {name_of(key)}: run the rule evaluate.")
        reference = first.setdefault(key[2], key)
        if differing := sorted(found.keys() ^ rows[reference].keys()):
            raise InputError(
                f"The item {differing[0]!r} was answered in only one of two evaluations ({name_of(reference)}; "
                f"{name_of(key)}): evaluate both on the same items."
            )
    return {key: dict(sorted(found.items())) for key, found in rows.items()}


def judged(row: Mapping[str, str], where: str) -> tuple[float, float]:
    """Whether an item's answer is right, and the negative log-likelihood of its gold answer in nats per token.

    Raises:
        InputError: a cell has no valid value; the message names `where`.
    """
    if row["correct"] not in ("0", "1"):
        raise InputError(f"{where}: correct is {row['correct']!r}, not 0 or 1: evaluate again.")
    if not row["tokens"].isdecimal() or int(row["tokens"]) == 0:
        raise InputError(f"{where}: tokens is {row['tokens']!r}, not a whole number of 1 or more: evaluate again.")
    try:
        nll = float(row["nll"])
    except ValueError:
        nll = math.nan
    if not 0 <= nll < math.inf:
        raise InputError(f"{where}: nll is {row['nll']!r}, not a number of 0 or more: evaluate again.")
    return float(row["correct"]), nll / int(row["tokens"])


def outcomes(
    variants: Sequence[Variant], items: Sequence[Path], resamples: int, seed: int
) -> dict[Measure, dict[tuple[str, str, str, str], Outcome]]:
    """For each measure, the outcome of every cell (model, domain, variant, budget) of a study, in order of appearance.

    Args:
        variants: rows of one study.
        items: the evaluations' `.items.csv`.
        resamples: number B of draws of each set's items.
        seed: seed of the draws.

    Raises:
        InputError: as `read_items`; a domain (or a study without domains) has two sets; a model's variants have
            different seeds, or its domains have different variants.
    """
    check_complete(variants)
    values = read_items(items, (variant.evaluation for variant in variants))
    sizes = {evaluation_set: len(found) for (_, _, evaluation_set), found in values.items()}
    weights = {
        evaluation_set: probe_weights(size, evaluation_set, resamples, seed) for evaluation_set, size in sizes.items()
    }
    return {
        measure: {
            cell: Outcome(
                runs=tuple(variant.run for variant in rows),
                seeds=tuple(variant.seed for variant in rows),
                values=np.stack([values[variant.evaluation][:, place] for variant in rows]),
                weights=weights[rows[0].set],
                measure=measure,
            )
            for cell, rows in by_cell(variants).items()
        }
        for place, measure in enumerate(MEASURES)
    }


def by_cell(variants: Iterable[Variant]) -> dict[tuple[str, str, str, str], list[Variant]]:
    """Variants by (model, domain, variant, budget), in the table's order."""
    cells: dict[tuple[str, str, str, str], list[Variant]] = {}
    for variant in variants:
        cells.setdefault(variant.cell, []).append(variant)
    return cells


def check_complete(variants: Sequence[Variant]) -> None:
    """Check that variants are comparable: one set per domain, the same seeds, the same variants in each domain.

    Raises:
        InputError: they are not.
    """
    sets: dict[str, str] = {}
    seeds: dict[str, tuple[str, set[str]]] = {}
    made: dict[tuple[str, str], dict[str, list[tuple[str, str]]]] = {}
    for variant in variants:
        if sets.setdefault(variant.domain, variant.set) != variant.set:
            place = f"The domain {variant.domain!r}" if variant.domain else f"The study {variant.study!r}"
            raise InputError(
                f"{place} is evaluated on two sets, {sets[variant.domain]} and {variant.set}: give it one set."
            )
    for (model, domain, kind, budget), rows in by_cell(variants).items():
        label = f"{kind} {budget}".strip()
        own = {row.seed for row in rows}
        known_label, known = seeds.setdefault(model, (label, own))
        if own != known:
            raise InputError(
                f"The variants {known_label!r} and {label!r} of the model {model} have different training seeds "
                f"({', '.join(sorted(known))}; {', '.join(sorted(own))}): give them the same ones."
            )
        made.setdefault((model, domain), {})[label] = [(row.seed, row.draw) for row in rows]
    for (model, domain), labelled in made.items():
        first, reference = next((place, found) for (name, place), found in made.items() if name == model)
        for label in {**reference, **labelled}:
            if reference.get(label) != labelled.get(label):
                raise InputError(
                    f"The variant {label!r} of the model {model} does not have the same seeds and draws in the domains "
                    f"{first!r} and {domain!r}: give every domain the same variants."
                )
