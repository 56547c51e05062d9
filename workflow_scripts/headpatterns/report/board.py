"""The first screen of the page: a sentence about the runs, and the verdict of every claim on every model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headpatterns.presentation.inputs import ALL_MODELS, RunTable
from headpatterns.report import claims


@dataclass(frozen=True)
class Board:
    """The contents for the template.

    Attributes:
        counts: the verdicts that occur, each with its class and words, and the number of checks.
        models: the columns.
        sections: of the paper, each with its title and a row per claim. A row has the claim and its cells: lines of
            `claims`, and the number of their columns.
    """

    counts: list[dict[str, Any]]
    models: list[str]
    sections: list[dict[str, Any]]


def of(shown: claims.Shown, runs: RunTable) -> Board:
    """The board of some claims; models are columns, in the order of the run table."""
    every = [line for section in shown.sections for claim in section["claims"] for line in claim["lines"]]
    known = dict.fromkeys(runs.rows["model_label"])
    named = dict.fromkeys(line["model"] for line in every if line["model"])
    models = [*(label for label in known if label in named), *(label for label in named if label not in known)]
    sections = [
        {"title": section["title"], "rows": [row(claim, models) for claim in section["claims"]]}
        for section in shown.sections
    ]
    counts = [
        {
            "class": verdict.replace(" ", "-"),
            "words": "hold" if verdict == "holds" and count > 1 else verdict,
            "count": count,
        }
        for verdict in claims.VERDICTS
        if (count := sum(line["verdict"] == verdict.replace(" ", "-") for line in every))
    ]
    return Board(counts, models, sections)


def row(claim: Mapping[str, Any], models: Sequence[str]) -> dict[str, Any]:
    """A claim with a cell for each model, or one cell for all if it is not about a single model."""
    lines: list[Mapping[str, Any]] = claim["lines"]
    if not all(line["model"] for line in lines):
        return {"claim": claim, "cells": [{"model": ALL_MODELS, "lines": lines, "columns": max(1, len(models))}]}
    cells = [
        {"model": model, "lines": [line for line in lines if line["model"] == model], "columns": 1} for model in models
    ]
    return {"claim": claim, "cells": cells}


def was_run(runs: RunTable) -> str:
    """A sentence about the runs whose patterns before and after fine-tuning are compared."""
    rows = runs.rows
    if rows.empty:
        return "This experiment compares no run before and after fine-tuning."
    together: dict[tuple[int, int], list[str]] = {}
    for _, own in rows.groupby("model", sort=False):
        size = own["task"].nunique(), own["seed"].nunique()
        together.setdefault(size, []).append(str(own["model_label"].iloc[0]))
    parts = [
        f"{listed(models)} on {counted(tasks, 'task')} with {counted(seeds, 'seed')}"
        for (tasks, seeds), models in together.items()
    ]
    count = counted(len(rows[["model", "run"]].drop_duplicates()), "run")
    return f"Activation patterns of all heads before and after fine-tuning {listed(parts)}: {count}."


def counted(count: int, noun: str) -> str:
    """A number with its noun, such as `7 tasks`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(names: Sequence[str]) -> str:
    """Names with commas and an `and`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
