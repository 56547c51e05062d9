"""Rows of the two tables of an evaluation, from OpenCompass's results."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isclose
from typing import Any

from headpatterns.errors import InputError
from headpatterns.evaluation import answers
from headpatterns.evaluation.intervals import wilson
from headpatterns.evaluation.sets import Item

COLUMNS = ("items", "correct", "unparsed", "cut", "accuracy", "low", "high")
ITEM_COLUMNS = ("id", "gold", "prediction", "answer", "parsed", "correct")

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Output:
    """What OpenCompass wrote about one dataset.

    Attributes:
        dataset: its abbreviation there.
        predictions: one mapping an item, in order: `origin_prompt`, `prediction`, often `gold`.
        results: the evaluator's scores (per cent) and, where it gives them, `details`.
        cut: how many prompts were cut on the left.
    """

    dataset: str
    predictions: list[dict[str, Any]]
    results: dict[str, Any]
    cut: int


def of_set(items: Sequence[Item], output: Output) -> tuple[Row, list[Row]]:
    """The scores and the item rows of one of the workflow's own sets.

    Raises:
        RuntimeError: OpenCompass asked for other prompts than the items', or its accuracy is not that of the items.
    """
    asked = [prediction["origin_prompt"] for prediction in output.predictions]
    if asked != [item.prompt for item in items]:
        raise RuntimeError(f"OpenCompass did not ask for exactly the prompts of the set {output.dataset}")
    rows: list[Row] = []
    for item, predicted in zip(items, output.predictions, strict=True):
        read = answers.read(predicted["prediction"], item.gold, item.choices)
        right = read is not None and read == answers.canonical(item.gold, item.choices)
        rows.append((item.id, item.gold, predicted["prediction"], read or "", int(read is not None), int(right)))
    correct, unparsed = sum(row[-1] for row in rows), sum(not row[-2] for row in rows)
    accuracy = _accuracy(output)
    if not isclose(accuracy * len(rows), correct, abs_tol=1e-6):
        raise RuntimeError(
            f"OpenCompass reports an accuracy of {accuracy} on the set {output.dataset}, but {correct} of {len(rows)} "
            "items are right"
        )
    return (len(rows), correct, unparsed, output.cut, correct / len(rows), *wilson(correct, len(rows))), rows


def of_builtin(output: Output) -> tuple[Row, list[Row]]:
    """The scores and the item rows of a dataset that OpenCompass brings along.

    How many predictions could not be read it does not say, nor, for most datasets, which ones are right: those cells
    are empty. An item's id is its number from 0.
    """
    accuracy, items = _accuracy(output), len(output.predictions)
    rounded = round(accuracy * items)
    correct: int | str
    if isclose(accuracy * items, rounded, abs_tol=1e-6):
        correct, interval = rounded, wilson(rounded, items)
    else:  # the evaluator's accuracy is no share of the items
        correct, interval = "", (float("nan"), float("nan"))
    details = output.results.get("details")
    details = details if isinstance(details, list) and len(details) == items else [{}] * items
    rows = [
        (number, predicted.get("gold", ""), predicted["prediction"], *_of_details(detail))
        for number, (predicted, detail) in enumerate(zip(output.predictions, details, strict=True))
    ]
    return (items, correct, "", output.cut, accuracy, *interval), rows


def _accuracy(output: Output) -> float:
    """OpenCompass's accuracy as a share."""
    if "accuracy" not in output.results:
        raise InputError(
            f"OpenCompass scores the dataset {output.dataset} by {', '.join(map(str, output.results))} and not by "
            "accuracy: use another built-in configuration."
        )
    return float(output.results["accuracy"]) / 100


def _of_details(detail: dict[str, Any]) -> Row:
    """Answer, parsed and correct of one item; OpenCompass wraps each value into a list of replicas."""
    values = {name: value[0] if isinstance(value, list) and value else value for name, value in detail.items()}
    correct = values.get("correct")
    return values.get("pred", ""), "", "" if correct is None else int(bool(correct))
