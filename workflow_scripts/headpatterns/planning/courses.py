"""The runs of a job, the course of each run, and the numbers of samples and settings of ablations."""

from typing import NamedTuple

from headpatterns.data import splitting
from headpatterns.experiment import batches
from headpatterns.experiment.experiment import Experiment
from headpatterns.experiment.jobs import Job
from headpatterns.experiment.runs import HEADS, Run
from headpatterns.planning import formulas
from headpatterns.planning.sizes import Sizes
from headpatterns.studies.checkpoints import settings as checkpoints
from headpatterns.studies.head_scores import settings as head_scores
from headpatterns.studies.validity import settings as validity

DOSES = 5
"""Number of factors from 0 to 1 that multiply the output of a head when heads are scaled."""


class Course(NamedTuple):
    """The course of a run: its steps, the tokens that it reads, and the steps at which it keeps its weights."""

    steps: int
    tokens: float
    kept: list[int]


def runs_of(experiment: Experiment, job: Job) -> list[Run]:
    """The runs that a job fine-tunes, extracts the patterns of, or ablates."""
    batch = experiment.batches[job.batch]
    if job.rule == "ablate_heads":
        batch = batches.part(batch, checkpoints.ablated(experiment))
    # Runs that were trained elsewhere have no seed in their paths.
    return batch.of(job.wildcards["model"], int(job.wildcards.get("seed", 0)))


def courses(sizes: Sizes, job: Job) -> list[tuple[Run, Course | None]]:
    """The runs of a job with their courses. If a study reads intermediate checkpoints of one run, all keep theirs."""
    runs = runs_of(sizes.experiment, job)
    keeps_steps = not sizes.experiment.runs_with_steps.isdisjoint(runs)
    return [(run, course(sizes, run, keeps_steps)) for run in runs]


def course(sizes: Sizes, run: Run, keeps_steps: bool) -> Course | None:
    """The course of a run, None if it is not known; `keeps_steps` says whether it keeps intermediate checkpoints.

    A run that was trained elsewhere has only the checkpoint that was given.
    """
    if not run.is_trained:
        return Course(1, 0, [])
    recipe = sizes.experiment.recipe(run.group)
    samples = sizes.training_set(run)
    micro_batch = recipe.devices * recipe.per_device_batch_size
    steps = formulas.steps(
        samples.count, recipe.epochs, recipe.max_steps, micro_batch, recipe.gradient_accumulation_steps
    )
    if steps is None or samples.tokens is None:
        return None
    read: float = steps * recipe.global_batch_size
    if recipe.max_steps is None and samples.count is not None:
        read = recipe.epochs * samples.count
    kept = formulas.intermediate(recipe.checkpoint_steps, steps) if keeps_steps else []
    return Course(steps, read * samples.tokens, kept)


def trained(experiment: Experiment, group: str, model: formulas.Model) -> formulas.Model:
    """The part of a model that the runs of a group train: all of it, or adapters, described as a model."""
    recipe = experiment.recipe(group)
    return formulas.adapters(model, recipe.lora.rank) if recipe.is_lora else model


def operations(experiment: Experiment, group: str, model: formulas.Model, tokens: float, length: float) -> float:
    """Operations of a group's run that reads `tokens` in samples of `length` tokens."""
    checkpointed = experiment.recipe(group).gradient_checkpointing
    if group == HEADS:
        return formulas.training_heads(model, tokens, length, checkpointed)
    return formulas.training(model, trained(experiment, group, model), tokens, length, checkpointed)


def state_bytes(experiment: Experiment, group: str, model: formulas.Model) -> int:
    """Bytes of a state from which a run of a group can be resumed."""
    recipe = experiment.recipe(group)
    if group == HEADS:
        return formulas.heads_state_bytes(model)
    return formulas.state_bytes(trained(experiment, group, model), recipe.engine, recipe.precision)


def checkpoint_bytes(experiment: Experiment, group: str, model: formulas.Model) -> int:
    """Bytes of the weights that a run of a group keeps."""
    dtype = experiment.recipe(group).checkpoint_dtype
    return trained(experiment, group, model).parameters * formulas.BYTES[dtype]


def read_bytes(experiment: Experiment, group: str, model: formulas.Model) -> int:
    """Bytes that are read to load a checkpoint of a run of a group; for adapters, the model below them as well."""
    below = model.bytes if experiment.recipe(group).is_lora else 0
    return checkpoint_bytes(experiment, group, model) + below


def ablated_samples(experiment: Experiment, count: int) -> tuple[int, int]:
    """Numbers of samples of a probe set of `count`: samples on which heads are ablated, and others for patterns."""
    return splitting.two_sets(count, experiment.settings(validity.NAME).samples)


def ablated_settings(experiment: Experiment, model: formulas.Model) -> int:
    """Number of settings under which a sample is read: no head, each head, and each group of several heads ablated.

    A group of one head is not counted again, and all heads are one group for every ranking.
    """
    settings, heads = experiment.settings(validity.NAME), model.layers * model.heads
    several: set[int] = set(settings.top) - {1}
    return 1 + heads + _of_a_size(experiment) * len(several - {heads}) + (heads in several)


def further_settings(experiment: Experiment, model: formulas.Model) -> tuple[int, int]:
    """Numbers of further settings under which a sample is read: only forward, and forward and backward.

    Forward: each head is replaced by its mean and by every draw, after one pass that records the outputs of heads.
    Forward and backward: each head at every dose.
    """
    settings, heads = experiment.settings(validity.NAME), model.layers * model.heads
    draws = ("mean" in settings.ablations) + settings.resample_draws * ("resample" in settings.ablations)
    scaled = ("scale" in settings.ablations) * (1 + heads * (DOSES - 1))
    return draws * heads + (draws > 0), scaled


def scored_settings(experiment: Experiment, model: formulas.Model, name: str) -> int:
    """Number of additional settings, forward and backward, under which a sample of the patterns is read for scores.

    The gates of all heads of a layer are scaled together, layer by layer.
    """
    taken = head_scores.asked(experiment, name)["scores"]
    return (1 + model.layers * (DOSES - 1)) * ("integrated_gate" in taken)


def kept_changes(experiment: Experiment) -> int:
    """Count of numbers kept per sample and head: the change of the loss by every ablation, and slopes at doses."""
    settings: validity.Settings = experiment.settings(validity.NAME)
    asked = settings.ablations
    return 1 + ("mean" in asked) + settings.resample_draws * ("resample" in asked) + 2 * DOSES * ("scale" in asked)


def scores(experiment: Experiment, name: str) -> int:
    """Number of scores that are kept for the heads of a model."""
    return len(head_scores.asked(experiment, name)["scores"])


def groups(experiment: Experiment) -> int:
    """Number of groups whose changes of the loss are kept: largest, smallest and random heads, for each size."""
    return _of_a_size(experiment) * len(experiment.settings(validity.NAME).top)


def _of_a_size(experiment: Experiment) -> int:
    """Number of groups of one size: the largest patterns, the smallest patterns, and a random group for each draw."""
    return 2 + int(experiment.settings(validity.NAME).draws)
