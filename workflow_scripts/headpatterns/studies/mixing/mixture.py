"""Training sets for a first stage of SFT: basic tasks in proportion to what they explain of a complex one (§5.1).

A mixture contains no test item of the complex task. Samples that equal a test item, as
`headpatterns.data.deduplication` compares them, are removed before the first samples of a training set are taken.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headpatterns.data import deduplication, training_sets
from headpatterns.data.deduplication import Item
from headpatterns.data.training_sets import Sample
from headpatterns.errors import InputError, first_line
from headpatterns.io import atomic_path, write_csv, write_json
from headpatterns.statistics import estimate_and_interval
from headpatterns.statistics.controls import OF, equations
from headpatterns.studies import patterns
from headpatterns.studies.mixing import grid, proportions
from headpatterns.studies.observed import as_run, observed
from headpatterns.studies.reading import Reading

FURTHER = ("uniform", "size-proportional")
MIXTURE_COLUMNS = ("model", "seed", "variant", "task", "share", "instructions")
# The draws of the bootstrap are named after tasks; no candidate can have this name, because it ends in an =.
TARGET = "target="


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be mixed.

    Attributes:
        model: name of the model, as the tables show it.
        seed: training seed; it also draws random shares and the order of samples.
        target: folder of the patterns of the run on the complex task's own data.
        candidates: folders of the patterns of the runs on basic tasks, by task, in display order.
        training_sets: CSV (dataset, id) of each candidate, of which a mixture takes the first rows.
        training_rows: parquet with id, prompt and choices of the rows of each training set.
        test: parquet of the complex task's test items.
        instructions: number N of instructions of a mixture.
        keep: number of basic tasks in a mixture.
        random_draws: number of mixtures of the same tasks in random shares.
        further: further mixtures: `uniform`, all candidates in equal shares, and `size-proportional`, in proportion to
            their rows.
        grid: steps of the grid of shares of the kept tasks; 0 for none.
        parts: candidates that are the true parts of the target; another mixture has them in equal shares. None where
            they are unknown.
        reading: how patterns are read.
        resamples: bootstrap replicates of the probe set.
        bootstrap_seed: seed of the bootstrap.
        output: folder to write.
    """

    model: str
    seed: int
    target: Path
    candidates: Mapping[str, Path]
    training_sets: Mapping[str, Path]
    training_rows: Mapping[str, Path]
    test: Path
    instructions: int
    keep: int
    random_draws: int
    further: Sequence[str]
    grid: int
    parts: Sequence[str]
    reading: Reading
    resamples: int
    bootstrap_seed: int
    output: Path


@dataclass(frozen=True)
class Mixtures:
    """The results of the fit and the mixtures made from it: shares and numbers of instructions of tasks, by variant.

    Attributes:
        fits: of the changes and of each control, beta [1 + B, candidates], NaN for a candidate without a pattern, and
            R² [1 + B]. What is mixed comes from the changes.
        chosen: indices of the kept candidates, ascending.
        share: [candidates], 0 for candidates that are not kept.
        tasks: names of the kept candidates.
        variants: shares by task of each variant, `ours` first; `ours`, random ones and the grid are of the kept tasks.
        counts: instructions by task of each variant.
    """

    fits: Mapping[str, tuple[np.ndarray, np.ndarray]]
    chosen: list[int]
    share: np.ndarray
    tasks: list[str]
    variants: dict[str, dict[str, float]]
    counts: dict[str, dict[str, int]]

    @property
    def mixed(self) -> list[str]:
        """Every task that some variant may have."""
        return list(dict.fromkeys(task for shares in self.variants.values() for task in shares))


def mix(order: Order) -> None:
    """Fit Eq. 3, keep the best tasks, and write the training set of each variant (Eq. 4) into the output folder.

    Raises:
        InputError: a number is out of its range, a candidate lacks its training set or rows, a file cannot be used, the
            patterns do not fit each other, or a training set has too few samples.
    """
    check_numbers(order)
    check_given(order.candidates, order.training_sets, "training set", "--training-set", "CSV")
    check_given(order.candidates, order.training_rows, "file of training rows", "--training-rows", "PARQUET")
    samples = {task: training_sets.read(path) for task, path in order.training_sets.items()}
    test = deduplication.read(order.test)
    made = mixtures(order)
    left_out = {task: same_as_test(task, samples[task], order.training_rows[task], test) for task in made.mixed}
    samples = {task: [sample for sample in samples[task] if sample[1] not in left_out[task]] for task in made.mixed}
    check_enough(made, samples)
    sentence = note(order, made.tasks)
    if sentence:
        print(sentence)
    with atomic_path(order.output) as folder:
        folder.mkdir()
        write(folder, order, made, samples)
        report = {
            "model": order.model,
            "seed": order.seed,
            "kept": made.tasks,
            "left_out_as_test": {task: {"samples": len(ids), "same_as": ids} for task, ids in left_out.items()},
            "note": sentence,
        }
        write_json(folder / "report.json", report)


def mixtures(order: Order) -> Mixtures:
    """The fit of the patterns, and the number of instructions of each task in every variant."""
    fits = fit(order.target, order.candidates, order.resamples, order.bootstrap_seed, order.reading)
    beta, _ = fits["change"]
    chosen = proportions.kept(beta[0], order.keep)
    tasks = [list(order.candidates)[index] for index in chosen]
    share = proportions.shares(beta[0], chosen)
    variants = {"ours": shared(tasks, share[chosen])}
    for draw in range(order.random_draws):
        variants[f"random{draw}"] = shared(tasks, proportions.random_shares(len(tasks), draw, order.seed))
    everything = list(order.candidates)
    for name in order.further:
        weights = np.array([1 if name == "uniform" else rows_of(order.training_rows[task]) for task in everything])
        variants[name] = shared(everything, weights / weights.sum())
    for place, point in enumerate(grid.points(order.grid, order.keep)):
        variants[f"grid{place}"] = shared(tasks, np.array(grid.shares(point, len(tasks))))
    if order.parts:
        variants["oracle"] = shared(order.parts, np.full(len(order.parts), 1 / len(order.parts)))
    counts = {
        variant: dict(zip(found, proportions.apportion(order.instructions, list(found.values())), strict=True))
        for variant, found in variants.items()
    }
    return Mixtures(fits, chosen, share, tasks, variants, counts)


def rows_of(path: Path) -> int:
    """The number of rows of a parquet file.

    Raises:
        InputError: it cannot be read.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        return int(pyarrow.parquet.read_metadata(path).num_rows)
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"{path} cannot be read as parquet ({first_line(error)}): make it again.") from error


def shared(tasks: Sequence[str], shares: np.ndarray) -> dict[str, float]:
    """Shares by task."""
    return {task: float(share) for task, share in zip(tasks, shares, strict=True)}


def write(folder: Path, order: Order, made: Mixtures, samples: Mapping[str, Sequence[Sample]]) -> None:
    """Write coefficients.csv, picks.csv, mixtures.csv and the training set of each variant."""
    key = (order.model, order.seed)
    write_csv(folder / "coefficients.csv", proportions.COEFFICIENT_COLUMNS, coefficient_rows(order, made))
    write_csv(folder / "picks.csv", proportions.PICK_COLUMNS, pick_rows(order, made))
    parts = [
        (*key, variant, task, share, made.counts[variant][task])
        for variant, shares in made.variants.items()
        for task, share in shares.items()
    ]
    write_csv(folder / "mixtures.csv", MIXTURE_COLUMNS, parts)
    for variant, numbers in made.counts.items():
        heads = [sample for task, n in numbers.items() for sample in samples[task][:n]]
        training_sets.write(folder / f"{variant}-basic.csv", proportions.mixed(heads, order.seed))


def coefficient_rows(order: Order, made: Mixtures) -> list[tuple[Any, ...]]:
    """A row for each candidate."""
    beta, r2 = made.fits["change"]
    interval = estimate_and_interval(beta)
    instructions = made.counts["ours"]
    controls = [(found[0], proportions.kept(found[0], order.keep)) for found, _ in (made.fits[of] for of in OF[1:])]
    return [
        (order.model, order.seed, task, *interval[:, i], r2[0], int(i in made.chosen), made.share[i],
         instructions.get(task, 0), beta[0, i], *(cell for own, kept in controls for cell in (own[i], int(i in kept))))
        for i, task in enumerate(order.candidates)
    ]  # fmt: skip


def pick_rows(order: Order, made: Mixtures) -> list[tuple[Any, ...]]:
    """A row for each choice of tasks, from the changes, then from each control; `kept` marks the estimate's choice."""
    tasks = list(order.candidates)
    chance = proportions.chance(len(tasks), order.keep)
    rows = []
    for of, (beta, _) in made.fits.items():
        own = tuple(proportions.kept(beta[0], order.keep))
        shares = proportions.picks(beta, order.keep)
        for chosen in dict.fromkeys([*shares, own]):
            named = "+".join(tasks[index] for index in chosen)
            rows.append((order.model, order.seed, of, named, shares.get(chosen, 0.0), int(chosen == own), chance))
    return rows


def check_numbers(order: Order) -> None:
    """Check that every count and seed is in its range, and that every true part is a candidate.

    Raises:
        InputError: one is not.
    """
    least = {"instructions": 1, "keep": 1, "random_draws": 0, "grid": 0, "seed": 0, "bootstrap_seed": 0}
    for name, smallest in least.items():
        given = getattr(order, name)
        if given < smallest:
            raise InputError(f"--{name.replace('_', '-')} is {given}: give a whole number of {smallest} or more.")
    if foreign := [task for task in order.parts if task not in order.candidates]:
        raise InputError(
            f"--parts names {foreign[0]}, which is not a candidate: add it as --candidate, or leave it out."
        )


def check_given(candidates: Collection[str], given: Collection[str], what: str, option: str, form: str) -> None:
    """Check that every candidate has its option, and that every option belongs to a candidate.

    Raises:
        InputError: a candidate has no option, or an option has no candidate.
    """
    if lacking := [task for task in candidates if task not in given]:
        raise InputError(f"The candidate {lacking[0]} has no {what}: add {option} {lacking[0]}={form}.")
    if foreign := [task for task in given if task not in candidates]:
        raise InputError(
            f"{option} names {foreign[0]}, which is not a candidate: add it as --candidate, or leave it out."
        )


def same_as_test(task: str, samples: Sequence[Sample], rows: Path, test: list[Item]) -> dict[str, str]:
    """Ids of the samples that are also items of the test, each with an id of the same item in the test.

    Raises:
        InputError: a sample is no row of the file `rows`, so it cannot be compared.
    """
    items = {item.id: item for item in deduplication.read(rows)}
    if lacking := [id for _, id in samples if id not in items]:
        raise InputError(
            f"The training set of {task} has the sample {lacking[0]}, but {rows} does not: make both from the "
            "same rows."
        )
    return deduplication.same([items[id] for _, id in samples], test)


def fit(
    target: Path, candidates: Mapping[str, Path], resamples: int, seed: int, reading: Reading
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Coefficients [1 + B, tasks] of the candidates, and R² [1 + B], on changes and on each control.

    Args:
        target: folder of the patterns of the run on the complex task's own data.
        candidates: folders of the patterns of the runs on basic tasks, by task.
        resamples: bootstrap replicates of the probe sets.
        seed: seed of the bootstrap.
        reading: how patterns are read.

    Raises:
        InputError: a folder cannot be used, or the patterns do not fit each other.
    """
    runs = [as_run(target, TARGET, "complex"), *(as_run(folder, task) for task, folder in candidates.items())]
    patterns.check(runs, reading)
    own, *basic = (observed(run, resamples, seed, reading) for run in runs)
    sides = equations(own, basic, reading.intercept)
    return {of: proportions.coefficients(*equation, reading.intercept) for of, equation in sides.items()}


def check_enough(made: Mixtures, samples: Mapping[str, Sequence[Sample]]) -> None:
    """Check that every task has enough samples for each variant.

    Raises:
        InputError: a task has too few samples.
    """
    for variant, numbers in made.counts.items():
        for task, wanted in numbers.items():
            if wanted > len(samples[task]):
                smallest = min(len(samples[other]) for other in numbers)
                raise InputError(
                    f"The mixture {variant} takes {wanted} instructions of {task}, but its training set has "
                    f"{len(samples[task])} that are not test items: lower studies.mixing.instructions ({smallest} "
                    "are enough for any shares)."
                )


def note(order: Order, tasks: Sequence[str]) -> str:
    """A note for the reader on a mixture of fewer tasks than requested; empty otherwise."""
    if len(tasks) == order.keep:
        return ""
    where = f"Model {order.model}, seed {order.seed}"
    if not tasks:
        return f"{where}: no candidate has a positive coefficient, so the mixtures are empty."
    if len(tasks) == 1:
        return (
            f"{where}: only {tasks[0]} has a positive coefficient, so every mixture consists of this task, and "
            "random shares equal those of the coefficients."
        )
    return f"{where}: only {len(tasks)} of the {order.keep} tasks to keep have a positive coefficient."
