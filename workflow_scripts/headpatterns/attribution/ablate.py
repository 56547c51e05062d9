"""Ablations of a model before and after each of its runs, from files to files.

Heads are ablated on some samples of a run's rows, and patterns are computed on others. On the same samples, a pattern
and the effect that it is compared with would share sampling noise, which would make them agree.

Finished phases of a run, and finished passes of a phase, are in a folder `{output}.unfinished` until all are finished.
An interrupted job that is started again keeps them. Torch is imported late, after all checks that do not need it.
"""

import functools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from headpatterns import provenance
from headpatterns.attribution import scores as registry
from headpatterns.attribution.parts import Parts
from headpatterns.attribution.patterns import REDUCTIONS
from headpatterns.data import samples
from headpatterns.data.splitting import FEWEST_OF_TWO, rank, two_sets
from headpatterns.data.tokens import TokenizedSample
from headpatterns.errors import InputError
from headpatterns.io import IDENTITY, atomic_path, open_unfinished, remove, unfinished, write_json
from headpatterns.models import loading as models
from headpatterns.models.loading import checkpoints
from headpatterns.processes import memory
from headpatterns.progress import report

BEFORE, AFTER = "before", "after"
ALONE = "model"
"""The phase of a model with which no run is compared."""
ZERO, MEAN, RESAMPLE, SCALE = ABLATIONS = ("zero", "mean", "resample", "scale")
"""Ways to ablate a head: its output is multiplied by 0, replaced by its mean or its output on another sample, or
multiplied by five doses."""

PARTS = ".parts"
"""End of the names of folders with the finished passes of a phase."""

SECONDS = 20.0
"""Time after which finished passes are written, so that an interrupted job repeats no more than these."""


@dataclass(frozen=True)
class Settings:
    """How heads are ablated and patterns are taken.

    Attributes:
        model: folder of the model that runs started from.
        samples: samples that heads are ablated on, and others for patterns.
        draws: random groups of each size.
        top: sizes of the groups of heads, ascending.
        seed: of the samples and the random groups.
        reduction: of the pattern that groups are chosen by, one of `REDUCTIONS`.
        max_length: tokens at which a sample is cut.
        token_budget: as in `activation_patterns`.
        device: cpu, cuda, cuda:N or mps.
        dtype: float32, bfloat16 or float16.
        threads: processor threads.
        ablations: some of `ABLATIONS`; `zero` is always made.
        resample_draws: number of other samples whose outputs each sample is given, one after another.
        scores: names of scores of heads, which are computed on the samples of the patterns.
    """

    model: Path
    samples: int
    draws: int
    top: list[int]
    seed: int
    reduction: str
    max_length: int
    token_budget: int | str
    device: str
    dtype: str
    threads: int
    ablations: list[str] = field(default_factory=lambda: [ZERO])
    resample_draws: int = 1
    scores: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Target:
    """A run, a file of the rows it is measured on, in any format, and the folder for the results."""

    run: Path
    data: Path
    output_folder: Path


@dataclass(frozen=True)
class Chosen:
    """The samples of a file that are measured under ablation, others for the patterns, and their provenance."""

    ablated: list[TokenizedSample]
    patterned: list[TokenizedSample]
    about: dict[str, Any]

    def ids(self) -> dict[str, list[str]]:
        """The ids of both sets."""
        return {
            "ids": [sample.id for sample in self.ablated],
            "pattern_ids": [sample.id for sample in self.patterned],
        }


@dataclass(frozen=True)
class Unit:
    """A run with the samples of its rows, and the folder of its unfinished files."""

    run: Path
    chosen: Chosen
    workplace: Path


def of_runs(targets: Sequence[Target], settings: Settings) -> None:
    """Measure the model for all runs, then each run's last checkpoint.

    Each output folder gets, for phase in before (the model) and after (the checkpoint), on the same samples in both:

        PHASE.changes.npy   float32 [N, layers, heads]
        PHASE.groups.npy    float32 [2 + draws, sizes, N]
        PHASE.patterns.npy  float32 [3, M, layers, heads], in the order of `REDUCTIONS`
        PHASE.json          ids and losses of the N, pattern_ids of the M, sizes of the groups, and provenance

    and what else is asked for:

        PHASE.mean.npy         float32 [N, layers, heads], as changes
        PHASE.resample.npy     float32 [resample draws, N, layers, heads]
        PHASE.doses.npy        float32 [doses, N, layers, heads], in the order of `gates.DOSES`
        PHASE.slopes.npy       float32 [doses, N, layers, heads], derivative of the loss by the dose
        PHASE.score.NAME.npy   float32 [M, layers, heads] or [layers, heads]

    Raises:
        InputError: a file, a sample, a run, the model or the device cannot be used, or a group has more heads than
            the model.
    """
    models.check_folder(settings.model)
    registry.found(settings.scores)
    rows = {data: samples.read(data) for data in dict.fromkeys(target.data for target in targets)}

    memory.load("headpatterns.attribution.comparison")
    models.compute_on(settings.device, settings.threads)
    tokenizer = models.load_tokenizer(settings.model)
    prepared = {data: _chosen(tokenizer, of_file, data, settings) for data, of_file in rows.items()}
    units = [_opened(target, prepared[target.data], settings) for target in targets]
    _measure(settings.model, units, BEFORE, settings)
    for unit in units:
        _measure(unit.run / "final", [unit], AFTER, settings)
    # Files are moved only now, because Snakemake removes the output of a failed job.
    for target in targets:
        _finish(target.output_folder)


def of_model(data: Path, output: Path, settings: Settings) -> None:
    """Measure one model, with no run: `output` gets the files of `of_runs` for the phase `model`.

    Raises:
        InputError: as there.
    """
    models.check_folder(settings.model)
    registry.found(settings.scores)
    rows = samples.read(data)

    memory.load("headpatterns.attribution.comparison")
    models.compute_on(settings.device, settings.threads)
    chosen = _chosen(models.load_tokenizer(settings.model), rows, data, settings)
    workplace = open_unfinished(output, _identity(chosen, settings, *models.files(settings.model)))
    _measure(settings.model, [Unit(settings.model, chosen, workplace)], ALONE, settings)
    _finish(output)


def _finish(output: Path) -> None:
    """Move the finished files to the output folder."""
    for path in [unfinished(output) / IDENTITY, *unfinished(output).glob(f"*{PARTS}")]:
        remove(path)
    remove(output)
    unfinished(output).rename(output)


def _identity(chosen: Chosen, settings: Settings, *parts: Path) -> str:
    """Fingerprint of the files of the ablated model, the samples and the options."""
    names = ("draws", "top", "seed", "reduction", "max_length", "dtype", "device", "threads", "ablations")
    options = [str(getattr(settings, name)) for name in (*names, "resample_draws", "scores")]
    return provenance.fingerprint(*parts, chosen.about["data_sha256"], json.dumps(chosen.ids()), *options)


def _chosen(tokenizer: Any, rows: list[dict[str, str]], data: Path, settings: Settings) -> Chosen:
    """Two sets without a sample in common, by a seeded rank of their ids, each in the order of the file.

    Each has as many as requested, or half of all samples. Samples whose response lies beyond the maximum length are in
    neither.

    Raises:
        InputError: there are too few for two sets.
    """
    tokenized, _ = samples.tokenized(tokenizer, rows, settings.max_length, data, skip=True)
    ranked = sorted(tokenized, key=lambda sample: rank(settings.seed, sample.id))
    if len(ranked) < FEWEST_OF_TWO:
        raise InputError(
            f"{data} has {len(ranked)} samples within {settings.max_length} tokens, but {FEWEST_OF_TWO} are "
            "needed, half for ablations and half for patterns: give more rows, or raise the maximum length."
        )
    ablated, patterned = two_sets(len(ranked), settings.samples)
    if RESAMPLE in settings.ablations:
        from headpatterns.attribution import replacement

        replacement.check_draws(ablated, settings.resample_draws)
    parts = ranked[:ablated], ranked[ablated : ablated + patterned]
    first, second = ({sample.id for sample in part} for part in parts)
    return Chosen(
        [sample for sample in tokenized if sample.id in first],
        [sample for sample in tokenized if sample.id in second],
        {"data": str(data), "data_sha256": samples.digest(data)},
    )


def _opened(target: Target, chosen: Chosen, settings: Settings) -> Unit:
    """Open the workplace of a run, with the files that an interrupted job of the same identity left there."""
    checkpoints(target.run)  # refuses a folder that is not a run
    # run.json identifies the model, the data and the recipe of the checkpoint.
    identity = _identity(chosen, settings, target.run / "run.json")
    return Unit(target.run, chosen, open_unfinished(target.output_folder, identity))


def _measure(folder: Path, units: Sequence[Unit], phase: str, settings: Settings) -> None:
    """Write the files of a phase, with one model, for the units that lack them."""
    lacking = [unit for unit in units if not (unit.workplace / f"{phase}.json").is_file()]
    if not lacking:
        return
    model = models.load_model(folder, settings.dtype, settings.device)
    shape = models.heads_of(model)
    _check_sizes(settings.top, folder, *shape)
    for unit in lacking:
        started, chosen = time.perf_counter(), unit.chosen
        arrays, found = _of_unit(model, unit, phase, _reporting(folder, unit.run), settings)
        details = _details(chosen, models.attention_layers(model), shape[1], time.perf_counter() - started, settings)
        _write(
            unit.workplace, phase, arrays, {"model": str(folder), **chosen.about, "phase": phase, **details, **found}
        )
    del model
    models.free_memory(settings.device)


def _of_unit(
    model: Any, unit: Unit, phase: str, progress: Callable[[int, int], None], settings: Settings
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of a phase by the names of their files, and the details for its provenance."""
    from headpatterns.attribution.comparison import Further, further_ablations, patterns_and_ablations

    def keeping(name: str) -> Parts:
        return Parts(unit.workplace / f"{phase}.{name}{PARTS}", SECONDS)

    chosen = unit.chosen
    seed = f"{settings.seed}:{chosen.about['data_sha256']}"
    patterns, ablated, scored = patterns_and_ablations(
        model,
        chosen.patterned,
        chosen.ablated,
        reduction=settings.reduction,
        sizes=settings.top,
        draws=settings.draws,
        seed=seed,
        token_budget=settings.token_budget,
        progress=progress,
        scores=settings.scores,
        keeping=keeping,
        before=functools.partial(models.load_model, settings.model, settings.dtype) if phase == AFTER else None,
    )
    kinds = [kind for kind in (MEAN, RESAMPLE) if kind in settings.ablations]
    further = further_ablations(
        model, chosen.ablated, Further(kinds, settings.resample_draws, SCALE in settings.ablations), seed,
        token_budget=settings.token_budget, progress=progress, keeping=keeping,
    )  # fmt: skip
    scores = {f"score.{name}": values for name, values in scored.values.items()}
    about: dict[str, Any] = {"losses": ablated.losses.tolist()}
    if further:
        about |= {"ablations": settings.ablations, "resample_draws": settings.resample_draws}
    if settings.scores:
        about |= {"scores": list(scored.values), "scores_left_out": dict(scored.left_out)}
    return {"changes": ablated.changes, "patterns": patterns, "groups": ablated.groups, **further, **scores}, about


def _reporting(folder: Path, run: Path) -> Callable[[int, int], None]:
    """A function that prints the progress of the ablations of a model, before or after a run."""
    what = str(folder) if folder == run else f"{folder}, {run}"
    return lambda done, total: report(what, done, total, "passes")


def _check_sizes(sizes: list[int], folder: Path, layers: int, heads: int) -> None:
    """Refuse groups of more heads than the model has."""
    if sizes[-1] > layers * heads:
        raise InputError(
            f"--top has {sizes[-1]}, but {folder} has {layers} layers of {heads} heads: give at most {layers * heads}."
        )


def _details(chosen: Chosen, layers: list[int], heads: int, seconds: float, settings: Settings) -> dict[str, Any]:
    """What the provenance of a phase says in addition to its inputs and losses."""
    return {
        "reductions": list(REDUCTIONS),
        "reduction": settings.reduction,
        "top": settings.top,
        "draws": settings.draws,
        "seed": settings.seed,
        "max_length": settings.max_length,
        "token_budget": settings.token_budget,
        "dtype": settings.dtype,
        "device": settings.device,
        "layers": len(layers),
        "layer_numbers": layers,
        "heads": heads,
        "samples": len(chosen.ablated),
        "tokens": sum(len(sample.input_ids) for sample in chosen.ablated),
        "seconds": round(seconds, 3),
        **provenance.environment(),
        **chosen.ids(),
    }


def _write(workplace: Path, phase: str, arrays: dict[str, np.ndarray], about: dict[str, Any]) -> None:
    """Write the files of a phase."""
    # The JSON is written last: if it exists, the arrays next to it are complete and belong to it.
    for name, array in arrays.items():
        with atomic_path(workplace / f"{phase}.{name}.npy") as temporary:
            np.save(temporary, array.astype(np.float32, order="C"))
    write_json(workplace / f"{phase}.json", about)
