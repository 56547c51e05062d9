"""What was evaluated and as what (`variants.csv`), and what the evaluations say of it: scores and single items.

`variants.csv` has one row for each variant, run and evaluation set; the order of its rows is the order in which models
and domains appear in tables. The base model is evaluated once and stands there once for each seed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from headpatterns import tidy
from headpatterns.errors import InputError
from headpatterns.statistics import probe_weights
from headpatterns.statistics.accuracy import Outcome

# The variants of each study in the order of its table; benchmarks have none.
VARIANTS = {
    "mixing": ("base", "sft", "random", "ours"),
    "selection": ("base", "pattern", "random", "base-pattern", "nearest", "bm25"),
    "benchmarks": ("",),
}
ALL_DOMAINS = "all"
COUNTS = ("items", "correct", "unparsed", "cut")
# The evaluators that OpenCompass brings along do not say these: their cells are empty.
MAY_BE_UNKNOWN = ("correct", "unparsed")
NUMBERS = (*COUNTS, "accuracy", "low", "high")
SCORE_COLUMNS = ("model", "run", "set", *NUMBERS)
ITEM_COLUMNS = ("model", "run", "set", "id", "correct")


@dataclass(frozen=True)
class Variant:
    """One row of variants.csv, as text: a run on an evaluation set, and the place it has in a study."""

    study: str
    model: str
    model_label: str
    seed: str
    variant: str
    draw: str
    budget: str
    domain: str
    domain_label: str
    run: str
    set: str

    @property
    def evaluation(self) -> tuple[str, str, str]:
        """(model, run, set), by which evaluations are found."""
        return self.model, self.run, self.set

    @property
    def cell(self) -> tuple[str, str, str, str]:
        """(model, domain, variant, budget): one number of a table, made of the runs of all seeds and draws."""
        return self.model, self.domain, self.variant, self.budget


COLUMNS = tuple(field.name for field in fields(Variant))


def read_variants(path: Path, study: str | None = None) -> list[Variant]:
    """The rows of one study (mixing, selection or benchmarks), or of all, in the table's order.

    Raises:
        InputError: a missing column, an unknown study or variant, a column that is empty or filled where it must not
            be, a seed, draw or budget that is no whole number, a domain called `all`, a row given twice, or no row of
            the study.
    """
    variants: list[Variant] = []
    first_row: dict[tuple[str, ...], int] = {}
    for number, row in enumerate(tidy.read(path, COLUMNS), start=1):
        variant = Variant(**{column: row[column] for column in COLUMNS})
        _check(variant, f"{path}, row {number}")
        known = first_row.setdefault(_place(variant), number)
        if known != number:
            raise InputError(f"{path}, row {number} repeats row {known}: keep one of them.")
        if study in (None, variant.study):
            variants.append(variant)
    if study and not variants:
        raise InputError(f"{path} has no row of the study {study!r}: add one, or leave out this analysis.")
    return variants


def _place(variant: Variant) -> tuple[str, ...]:
    """What only one row can say; two runs can share it in the benchmarks alone, which have no variants."""
    place = (variant.study, *variant.cell, variant.seed, variant.draw, variant.set)
    return place if variant.variant else (*place, variant.run)


def _check(variant: Variant, where: str) -> None:
    if variant.study not in VARIANTS:
        raise InputError(f"{where}: unknown study {variant.study!r}: use one of {', '.join(VARIANTS)}.")
    if variant.variant not in VARIANTS[variant.study]:
        allowed = ", ".join(VARIANTS[variant.study]) or "nothing"
        raise InputError(f"{where}: unknown variant {variant.variant!r} of the study {variant.study}: use {allowed}.")
    for column, is_needed in _columns_needed(variant).items():
        value = getattr(variant, column)
        if is_needed and not value:
            raise InputError(f"{where}: the column {column!r} is empty: fill it in.")
        if value and not is_needed:
            raise InputError(f"{where}: {column} {value!r} has no meaning for this variant: leave it empty.")
    for column in ("seed", "draw", "budget"):
        if (value := getattr(variant, column)) and not value.isdecimal():
            raise InputError(f"{where}: the {column} {value!r} is no whole number of 0 or more: fix it.")
    if variant.domain == ALL_DOMAINS:
        raise InputError(f"{where}: a domain cannot be called {ALL_DOMAINS!r}, the mean over domains: rename it.")


def _columns_needed(variant: Variant) -> dict[str, bool]:
    """Which columns must be filled in and which must be empty; what is not named may be either."""
    always = dict.fromkeys(("model", "run", "set"), True)
    if variant.study == "benchmarks":
        return always
    selection = variant.study == "selection"
    return {
        **always,
        "seed": True,
        "draw": variant.variant == "random",
        "budget": selection and variant.variant != "base",
        "domain": selection,
    }


def model_labels(variants: Iterable[Variant]) -> dict[str, str]:
    """What models are called in tables, in display order."""
    return {variant.model: variant.model_label or variant.model for variant in variants}


def domain_labels(variants: Iterable[Variant]) -> dict[str, str]:
    """What domains are called in tables, in display order."""
    return {variant.domain: variant.domain_label or variant.domain for variant in variants}


def read_scores(paths: Sequence[Path]) -> dict[tuple[str, str, str], dict[str, str]]:
    """Evaluation rows by (model, run, set), their numbers as text.

    Raises:
        InputError: an evaluation given twice, or counts that cannot be.
    """
    scores: dict[tuple[str, str, str], dict[str, str]] = {}
    places: dict[tuple[str, str, str], str] = {}
    for path in paths:
        for number, row in enumerate(tidy.read(path, SCORE_COLUMNS), start=1):
            where = f"{path}, row {number}"
            key = (row["model"], row["run"], row["set"])
            if key in places:
                raise InputError(f"{where} evaluates {name(key)} once more, after {places[key]}: keep one of them.")
            _check_counts(row, where)
            scores[key], places[key] = row, where
    return scores


def _check_counts(row: dict[str, str], where: str) -> None:
    for column in COUNTS:
        if column in MAY_BE_UNKNOWN and not row[column]:
            continue
        if not row[column].isdecimal():
            raise InputError(f"{where}: {column} is {row[column]!r}, no whole number: evaluate again.")
        if int(row[column]) > int(row["items"]):
            raise InputError(f"{where}: {column} is {row[column]} of {row['items']} items: evaluate again.")
    if row["items"] == "0":
        raise InputError(f"{where}: no item was evaluated: the set {row['set']} is empty, fill it.")


def scores_of(variant: Variant, scores: dict[tuple[str, str, str], dict[str, str]]) -> list[dict[str, str]]:
    """The evaluation rows of one variant: one, or of a set of several datasets one each, their sets `SET/DATASET`.

    Raises:
        InputError: there is none.
    """
    model, run, evaluation_set = variant.evaluation
    found = [
        row
        for (*of, part), row in scores.items()
        if of == [model, run] and (part == evaluation_set or part.startswith(f"{evaluation_set}/"))
    ]
    if not found:
        raise InputError(f"No evaluation is given of {name(variant.evaluation)}: run the rule that evaluates it.")
    return found


def name(evaluation: tuple[str, str, str]) -> str:
    """What an evaluation is called in errors."""
    model, run, evaluation_set = evaluation
    return f"model {model}, run {run} on the set {evaluation_set}"


def read_items(paths: Sequence[Path], wanted: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str, str], np.ndarray]:
    """Right answers, 1 or 0 as float64 [items], of the wanted evaluations (model, run, set).

    The items of a set stand in the order of their ids, the same for every model and run.

    Raises:
        InputError: a wanted evaluation is missing, an item stands there twice or is marked with neither 0 nor 1, or two
            runs have answered different items of one set.
    """
    wanted = list(dict.fromkeys(wanted))
    marks: dict[tuple[str, str, str], dict[str, str]] = {key: {} for key in wanted}
    for path in paths:
        for number, row in enumerate(tidy.read(path, ITEM_COLUMNS), start=1):
            key = (row["model"], row["run"], row["set"])
            if key not in marks:
                continue
            if row["id"] in marks[key]:
                raise InputError(f"{path}, row {number}: the item {row['id']!r} of {name(key)} stands there twice.")
            if row["correct"] not in ("0", "1"):
                raise InputError(f"{path}, row {number}: correct is {row['correct']!r}, not 0 or 1: evaluate again.")
            marks[key][row["id"]] = row["correct"]
    first: dict[str, tuple[str, str, str]] = {}
    for key in wanted:
        if not marks[key]:
            raise InputError(f"No items are given of {name(key)}: run the rule that evaluates it.")
        reference = first.setdefault(key[2], key)
        if differing := sorted(marks[key].keys() ^ marks[reference].keys()):
            raise InputError(
                f"The item {differing[0]!r} was answered in only one of two evaluations ({name(reference)}; "
                f"{name(key)}): evaluate both on the same items."
            )
    return {key: np.array([float(found[item]) for item in sorted(found)]) for key, found in marks.items()}


def outcomes(
    variants: Sequence[Variant], items: Sequence[Path], resamples: int, seed: int
) -> dict[tuple[str, str, str, str], Outcome]:
    """The outcome of every cell (model, domain, variant, budget) of one study, in order of first appearance.

    Args:
        variants: rows of one study.
        items: the evaluations' `.items.csv`.
        resamples: number B of draws of each set's items.
        seed: seed of the draws.

    Raises:
        InputError: as `read_items`; a domain (or a study without any) with two sets; a model whose variants have
            different seeds, or whose domains have different variants.
    """
    check_complete(variants)
    correct = read_items(items, (variant.evaluation for variant in variants))
    sizes = {evaluation_set: len(found) for (_, _, evaluation_set), found in correct.items()}
    weights = {
        evaluation_set: probe_weights(size, evaluation_set, resamples, seed) for evaluation_set, size in sizes.items()
    }
    return {
        cell: Outcome(
            runs=tuple(variant.run for variant in rows),
            seeds=tuple(variant.seed for variant in rows),
            correct=np.stack([correct[variant.evaluation] for variant in rows]),
            weights=weights[rows[0].set],
        )
        for cell, rows in by_cell(variants).items()
    }


def by_cell(variants: Iterable[Variant]) -> dict[tuple[str, str, str, str], list[Variant]]:
    """Variants by (model, domain, variant, budget), in the table's order."""
    cells: dict[tuple[str, str, str, str], list[Variant]] = {}
    for variant in variants:
        cells.setdefault(variant.cell, []).append(variant)
    return cells


def check_complete(variants: Sequence[Variant]) -> None:
    """Check that what is compared was made alike: one set a domain, the same seeds, the same variants in each domain.

    Raises:
        InputError: it was not.
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
    for (model, domain), own in made.items():
        first, reference = next((place, found) for (name, place), found in made.items() if name == model)
        for label in {**reference, **own}:
            if reference.get(label) != own.get(label):
                raise InputError(
                    f"The variant {label!r} of the model {model} does not have the same seeds and draws in the domains "
                    f"{first!r} and {domain!r}: give every domain the same variants."
                )
