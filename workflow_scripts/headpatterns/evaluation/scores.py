"""Rows of the two tables of an evaluation, from OpenCompass's results and from likelihoods."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from math import isclose
from statistics import fmean
from typing import Any

from headpatterns.data.adapters.choices import LETTERS
from headpatterns.errors import InputError
from headpatterns.evaluation import answers
from headpatterns.evaluation.intervals import wilson
from headpatterns.evaluation.likelihoods import Likelihood
from headpatterns.evaluation.sets import EvaluationSet, Item

COLUMNS = ("items", "correct", "unparsed", "cut", "accuracy", "low", "high", "nll", "likeliest", "likeliest_per_token")
ITEM_COLUMNS = ("id", "gold", "prediction", "answer", "parsed", "correct",
                "nll", "tokens", "likeliest", "likeliest_per_token")  # fmt: skip

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Output:
    """OpenCompass's results for one dataset.

    Attributes:
        dataset: its abbreviation there.
        predictions: one mapping per item, in order: `origin_prompt`, `prediction`, often `gold`.
        results: the evaluator's scores (per cent) and, if available, `details`.
        cut: number of prompts that were cut on the left.
    """

    dataset: str
    predictions: list[dict[str, Any]]
    results: dict[str, Any]
    cut: int


def of_set(
    name: str, items: EvaluationSet, output: Output | None, likelihoods: Sequence[Likelihood]
) -> tuple[Row, list[Row]]:
    """The scores and the item rows of one of the workflow's own sets.

    Args:
        name: name of the set.
        items: its items.
        output: OpenCompass's results for items with generated answers; None if there are none.
        likelihoods: of all items, in order.

    Raises:
        RuntimeError: OpenCompass used other prompts than the items', or its accuracy differs from that of the items.
    """
    is_written = [items.is_generated(item) for item in items.items]
    predictions = iter(_predictions(name, list(compress(items.items, is_written)), output))
    rows: list[Row] = []
    for item, likelihood, written in zip(items.items, likelihoods, is_written, strict=True):
        if written:
            answered = _read(item, next(predictions))
        else:
            answered = _chosen(item, likelihood) if items.has_answers else ("", "", "", "")
        rows.append((item.id, item.gold, *answered, likelihood.nll, likelihood.tokens, *_likeliest(likelihood)))
    if output:
        _check_accuracy(name, output, list(compress(rows, is_written)))
    chosen = (found for found, written in zip(likelihoods, is_written, strict=True) if not written)
    cut = (output.cut if output else 0) + sum(found.shortened for found in chosen)
    nll = fmean(found.nll / found.tokens for found in likelihoods)
    return (*_counts(rows, items.has_answers, cut), nll, *_shares(items.items, likelihoods)), rows


def _predictions(name: str, generated: Sequence[Item], output: Output | None) -> list[str]:
    """The generated answers of the items that need one."""
    found = output.predictions if output else []
    if [predicted["origin_prompt"] for predicted in found] != [item.asked_as_text for item in generated]:
        raise RuntimeError(f"the prompts that OpenCompass used are not those of the set {name}")
    return [predicted["prediction"] for predicted in found]


def _read(item: Item, prediction: str) -> Row:
    """The columns prediction, answer, parsed and correct for an item with a generated answer."""
    read = answers.read(prediction, item.gold, item.choices)
    right = read is not None and read == answers.canonical(item.gold, item.choices)
    return prediction, read or "", int(read is not None), int(right)


def _chosen(item: Item, likelihood: Likelihood) -> Row:
    """The same columns for an item whose answer is the option with the highest likelihood per token."""
    place = likelihood.likeliest_per_token
    letter = LETTERS[place]
    return item.choices[place], letter, 1, int(letter == answers.canonical(item.gold, item.choices))


def _likeliest(likelihood: Likelihood) -> tuple[str, str]:
    """Letters of the options with the highest likelihood, in total and per token; empty without options."""
    if not likelihood.options:
        return "", ""
    return LETTERS[likelihood.likeliest], LETTERS[likelihood.likeliest_per_token]


def _shares(items: Sequence[Item], likelihoods: Sequence[Likelihood]) -> Row:
    """Shares of the items with options whose gold answer has the highest likelihood; empty if no item has options."""
    marks = [
        [letter == answers.canonical(item.gold, item.choices) for letter in _likeliest(likelihood)]
        for item, likelihood in zip(items, likelihoods, strict=True)
        if likelihood.options
    ]
    return tuple(map(fmean, zip(*marks, strict=True))) if marks else ("", "")


def _counts(rows: Sequence[Row], has_answers: bool, cut: int) -> Row:
    """The scores up to the interval."""
    if not has_answers:
        return len(rows), "", "", cut, "", "", ""
    parsed, correct = (sum(row[ITEM_COLUMNS.index(name)] for row in rows) for name in ("parsed", "correct"))
    return len(rows), correct, len(rows) - parsed, cut, correct / len(rows), *wilson(correct, len(rows))


def _check_accuracy(name: str, output: Output, rows: Sequence[Row]) -> None:
    accuracy, correct = _accuracy(output), sum(row[ITEM_COLUMNS.index("correct")] for row in rows)
    if not isclose(accuracy * len(rows), correct, abs_tol=1e-6):
        raise RuntimeError(
            f"OpenCompass reports an accuracy of {accuracy} on the set {name}, but {correct} of {len(rows)} items are "
            "right"
        )


def of_builtin(output: Output) -> tuple[Row, list[Row]]:
    """The scores and the item rows of one of OpenCompass's built-in datasets.

    OpenCompass does not report the number of unreadable predictions or, for most datasets, which ones are correct.
    These cells are empty, and so are those of likelihoods. An item's id is its number from 0.
    """
    accuracy, items = _accuracy(output), len(output.predictions)
    rounded = round(accuracy * items)
    correct: int | str
    if isclose(accuracy * items, rounded, abs_tol=1e-6):
        correct, interval = rounded, wilson(rounded, items)
    else:  # the evaluator's accuracy is not a share of the items
        correct, interval = "", (float("nan"), float("nan"))
    details = output.results.get("details")
    details = details if isinstance(details, list) and len(details) == items else [{}] * items
    rows = [
        (number, predicted.get("gold", ""), predicted["prediction"], *_of_details(detail), *[""] * 4)
        for number, (predicted, detail) in enumerate(zip(output.predictions, details, strict=True))
    ]
    return (items, correct, "", output.cut, accuracy, *interval, *[""] * 3), rows


def _accuracy(output: Output) -> float:
    """OpenCompass's accuracy as a share."""
    if "accuracy" not in output.results:
        raise InputError(
            f"OpenCompass scores the dataset {output.dataset} by {', '.join(map(str, output.results))}, not by "
            "accuracy: use another built-in configuration."
        )
    return float(output.results["accuracy"]) / 100


def _of_details(detail: dict[str, Any]) -> Row:
    """The columns answer, parsed and correct of one item; OpenCompass wraps each value in a list of replicas."""
    values = {name: value[0] if isinstance(value, list) and value else value for name, value in detail.items()}
    correct = values.get("correct")
    return values.get("pred", ""), "", "" if correct is None else int(bool(correct))
