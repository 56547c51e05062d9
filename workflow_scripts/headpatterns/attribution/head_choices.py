"""Rankings of the heads of a model, the samples that they come from, and other samples that judge them.

Heads are ranked on some samples of a run's rows, and the loss is computed on others. On the same samples, heads that
matter for these samples by chance would seem to matter in general. Torch is imported late, after all checks that do not
need it.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from headpatterns.attribution import files
from headpatterns.attribution.patterns import reduced
from headpatterns.data import samples
from headpatterns.data.splitting import FEWEST_OF_TWO, rank, two_sets
from headpatterns.data.tokens import TokenizedSample
from headpatterns.errors import InputError
from headpatterns.io import read_json
from headpatterns.models import loading as models
from headpatterns.processes import memory

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from headpatterns.models.head_slices import Slices

ALL, RANDOM = "all", "random"
CHANGE, PATTERN, EFFECT, WEIGHTS = RANKINGS = ("change", "pattern", "effect", "weights")
"""Values that rank heads, largest first: |change of the pattern|, the pattern after fine-tuning, |mean change of the
loss when the head is ablated| after fine-tuning, and the Frobenius norm of the change of the head's weights."""

Scores = Mapping[str, Float64[np.ndarray, "layers heads"]]
Heads = Bool[np.ndarray, "layers heads"]


@dataclass(frozen=True)
class Settings:
    """Which heads are chosen, and how losses are computed.

    Attributes:
        model: folder of the model that runs started from.
        samples: number of samples whose loss is computed; at least as many others rank the heads.
        sizes: numbers of heads, ascending; a choice of all heads is always added.
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
    """A run, the rows it is measured on, its patterns, its ablations if they rank heads, and the output table."""

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
        """The number of heads."""
        return int(self.heads.sum())

    @property
    def name(self) -> str:
        """Ranking, draw and number, as in the names of runs: `change-4`, `random0-4` or `all`."""
        if self.ranking == ALL:
            return ALL
        return f"{self.ranking}{self.draw if self.ranking == RANDOM else ''}-{self.k}"


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


def measured(made: list[TokenizedSample], data: Path, most: int, seed: int, max_length: int) -> list[TokenizedSample]:
    """The samples whose loss is computed, in the order of the file.

    They are the samples on which ablations compute patterns, chosen by the seeded rank of their ids.

    Args:
        made: all samples of a file.
        data: the file, for error messages.
        most: how many are measured, if there are at least twice as many.
        seed: of their ranks.
        max_length: tokens within which the samples are, for error messages.

    Raises:
        InputError: there are too few for these and others to rank heads by.
    """
    if len(made) < FEWEST_OF_TWO:
        raise InputError(
            f"{data} has {len(made)} samples within {max_length} tokens, but {FEWEST_OF_TWO} are needed, half for "
            "rankings and half for losses: give more rows, or raise the maximum length."
        )
    first, second = two_sets(len(made), most)
    order = sorted(made, key=lambda sample: rank(seed, sample.id))
    ids = {sample.id for sample in order[first : first + second]}
    return [sample for sample in made if sample.id in ids]


def ranked(
    target: Target, rankings: Sequence[str], measured: set[str]
) -> dict[str, Float64[np.ndarray, "layers heads"]]:
    """The values that rank heads, from patterns and ablations on samples that are not measured.

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
    """The mean pattern of a step on the samples that are not measured."""
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
        raise InputError(
            f"{folder} has no sample left to rank heads on, because losses use all of them: lower --samples "
            "(`samples` of the study)."
        )
    return others


def orders(scores: Scores, settings: Settings, size: int) -> Iterator[tuple[str, int, Sequence[int]]]:
    """For each order: the ranking's name, the number of the draw, and the flat indices of heads in this order, [size].

    A draw depends only on its number, the seed and the number of heads, so a larger choice contains a smaller one.
    """
    for name in settings.rankings:
        yield name, 0, np.argsort(-scores[name].ravel(), kind="stable").tolist()
    for draw in range(settings.draws):
        number = int(hashlib.sha256(f"{settings.seed}:{draw}".encode()).hexdigest(), 16)
        yield RANDOM, draw, np.random.default_rng(number).permutation(size).tolist()


def choices(scores: Scores, settings: Settings, shape: tuple[int, int]) -> list[Choice]:
    """The first heads of each ranking and of each random order."""
    size = shape[0] * shape[1]
    return [
        Choice(name, draw, np.isin(np.arange(size), order[:k]).reshape(shape))
        for (name, draw, order), k in product(orders(scores, settings, size), settings.sizes)
    ]


@dataclass(frozen=True)
class Ranked:
    """A run and its model, with the values that rank heads.

    Attributes:
        target: the run and its files.
        base: the model that it started from.
        tuned: its last checkpoint.
        divided: the parameters that are divided among heads.
        shape: layers and heads.
        measured: the samples whose loss is computed.
        scores: the values that rank heads, on other samples.
    """

    target: Target
    base: "PreTrainedModel"
    tuned: "PreTrainedModel"
    divided: "list[Slices]"
    shape: tuple[int, int]
    measured: list[TokenizedSample]
    scores: Scores


def for_each_run(targets: Sequence[Target], settings: Settings, work: Callable[[Ranked], None]) -> None:
    """Call `work` with one run after another; each run leaves memory before the next one is loaded.

    Raises:
        InputError: a file, a sample, a run, the model or the device cannot be used, there are fewer heads than are to
            be chosen, or it is not known which weights belong to a head.
    """
    models.check_folder(settings.model)
    rows = {target.data: samples.read(target.data) for target in targets}
    last = [list(models.checkpoints(target.run).values())[-1] for target in targets]

    memory.load("headpatterns.attribution.losses")
    from headpatterns.models.head_slices import slices

    models.compute_on(settings.device, settings.threads)
    tokenizer = models.load_tokenizer(settings.model)
    base = models.load_model(settings.model, settings.dtype, settings.device)
    check_sizes(settings.sizes, settings.model, *models.heads_of(base))
    divided = slices(base)
    for target, folder in zip(targets, last, strict=True):
        made, _ = samples.tokenized(tokenizer, rows[target.data], settings.max_length, target.data, skip=True)
        own = measured(made, target.data, settings.samples, settings.seed, settings.max_length)
        work(_loaded(target, folder, base, divided, own, settings))
        models.free_memory(settings.device)


def _loaded(
    target: Target,
    folder: Path,
    base: "PreTrainedModel",
    divided: "list[Slices]",
    own: list[TokenizedSample],
    settings: Settings,
) -> Ranked:
    """The last checkpoint of a run in a folder, with its measured samples `own` and ranks on the other samples."""
    from headpatterns.models.head_slices import change

    tuned, shape = models.load_model(folder, settings.dtype, settings.device), models.heads_of(base)
    scores = ranked(target, settings.rankings, {sample.id for sample in own})
    if WEIGHTS in settings.rankings:
        before, after = (dict(model.named_parameters()) for model in (base, tuned))
        scores[WEIGHTS] = change(before, after, divided, shape[1])
    return Ranked(target, base, tuned, divided, shape, own, scores)
