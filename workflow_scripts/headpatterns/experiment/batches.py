"""Which runs, and which evaluations, share a job."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from headpatterns.experiment.runs import Run, TrainingSet


class Batch(NamedTuple):
    """Runs that one job fine-tunes one after another.

    Attributes:
        training_sets: one for each run; model and seed are the job's.
        takers: models and seeds that need these runs.
        steps: whether the runs keep their checkpoints on the way.
    """

    training_sets: tuple[TrainingSet, ...]
    takers: frozenset[tuple[str, int]]
    steps: bool

    @property
    def group(self) -> str:
        """The group that all of its runs have."""
        return self.training_sets[0].group

    def of(self, model: str, seed: int) -> list[Run]:
        """The runs of one model and seed."""
        return [Run(model, training_set, seed) for training_set in self.training_sets]


def of_runs(runs: Iterable[Run], runs_with_steps: Collection[Run], size: int) -> dict[str, Batch]:
    """Batches by name. At most `size` runs of a group share a job.

    Runs share one only if exactly the same models and seeds need them, for a job makes all of its runs, and if none
    depends on the patterns of another.
    """
    with_steps = {run.training_set for run in runs_with_steps}
    takers: dict[tuple[str, bool, bool], dict[TrainingSet, set[tuple[str, int]]]] = {}
    for run in runs:
        kind = (run.group, run.is_first_stage, run.training_set in with_steps)
        takers.setdefault(kind, {}).setdefault(run.training_set, set()).add((run.model, run.seed))
    found = {}
    for (group, _, steps), sets in takers.items():
        shared: dict[frozenset[tuple[str, int]], list[TrainingSet]] = {}
        for training_set, models in sets.items():
            shared.setdefault(frozenset(models), []).append(training_set)
        for together_by, together in shared.items():
            for place in range(0, len(together), size):
                chunk = together[place : place + size]
                others = f"_and_{len(chunk) - 1}_more" if len(chunk) > 1 else ""
                found[f"{group}_{chunk[0].task}{others}"] = Batch(tuple(chunk), together_by, steps)
    return found


def part(batch: Batch, selected: list[Run]) -> Batch:
    """The part of a batch that consists of some runs, with the models and seeds that take them."""
    sets = {run.training_set for run in selected}
    return batch._replace(
        training_sets=tuple(one for one in batch.training_sets if one in sets),
        takers=batch.takers & {(run.model, run.seed) for run in selected},
    )


def of_evaluations(variants: Iterable[Mapping[str, Any]], size: int) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """What one evaluation job does, by model and name: checkpoints (a run's name, or base) with their sets.

    A batch belongs to one study and seed and holds at most `size` pairs; a pair that several
    studies or seeds share is in the first one's batch alone.
    """
    found: dict[tuple[str, str, int], list[tuple[str, str]]] = {}
    seen = set()
    for row in variants:
        pair = (row["run"], row["set"])
        if (row["model"], *pair) not in seen:
            seen.add((row["model"], *pair))
            found.setdefault((row["model"], row["study"], row["seed"]), []).append(pair)
    return {
        (model, f"{name}.seed{seed}.{place // size}"): pairs[place : place + size]
        for (model, name, seed), pairs in found.items()
        for place in range(0, len(pairs), size)
    }
