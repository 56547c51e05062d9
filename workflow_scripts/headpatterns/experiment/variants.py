"""The evaluated variants (`variants.csv`) and their scores.

`variants.csv` has one row for each variant, run and evaluation set. Models and domains appear in tables in the order of
its rows. It has a row of the base model for each seed. The base model is evaluated once for all seeds that start from
it: their rows have the run `base`, or `base.seedN` if each seed has its own base model.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from headpatterns.errors import InputError
from headpatterns.io import read_csv

# The variants of each study in the order of its table; benchmarks have none.
VARIANTS = {
    "competence": ("before", "after"),
    "mixing": ("base", "sft", "random", "uniform", "size-proportional", "grid", "ours", "oracle"),
    "selection": (
        "base",
        "pattern",
        "random",
        "base-pattern",
        "nearest",
        "bm25",
        "signed",
        "by-layer",
        "rds",
        "less",
        "ifd",
        "mid-perplexity",
        "top-perplexity",
        "oracle",
    ),
    "benchmarks": ("",),
}
ALL_DOMAINS = "all"
COUNTS = ("items", "correct", "unparsed", "cut")
# OpenCompass's built-in evaluators do not report these, so their cells are empty.
MAY_BE_UNKNOWN = ("correct", "unparsed")
NUMBERS = (*COUNTS, "accuracy", "low", "high", "nll", "likeliest", "likeliest_per_token")
SCORE_COLUMNS = ("model", "run", "set", *NUMBERS)
ITEM_COLUMNS = ("model", "run", "set", "id", "correct", "nll", "tokens")


@dataclass(frozen=True)
class Variant:
    """One row of variants.csv, as text: a run on an evaluation set, and its place in a study."""

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
        """(model, run, set), the key of an evaluation."""
        return self.model, self.run, self.set

    @property
    def cell(self) -> tuple[str, str, str, str]:
        """(model, domain, variant, budget): one number of a table, from the runs of all seeds and draws."""
        return self.model, self.domain, self.variant, self.budget


COLUMNS = tuple(field.name for field in fields(Variant))


def read_variants(path: Path, study: str | None = None) -> list[Variant]:
    """The rows of one study of `VARIANTS`, or of all, in the table's order.

    Raises:
        InputError: a missing column, an unknown study or variant, a column that must not be empty or must be empty, a
            seed, draw or budget that is not a whole number, a domain called `all`, a repeated row, or no row of the
            study.
    """
    variants: list[Variant] = []
    first_row: dict[tuple[str, ...], int] = {}
    for number, row in enumerate(read_csv(path, COLUMNS), start=1):
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
    """The key that only one row may have; in the benchmarks, which have no variants, two runs can share the rest."""
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
            raise InputError(f"{where}: {column} is {value!r}, but this variant has no {column}: leave it empty.")
    for column in ("seed", "draw", "budget"):
        if (value := getattr(variant, column)) and not value.isdecimal():
            raise InputError(f"{where}: the {column} {value!r} is not a whole number of 0 or more: fix it.")
    if variant.domain == ALL_DOMAINS:
        raise InputError(f"{where}: the domain has the name of the mean over domains, {ALL_DOMAINS!r}: rename it.")


def _columns_needed(variant: Variant) -> dict[str, bool]:
    """Which columns must be filled in and which must be empty; columns that are not named may be either."""
    always = dict.fromkeys(("model", "run", "set"), True)
    if variant.study == "benchmarks":
        return always
    selection = variant.study == "selection"
    return {
        **always,
        "seed": True,
        "draw": variant.variant in ("random", "grid"),
        "budget": selection and variant.variant != "base",
        "domain": selection,
    }


def model_labels(variants: Iterable[Variant]) -> dict[str, str]:
    """Labels of models in tables, in display order."""
    return {variant.model: variant.model_label or variant.model for variant in variants}


def domain_labels(variants: Iterable[Variant]) -> dict[str, str]:
    """Labels of domains in tables, in display order."""
    return {variant.domain: variant.domain_label or variant.domain for variant in variants}


def read_scores(paths: Sequence[Path]) -> dict[tuple[str, str, str], dict[str, str]]:
    """Evaluation rows by (model, run, set), their numbers as text.

    Raises:
        InputError: an evaluation occurs twice, or has impossible counts.
    """
    scores: dict[tuple[str, str, str], dict[str, str]] = {}
    places: dict[tuple[str, str, str], str] = {}
    for path in paths:
        for number, row in enumerate(read_csv(path, SCORE_COLUMNS), start=1):
            where = f"{path}, row {number}"
            key = (row["model"], row["run"], row["set"])
            if key in places:
                raise InputError(f"{where} and {places[key]} both evaluate {name_of(key)}: keep one of them.")
            _check_counts(row, where)
            scores[key], places[key] = row, where
    return scores


def _check_counts(row: dict[str, str], where: str) -> None:
    for column in COUNTS:
        if column in MAY_BE_UNKNOWN and not row[column]:
            continue
        if not row[column].isdecimal():
            raise InputError(f"{where}: {column} is {row[column]!r}, which is not a whole number: evaluate again.")
        if int(row[column]) > int(row["items"]):
            raise InputError(f"{where}: {column} is {row[column]} of {row['items']} items: evaluate again.")
    if row["items"] == "0":
        raise InputError(f"{where}: no item was evaluated, because the set {row['set']} is empty: give the set items.")


def scores_of(variant: Variant, scores: dict[tuple[str, str, str], dict[str, str]]) -> list[dict[str, str]]:
    """The evaluation rows of one variant: one row or, for a set of several datasets, one each with set `SET/DATASET`.

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
        raise InputError(f"There is no evaluation of {name_of(variant.evaluation)}: run the rule evaluate.")
    return found


def name_of(evaluation: tuple[str, str, str]) -> str:
    """The name of an evaluation in errors."""
    model, run, evaluation_set = evaluation
    return f"model {model}, run {run} on the set {evaluation_set}"
