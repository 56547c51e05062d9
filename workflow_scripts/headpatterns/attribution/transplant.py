"""Heads moved between a model and its runs, from files to files: what of the gain of fine-tuning goes with them.

Heads are ranked on some samples of a run's rows, and the loss is taken of others: on the same samples, heads that
happen to matter for these would seem to matter at all. Torch is imported late, after what can be refused without it.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from headpatterns.attribution import files
from headpatterns.attribution.patterns import reduced
from headpatterns.data import samples
from headpatterns.data.splitting import FEWEST_OF_TWO, rank, two_sets
from headpatterns.data.tokens import TokenizedSample
from headpatterns.errors import InputError
from headpatterns.io import read_json, write_csv
from headpatterns.models import loading as models
from headpatterns.models.loading import checkpoints
from headpatterns.processes import memory

if TYPE_CHECKING:
    import torch

COLUMNS = ("direction", "ranking", "draw", "k", "heads", "id", "loss")
"""Of the table of a run: a row for each sample under each choice of heads; `heads` are those of the model."""

TRANSPLANT, REVERT = "transplant", "revert"
NONE, RANDOM = "none", "random"
CHANGE, PATTERN, EFFECT, WEIGHTS = RANKINGS = ("change", "pattern", "effect", "weights")
"""By what heads are ranked, the largest first: |change of the pattern|, the pattern after fine-tuning, |mean change of
the loss when the head is ablated| after it, and the Frobenius norm of the change of the head's weights."""

Heads = Bool[np.ndarray, "layers heads"]


@dataclass(frozen=True)
class Settings:
    """Which heads are moved, and how losses are taken.

    Attributes:
        model: folder of the model, which runs started from.
        samples: samples whose loss is taken, and at least as many others by which heads are ranked.
        sizes: numbers of heads, ascending; all heads are taken beside these.
        rankings: some of `RANKINGS`.
        draws: random orders of the heads, the same for all runs.
        seed: of the samples and the random orders.
        max_length: tokens at which a sample is cut.
        token_budget: as in `activation_patterns`.
        device: cpu, cuda, cuda:N or mps.
        dtype: float32, bfloat16 or float16.
        threads: processor threads.
    """

    model: Path
    samples: int
    sizes: list[int]
    rankings: list[str]
    draws: int
    seed: int
    max_length: int
    token_budget: int | str
    device: str
    dtype: str
    threads: int


@dataclass(frozen=True)
class Target:
    """A run, the rows that it is measured on, its patterns, its ablations if heads are ranked by them, and a table."""

    run: Path
    data: Path
    patterns: Path
    ablations: Path | None
    output: Path


class Choice(NamedTuple):
    """Some heads: the first `k` by a ranking, or in a random order."""

    ranking: str
    draw: int
    heads: Heads

    @property
    def k(self) -> int:
        """How many they are."""
        return int(self.heads.sum())


def of_runs(targets: Sequence[Target], settings: Settings) -> None:
    """Write the table of each run: losses with heads of the run in the model, and with heads of the model in the run.

    Raises:
        InputError: a file, a sample, a run, the model or the device cannot be used, there are fewer heads than are to
            be moved, or it is not known which weights belong to a head.
    """
    models.check_folder(settings.model)
    rows = {target.data: samples.read(target.data) for target in targets}
    last = [list(checkpoints(target.run).values())[-1] for target in targets]

    memory.load("headpatterns.attribution.losses")
    from headpatterns.models.head_slices import change, slices

    models.compute_on(settings.device, settings.threads)
    tokenizer = models.load_tokenizer(settings.model)
    base = models.load_model(settings.model, settings.dtype, settings.device)
    shape = models.heads_of(base)
    check_sizes(settings.sizes, settings.model, *shape)
    divided = slices(base)
    before = _weights(base, [one.name for one in divided])
    for target, folder in zip(targets, last, strict=True):
        made, _ = samples.tokenized(tokenizer, rows[target.data], settings.max_length, target.data, skip=True)
        measured = _measured(made, target.data, settings)
        tuned = models.load_model(folder, settings.dtype, settings.device)
        after = _weights(tuned, [one.name for one in divided])
        scores = ranked(target, settings.rankings, {sample.id for sample in measured})
        if WEIGHTS in settings.rankings:
            scores[WEIGHTS] = change(before, after, divided, shape[1])
        wanted = choices({name: scores[name] for name in settings.rankings}, settings, shape)
        found: list[tuple[Any, ...]] = []
        for direction, model, own, other in ((TRANSPLANT, base, before, after), (REVERT, tuned, after, before)):
            losses = _moved(model, own, other, divided, wanted, measured, settings.token_budget)
            found += _rows(direction, wanted, losses, measured)
        write_csv(target.output, COLUMNS, found)
        print(f"{target.run}: {len(wanted)} choices of heads, {len(measured)} samples", flush=True)
        del tuned
        models.free_memory(settings.device)


def check_sizes(sizes: Sequence[int], folder: Path, layers: int, heads: int) -> None:
    """Refuse more heads than the model has.

    Raises:
        InputError: there are fewer.
    """
    if max(sizes) > layers * heads:
        raise InputError(
            f"--size has {max(sizes)}, but {folder} has {layers} layers of {heads} heads: give at most "
            f"{layers * heads}."
        )


def _measured(made: list[TokenizedSample], data: Path, settings: Settings) -> list[TokenizedSample]:
    """The samples whose loss is taken, in the order of the file: those that ablations take patterns of, by their rank.

    Raises:
        InputError: there are too few for these and others to rank heads by.
    """
    if len(made) < FEWEST_OF_TWO:
        raise InputError(
            f"{data} has {len(made)} samples within {settings.max_length} tokens, but rankings and losses need "
            f"{FEWEST_OF_TWO}, half of them each: give more rows, or raise the maximum length."
        )
    first, second = two_sets(len(made), settings.samples)
    order = sorted(made, key=lambda sample: rank(settings.seed, sample.id))
    ids = {sample.id for sample in order[first : first + second]}
    return [sample for sample in made if sample.id in ids]


def ranked(
    target: Target, rankings: Sequence[str], measured: set[str]
) -> dict[str, Float64[np.ndarray, "layers heads"]]:
    """What heads are ranked by, from patterns and ablations on other samples than the measured ones.

    Raises:
        InputError: files are damaged, or all of their samples are measured.
    """
    found: dict[str, Float64[np.ndarray, "layers heads"]] = {}
    steps = files.before_to_after(target.patterns)
    before, after = (_pattern(target.patterns, step, measured) for step in (steps[0], steps[-1]))
    found[PATTERN], found[CHANGE] = after, np.abs(after - before)
    if EFFECT in rankings and target.ablations:
        ids = read_json(target.ablations / "after.json")["ids"]
        changes = np.load(target.ablations / "after.changes.npy").astype(np.float64)
        found[EFFECT] = np.abs(changes[_others(ids, measured, target.ablations)].mean(axis=0))
    return found


def _pattern(folder: Path, step: int, measured: set[str]) -> Float64[np.ndarray, "layers heads"]:
    """The mean pattern of a step on other samples than the measured ones."""
    about = files.about(folder, step)
    levels = reduced(about.reduction, files.load_stored(about))
    return np.asarray(levels[_others(about.ids, measured, folder)].mean(axis=0, dtype=np.float64))


def _others(ids: Sequence[str], measured: set[str], folder: Path) -> Bool[np.ndarray, " samples"]:
    """Which samples are not measured.

    Raises:
        InputError: all of them are.
    """
    others = np.array([one not in measured for one in ids])
    if not others.any():
        raise InputError(f"{folder} has no sample whose loss is not taken as well: lower studies.transplant.samples.")
    return others


def choices(
    scores: Mapping[str, Float64[np.ndarray, "layers heads"]], settings: Settings, shape: tuple[int, int]
) -> list[Choice]:
    """No head, the first heads by each ranking and of each random order, and all heads.

    The draws depend on their number, the seed and the number of heads alone; with growing size they hold each other.
    """
    size = shape[0] * shape[1]
    orders = [(name, 0, np.argsort(-score.ravel(), kind="stable")) for name, score in scores.items()]
    for draw in range(settings.draws):
        number = int(hashlib.sha256(f"{settings.seed}:{draw}".encode()).hexdigest(), 16)
        orders.append((RANDOM, draw, np.random.default_rng(number).permutation(size)))
    found = [Choice(NONE, 0, np.zeros(shape, dtype=bool))]
    for name, draw, order in orders:
        for k in settings.sizes:
            if k < size:
                found.append(Choice(name, draw, np.isin(np.arange(size), order[:k]).reshape(shape)))
    return [*found, Choice(NONE, 0, np.ones(shape, dtype=bool))]


def _weights(model: Any, names: Sequence[str]) -> "dict[str, torch.Tensor]":
    """Copies of some parameters."""
    parameters = dict(model.named_parameters())
    return {name: parameters[name].detach().clone() for name in names}


def _moved(
    model: Any,
    own: "Mapping[str, torch.Tensor]",
    other: "Mapping[str, torch.Tensor]",
    divided: Any,
    wanted: Sequence[Choice],
    measured: Sequence[TokenizedSample],
    token_budget: int | str,
) -> Iterator[Float64[np.ndarray, " samples"]]:
    """The losses with the heads of each choice taken from another model; its own are back in place after each."""
    from headpatterns.attribution.losses import measuring
    from headpatterns.models.head_slices import move

    with measuring(model, measured, token_budget) as measure:
        for choice in wanted:
            move(model, other, divided, choice.heads)
            losses = measure()
            move(model, own, divided, choice.heads)
            yield losses


def _rows(
    direction: str,
    wanted: Sequence[Choice],
    losses: Iterator[Float64[np.ndarray, " samples"]],
    measured: Sequence[TokenizedSample],
) -> Iterator[tuple[Any, ...]]:
    """Rows of `COLUMNS`."""
    for choice, of_samples in zip(wanted, losses, strict=True):
        for sample, loss in zip(measured, of_samples, strict=True):
            yield (direction, choice.ranking, choice.draw, choice.k, choice.heads.size, sample.id, loss)
