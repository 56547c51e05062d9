"""The runs that a job works on, how each of them will go, and how many samples and heads an ablation takes."""

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
"""What the output of a head is taken times, from 0 to 1, where heads are scaled."""


class Course(NamedTuple):
    """How a run will go: its steps, the tokens that it reads, and the steps at which it keeps its weights."""

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
    """The runs of a job with their courses. All of them keep their weights on the way where a study reads any's."""
    runs = runs_of(sizes.experiment, job)
    keeps_steps = not sizes.experiment.runs_with_steps.isdisjoint(runs)
    return [(run, course(sizes, run, keeps_steps)) for run in runs]


def course(sizes: Sizes, run: Run, keeps_steps: bool) -> Course | None:
    """The course of a run; `keeps_steps` says whether it keeps its weights on the way. None where it is not known.

    One that was trained elsewhere has the one checkpoint that was given.
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
    """What the runs of a group train of a model: all of it, or adapters, as a model of their own."""
    recipe = experiment.recipe(group)
    return formulas.adapters(model, recipe.lora.rank) if recipe.is_lora else model


def operations(experiment: Experiment, group: str, model: formulas.Model, tokens: float, length: float) -> float:
    """What a run of a group computes that reads so many tokens in samples of a length."""
    checkpointed = experiment.recipe(group).gradient_checkpointing
    if group == HEADS:
        return formulas.training_heads(model, tokens, length, checkpointed)
    return formulas.training(model, trained(experiment, group, model), tokens, length, checkpointed)


def state_bytes(experiment: Experiment, group: str, model: formulas.Model) -> int:
    """A state to resume a run of a group from."""
    recipe = experiment.recipe(group)
    if group == HEADS:
        return formulas.heads_state_bytes(model)
    return formulas.state_bytes(trained(experiment, group, model), recipe.engine, recipe.precision)


def checkpoint_bytes(experiment: Experiment, group: str, model: formulas.Model) -> int:
    """The weights that a run of a group keeps."""
    dtype = experiment.recipe(group).checkpoint_dtype
    return trained(experiment, group, model).parameters * formulas.BYTES[dtype]


def read_bytes(experiment: Experiment, group: str, model: formulas.Model) -> int:
    """What is read of the disk to load a checkpoint of a run of a group: below adapters the model as well."""
    below = model.bytes if experiment.recipe(group).is_lora else 0
    return checkpoint_bytes(experiment, group, model) + below


def ablated_samples(experiment: Experiment, count: int) -> tuple[int, int]:
    """Samples of a probe set of `count` whose heads are ablated, and others whose patterns are taken."""
    return splitting.two_sets(count, experiment.settings(validity.NAME).samples)


def ablated_settings(experiment: Experiment, model: formulas.Model) -> int:
    """Settings that a sample is read under: no head, each head, and each group of several heads ablated.

    A group of one head is a head alone, and all heads are one group, whichever way they rank.
    """
    settings, heads = experiment.settings(validity.NAME), model.layers * model.heads
    several: set[int] = set(settings.top) - {1}
    return 1 + heads + _of_a_size(experiment) * len(several - {heads}) + (heads in several)


def further_settings(experiment: Experiment, model: formulas.Model) -> tuple[int, int]:
    """Further settings that a sample is read under: forward alone, and forward and backward.

    Each head replaced by its mean and by every draw, and what heads give read once before; each head at every dose.
    """
    settings, heads = experiment.settings(validity.NAME), model.layers * model.heads
    draws = ("mean" in settings.ablations) + settings.resample_draws * ("resample" in settings.ablations)
    scaled = ("scale" in settings.ablations) * (1 + heads * (DOSES - 1))
    return draws * heads + (draws > 0), scaled


def scored_settings(experiment: Experiment, model: formulas.Model, name: str) -> int:
    """Settings, beside its own, that a sample of the patterns is read under for scores, forward and backward.

    The gates of all heads of a layer are turned down together, layer by layer.
    """
    taken = head_scores.asked(experiment, name)["scores"]
    return (1 + model.layers * (DOSES - 1)) * ("integrated_gate" in taken)


def kept_changes(experiment: Experiment) -> int:
    """Numbers that are kept of a sample and head: the change of the loss by every ablation, and slopes at doses."""
    settings: validity.Settings = experiment.settings(validity.NAME)
    asked = settings.ablations
    return 1 + ("mean" in asked) + settings.resample_draws * ("resample" in asked) + 2 * DOSES * ("scale" in asked)


def scores(experiment: Experiment, name: str) -> int:
    """Scores that are kept of the heads of a model."""
    return len(head_scores.asked(experiment, name)["scores"])


def groups(experiment: Experiment) -> int:
    """Groups that changes of the loss are kept of: the largest patterns, the smallest and random heads of each size."""
    return _of_a_size(experiment) * len(experiment.settings(validity.NAME).top)


def _of_a_size(experiment: Experiment) -> int:
    """Groups of one size: the largest patterns, the smallest, and as many random ones as there are draws."""
    return 2 + int(experiment.settings(validity.NAME).draws)
