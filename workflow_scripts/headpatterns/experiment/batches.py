"""The grouping of runs and of evaluations into jobs."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import count, product
from typing import Any, NamedTuple

from headpatterns.experiment.runs import HEADS, Run, TrainingSet


class Batch(NamedTuple):
    """Runs that one job fine-tunes one after another.

    Attributes:
        training_sets: one for each run; model and seed are the job's.
        models: models that need all of these runs.
        seeds: seeds with which each of the models needs them.
        steps: whether the runs keep their intermediate checkpoints.
    """

    training_sets: tuple[TrainingSet, ...]
    models: tuple[str, ...]
    seeds: tuple[int, ...]
    steps: bool

    @property
    def group(self) -> str:
        """The group of all of its runs."""
        return self.training_sets[0].group

    @property
    def is_trained(self) -> bool:
        """Whether its runs are trained here rather than elsewhere."""
        return self.of("", 0)[0].is_trained

    @property
    def trains_heads(self) -> bool:
        """Whether its runs train only the weights of some heads."""
        return self.group == HEADS

    @property
    def takers(self) -> list[tuple[str, int]]:
        """Models and seeds of its jobs."""
        return list(product(self.models, self.seeds))

    def of(self, model: str, seed: int) -> list[Run]:
        """The runs of one model and seed."""
        return [Run(model, training_set, seed) for training_set in self.training_sets]


def of_runs(
    runs: Iterable[Run], runs_with_steps: Collection[Run], size: int, share: Callable[[Run], str]
) -> dict[str, Batch]:
    """Batches by name. At most `size` runs of a group share a job.

    Runs share a job only if the same model and seed needs them, because a job makes all of its runs, and if none
    depends on the patterns of another. Models that need the same runs with the same seeds share a batch. `share` has
    the same value for all runs of a job, so that a study needs all of them or none. Adding or removing a study then
    leaves the jobs and results of other studies unchanged.
    """
    wanted: dict[tuple[str, str, bool, bool, str, int], list[TrainingSet]] = {}
    for run in runs:
        kind = (run.group, share(run), run.is_first_stage, run in runs_with_steps)
        wanted.setdefault((*kind, run.model, run.seed), []).append(run.training_set)
    chunks: dict[tuple[tuple[TrainingSet, ...], bool], dict[str, list[int]]] = {}
    for (*_, steps, model, seed), sets in wanted.items():
        for place in range(0, len(sets), size):
            chunks.setdefault((tuple(sets[place : place + size]), steps), {}).setdefault(model, []).append(seed)
    found: dict[str, Batch] = {}
    for (sets_of_job, steps), seeds in chunks.items():
        for own in dict.fromkeys(map(tuple, seeds.values())):
            models = tuple(model for model, of_model in seeds.items() if tuple(of_model) == own)
            batch = Batch(sets_of_job, models, own, steps)
            found[_name(batch, found)] = batch
    return found


def _name(batch: Batch, taken: Collection[str]) -> str:
    """Group and first task of a batch, with a number if the name is already taken."""
    sets = batch.training_sets
    others = f"_and_{len(sets) - 1}_more" if len(sets) > 1 else ""
    name = f"{batch.group}_{sets[0].task}{others}"
    return next(one for n in count(1) if (one := name if n == 1 else f"{name}_{n}") not in taken)


def part(batch: Batch, selected: list[Run]) -> Batch:
    """The part of a batch that consists of `selected` runs, with the models and seeds that take them."""
    sets, takers = {run.training_set for run in selected}, {(run.model, run.seed) for run in selected}
    return batch._replace(
        training_sets=tuple(one for one in batch.training_sets if one in sets),
        models=tuple(model for model in batch.models if any((model, seed) in takers for seed in batch.seeds)),
        seeds=tuple(seed for seed in batch.seeds if any((model, seed) in takers for model in batch.models)),
    )


def of_evaluations(
    variants: Iterable[Mapping[str, Any]], size: int, lengths: Mapping[str, int]
) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """The work of each evaluation job, by model and name: checkpoints (a run's name, or base) with their sets.

    A batch belongs to one study, seed and length of answers, and has at most `size` pairs. A pair that several studies
    or seeds share is only in the batch of the first one. `lengths` are the tokens of an answer, by set.
    """
    found: dict[tuple[str, str, int, int], list[tuple[str, str]]] = {}
    seen = set()
    for row in variants:
        pair = (row["run"], row["set"])
        if (row["model"], *pair) not in seen:
            seen.add((row["model"], *pair))
            found.setdefault((row["model"], row["study"], row["seed"], lengths[row["set"]]), []).append(pair)
    batches: dict[tuple[str, str], list[tuple[str, str]]] = {}
    numbers: Counter[tuple[str, str]] = Counter()
    for (model, study, seed, _), pairs in found.items():
        name = f"{study}.seed{seed}"
        for place in range(0, len(pairs), size):
            batches[model, f"{name}.{numbers[model, name]}"] = pairs[place : place + size]
            numbers[model, name] += 1
    return batches
