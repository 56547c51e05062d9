"""Does training on a mixture of basic tasks first help on the complex task (Table 2, Eq. 4)?"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from headpatterns.errors import InputError
from headpatterns.experiment.variants import VARIANTS, model_labels, read_variants
from headpatterns.io import read_csv
from headpatterns.statistics import estimate_and_interval
from headpatterns.statistics.accuracy import RANK_COLUMNS, Outcome, mean, ranked, spread
from headpatterns.studies import gains
from headpatterns.studies.mixing import parts as true_parts
from headpatterns.studies.mixing.proportions import COEFFICIENT_COLUMNS, PICK_COLUMNS
from headpatterns.studies.outcomes import outcomes
from headpatterns.studies.table import Table

GRID = "grid"
COLUMNS = ("model", "measure", "variant", "items", "value", "low", "high", "spread")
COMPARISONS = (
    *(("ours", "sft"), ("ours", "random"), ("sft", "base"), ("ours", "base")),
    *(("ours", "uniform"), ("ours", "size-proportional")),
    *(("grid", other) for other in ("ours", "random", "uniform", "size-proportional", "sft")),
    *(("oracle", "sft"), ("oracle", "ours"), ("oracle", "random")),
)
"""The comparisons; the gain of the best point of the grid over a mixture is the regret of that mixture."""

GRID_COLUMNS = ("model", "measure", "point", "shares", "value", "low", "high", "best")


def compute(
    variants: Path,
    items: Sequence[Path],
    coefficients: Sequence[Path],
    picks: Sequence[Path],
    parts: Sequence[str],
    points: Sequence[str],
    resamples: int,
    seed: int,
) -> dict[str, Table]:
    """The scores of all variants, differences between them, and the coefficients and picks behind the mixtures.

    Args:
        variants: variants.csv; the mixing study is used.
        items: CSV files of evaluate, single items.
        coefficients: CSV files of mix_basic_tasks, coefficients.csv.
        picks: the same, picks.csv.
        parts: the true parts of the complex task; none where they are unknown.
        points: the shares of each point of the grid, in order; none without a grid.
        resamples: bootstrap replicates of the evaluation set.
        seed: seed of the bootstrap.

    Returns:
        `accuracy` of every variant, and the negative log-likelihood of the gold answers; `differences` between
        variants; `ranks` of the mixture among random ones, by seed; `mixture`: coefficients of all models and seeds;
        `picks`: how often the bootstrap makes each choice; `parts`: which of the kept tasks are true parts;
        `grid`: every point of the grid. `accuracy` and `differences` contain the point that is best by the estimate.

    Raises:
        InputError: a file cannot be used, or the variants are not comparable.
    """
    rows_of_study = read_variants(variants, "mixing")
    found = outcomes(rows_of_study, items, resamples, seed)
    rows: list[tuple[Any, ...]] = []
    differences: list[tuple[Any, ...]] = []
    ranks: list[tuple[Any, ...]] = []
    on_grid: list[tuple[Any, ...]] = []
    for model in model_labels(rows_of_study):
        for measure, cells in found.items():
            own = of_model(cells, model)
            on_grid += [(model, measure.name, *row) for row in grid_rows(cells, model, points)]
            for variant in filter(own.get, VARIANTS["mixing"]):
                interval = estimate_and_interval(mean(own[variant]), limits=measure.limits)
                rows.append((model, measure.name, variant, own[variant][0].items, *interval, spread(own[variant])))
            pairs = [pair for pair in COMPARISONS if own.keys() >= set(pair)]
            differences += [(model, measure.name, *pair, *gains.gains(*(own[one] for one in pair))) for pair in pairs]
            if "ours" in own and "random" in own:
                ranks += [(model, measure.name, *one.row) for one in ranked(own["ours"], own["random"])]
    mixture = joined(coefficients, COEFFICIENT_COLUMNS, ("model", "seed", "task"))
    picked = joined(picks, PICK_COLUMNS, ("model", "seed", "of", "tasks"))
    return {
        "accuracy": Table(COLUMNS, rows),
        "differences": Table(("model", "measure", "better", "worse", *gains.COLUMNS), differences),
        "ranks": Table(("model", "measure", *RANK_COLUMNS), ranks),
        "mixture": Table(COEFFICIENT_COLUMNS, mixture),
        "picks": Table(PICK_COLUMNS, picked),
        "grid": Table(GRID_COLUMNS, on_grid),
        "parts": Table(true_parts.COLUMNS, true_parts.rows(mixture, picked, parts)),
    }


def of_model(cells: Mapping[tuple[str, str, str, str], Outcome], model: str) -> dict[str, list[Outcome]]:
    """The outcomes of a model on the target by variant; for a grid, the outcome of its best point on the target."""
    found = {variant: outcome for (name, _, variant, _), outcome in cells.items() if name == model}
    if GRID in found:
        found[GRID] = best_of(of_points(found[GRID]))
    return {variant: [outcome] for variant, outcome in found.items()}


def of_points(outcome: Outcome) -> list[Outcome]:
    """The outcome of each point of a grid, whose runs are in the order of the points for every seed."""
    seeds = list(outcome.seeds)
    count = seeds.count(seeds[0])
    by_point = [[place for place in range(len(seeds)) if seeds[:place].count(seeds[place]) == n] for n in range(count)]
    return [
        replace(
            outcome,
            runs=tuple(outcome.runs[place] for place in own),
            seeds=tuple(seeds[place] for place in own),
            values=outcome.values[own],
        )
        for own in by_point
    ]


def best_of(points: Sequence[Outcome]) -> Outcome:
    """The point with the best mean over items and seeds; the first of equal points."""
    return max(points, key=lambda one: one.measure.sign * float(mean([one])[0]))


def grid_rows(
    cells: Mapping[tuple[str, str, str, str], Outcome], model: str, points: Sequence[str]
) -> list[tuple[Any, ...]]:
    """Cells after the measure, for every point of the grid of a model; none without a grid."""
    found = next((one for (name, _, variant, _), one in cells.items() if (name, variant) == (model, GRID)), None)
    if found is None:
        return []
    outcomes_of = of_points(found)
    best = best_of(outcomes_of)
    return [
        (place, shares, *estimate_and_interval(mean([one]), limits=one.measure.limits), int(one is best))
        for place, (shares, one) in enumerate(zip(points, outcomes_of, strict=True))
    ]


def joined(paths: Sequence[Path], columns: Sequence[str], key: Sequence[str]) -> list[tuple[str, ...]]:
    """The rows of all files in one table; `key` are the columns that tell them apart.

    Raises:
        InputError: two rows have the same key.
    """
    rows: dict[tuple[str, ...], tuple[str, ...]] = {}
    for path in paths:
        for number, row in enumerate(read_csv(path, columns), start=1):
            place = tuple(row[column] for column in key)
            if place in rows:
                named = ", ".join(f"{column} {row[column]}" for column in key)
                raise InputError(f"{path}, row {number}: {named} appears twice: give every table once.")
            rows[place] = tuple(row[column] for column in columns)
    return list(rows.values())
