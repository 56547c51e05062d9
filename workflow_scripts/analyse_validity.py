"""Whether activation patterns predict what ablating heads does to the loss, before and after fine-tuning."""

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headpatterns import cli as command_line
from headpatterns import tidy
from headpatterns.errors import InputError
from headpatterns.statistics import estimate_and_interval, estimate_and_shifted_interval
from headpatterns.studies.validity import measures as validity

KEYS = ("model", "task", "seed", "phase")
COLUMNS = (*KEYS, "reduction", "change", "over", "value", "low", "high")
BETWEEN_COLUMNS = (*KEYS, "reduction_a", "reduction_b", "over", "value", "low", "high")
GROUP_COLUMNS = (*KEYS, "reduction", "change", "ranking", "k", "share", "value", "low", "high", "spread")
CONTRAST_COLUMNS = (*KEYS, "reduction", "change", "contrast", "value", "low", "high", "exceeds", "draws")


@dataclass(frozen=True)
class Run:
    """Both phases of a run, and the bootstrap of its samples."""

    phases: Mapping[str, validity.Ablation]
    weights: validity.Weights


Runs = Mapping[tuple[str, str, str], Run]
"""Runs by model, task and training seed."""


def main(arguments: argparse.Namespace) -> None:
    """Write the four tables, each of every run, of means over seeds and of means over tasks."""
    runs = read_runs(arguments)
    tables = (
        (arguments.output, COLUMNS, correlation_rows(runs)),
        (arguments.between_output, BETWEEN_COLUMNS, between_rows(runs)),
        (arguments.groups_output, GROUP_COLUMNS, group_rows(runs)),
        (arguments.contrasts_output, CONTRAST_COLUMNS, contrast_rows(runs)),
    )
    for path, columns, rows in tables:
        tidy.write(path, columns, rows)


def read_runs(arguments: argparse.Namespace) -> Runs:
    """Read and check the ablations of all runs.

    Raises:
        InputError: a run is named twice or its seed is no number, or files are damaged or do not fit each other.
    """
    runs: dict[tuple[str, str, str], Run] = {}
    for model, task, seed, folder in arguments.ablations:
        if not seed.isdecimal():
            raise InputError(f"--ablations {model} {task} {seed} {folder}: the seed is no whole number: fix it.")
        if (model, task, seed) in runs:
            raise InputError(f"--ablations {model} {task} {seed} is given twice: leave one out.")
        phases = validity.read_both(Path(folder))
        weights = validity.weights_of(phases["before"], task, arguments.resamples, arguments.seed)
        runs[model, task, seed] = Run(phases, weights)
    validity.check_alike(by_model(runs))
    return runs


def by_model(runs: Runs) -> dict[str, list[validity.Ablation]]:
    """The ablations of each model."""
    found: dict[str, list[validity.Ablation]] = {}
    for (model, *_), run in runs.items():
        found.setdefault(model, []).extend(run.phases.values())
    return found


def correlation_rows(runs: Runs) -> Iterator[tuple[Any, ...]]:
    """Correlations of patterns and changes of the loss, and their differences, after minus before."""
    measured = {}
    for key, run in runs.items():
        before, after = (validity.correlations(run.phases[phase], run.weights) for phase in validity.PHASES)
        difference = {of: after[of] - before[of] for of in before}
        for phase, by_kind in zip((*validity.PHASES, validity.DIFFERENCE), (before, after, difference), strict=True):
            measured[*key, phase] = by_kind
    for state, by_kind in validity.with_means(measured).items():
        bound = 2.0 if state[-1] == validity.DIFFERENCE else 1.0
        yield from ((*state, *of, *estimate_and_shifted_interval(r, bound)) for of, r in by_kind.items())


def between_rows(runs: Runs) -> Iterator[tuple[Any, ...]]:
    """Correlations between the patterns of every two reductions."""
    for state, by_kind in validity.with_means(each_phase(runs, validity.between_reductions)).items():
        yield from ((*state, *of, *estimate_and_shifted_interval(r)) for of, r in by_kind.items())


def group_rows(runs: Runs) -> Iterator[tuple[Any, ...]]:
    """Changes of the loss by size of the group."""
    models = by_model(runs)
    for state, by_kind in validity.with_means(each_phase(runs, validity.curves)).items():
        like = models[state[0]][0]
        for of, curve in by_kind.items():
            points = zip(like.top, like.shares, *estimate_and_interval(curve.change), curve.spread, strict=True)
            yield from ((*state, like.reduction, *of, *point) for point in points)


def contrast_rows(runs: Runs) -> Iterator[tuple[Any, ...]]:
    """Areas between the curves."""
    models = by_model(runs)
    for state, by_kind in validity.with_means(each_phase(runs, validity.contrasts)).items():
        for of, contrast in by_kind.items():
            numbers = (*estimate_and_interval(contrast.value), contrast.exceeds, len(contrast.draws))
            yield (*state, models[state[0]][0].reduction, *of, *numbers)


def each_phase(
    runs: Runs, measure: Callable[[validity.Ablation, validity.Weights], dict[tuple, validity.Measure]]
) -> dict[validity.State, dict[tuple, validity.Measure]]:
    """What `measure` makes of every run and phase."""
    return {
        (*key, phase): measure(ablation, run.weights)
        for key, run in runs.items()
        for phase, ablation in run.phases.items()
    }


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(
        f"{__doc__} In each table '{validity.ALL}' stands for the seed of a mean over seeds, and for the task of a "
        "mean over tasks too."
    )
    p.add_argument(
        "--ablations",
        nargs=4,
        action="append",
        required=True,
        metavar=("MODEL", "TASK", "SEED", "FOLDER"),
        help="a run and the folder of ablate_heads; once for each run, in the order of the tables",
    )
    p.add_argument(
        "--output",
        type=Path,
        required=True,
        help="CSV: correlations of patterns and changes of the loss, and their differences after minus before, with "
        "percentile intervals shifted by their bias",
    )
    p.add_argument(
        "--between-output",
        type=Path,
        required=True,
        help="CSV: correlations between the reductions, with the same intervals",
    )
    p.add_argument(
        "--groups-output",
        type=Path,
        required=True,
        help="CSV: change of the loss by size of the group, with percentile intervals",
    )
    p.add_argument(
        "--contrasts-output",
        type=Path,
        required=True,
        help="CSV: the areas between those curves, groups of all heads left out; 'exceeds' is the share of the 'draws' "
        "random draws beaten",
    )
    p.add_argument("--resamples", type=int, default=1000, help="bootstrap replicates of the samples")
    p.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
