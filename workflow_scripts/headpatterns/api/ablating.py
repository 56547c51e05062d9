"""The change of the loss of samples without a head of a model, outside the workflow."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from headpatterns import extras
from headpatterns.api.extracting import resolved
from headpatterns.attribution import ablate as rule
from headpatterns.attribution.patterns import REDUCTIONS, check_reductions
from headpatterns.data import samples as rows_of
from headpatterns.errors import InputError
from headpatterns.io import read_json, write_csv
from headpatterns.statistics import (
    CORRELATION,
    NOT_NEGATIVE,
    UNLIMITED,
    Limits,
    estimate_and_interval,
    replicate_patterns,
)
from headpatterns.studies.validity import ablations, measures

HEADS, AGREEMENT = "heads.csv", "agreement.csv"
HEAD_COLUMNS = ("layer", "head", "level", "level_low", "level_high", "change", "low", "high")
AGREEMENT_COLUMNS = ("reduction", "change", "over", "value", "low", "high", "plain")


@dataclass(frozen=True)
class Ablation:
    """The result of `ablate`.

    Attributes:
        heads: a row for each head: layer, head, level (its pattern) with level_low and level_high, and change (loss
            without it − loss, nats per token) with low and high; 95 % intervals over samples.
        agreement: Spearman's correlation over heads between pattern and change, a row for each reduction, kind of
            change (`absolute`, the mean of its magnitude, or `signed`) and set of heads (`all_heads`, `within_layers`).
        folder: the folder with these tables and the arrays of every sample.
    """

    heads: pd.DataFrame
    agreement: pd.DataFrame
    folder: Path


def ablate(
    model: str | Path,
    data: str | Path,
    output: str | Path = "ablation",
    *,
    samples: int = 64,
    ablation: Sequence[str] = (rule.ZERO,),
    top: Sequence[int] = (1,),
    draws: int = 10,
    reduction: str = "abs_of_sum",
    experiment: str | Path | None = None,
    template: str | None = None,
    max_length: int = 1024,
    token_budget: int | str = "auto",
    device: str = "cpu",
    dtype: str = "float32",
    threads: int | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Ablation:
    """Ablate every head of a model alone, and compare the change of the loss with its activation pattern.

    The loss is measured on half of the samples, with a head's output multiplied by 0 before the output projection.
    Patterns are computed on the other half, so that both share no noise. A model of L × H heads needs L × H + 1 forward
    passes of each sample. An interrupted call starts again.

    Args:
        model: a folder in Hugging Face layout, a GGUF file, or a name of `experiment`: MODEL or MODEL/RUN.
        data: a file or folder of rows with prompt, response and optionally id.
        output: folder for the tables and arrays.
        samples: number of rows, chosen by a seeded draw; at least two.
        ablation: further ablations in addition to `zero`: `mean`, `resample`, `scale`; their arrays are stored.
        top: sizes of groups of heads that are ablated together, by the largest and smallest patterns and at random.
        draws: random groups of each size.
        reduction: of the pattern that chooses groups, one of `REDUCTIONS`.
        experiment: folder of an experiment, results/NAME, whose models and runs may be named.
        template: prompt template into which rows are put: `question`, `alpaca`, `chat` (of the model's tokenizer), or a
            text with {instruction}; None if prompts are ready.
        max_length: tokens at which a sample is cut; a sample whose whole response lies beyond is left out.
        token_budget: tokens of a batch, padding included; `auto` takes what fits into free memory.
        device: cpu, cuda, cuda:N or mps.
        dtype: float32, bfloat16 or float16.
        threads: processor threads; None for all processors.
        resamples: bootstrap replicates of the samples.
        seed: of the choice of samples, random groups and replicates.

    Raises:
        InputError: an argument cannot be used.
    """
    extras.need("ablating heads", "models")
    if samples < 2:
        raise InputError(f"{samples} samples cannot be split into halves: give 2 or more.")
    if unknown := [one for one in ablation if one not in rule.ABLATIONS]:
        raise InputError(f"unknown ablation '{unknown[0]}': use one of {', '.join(rule.ABLATIONS)}.")
    check_reductions([reduction])
    if resamples < 2 or seed < 0 or draws < 1 or not top or min(top) < 1:
        raise InputError(
            "give 2 or more resamples, a seed of 0 or more, 1 or more draws, and sizes of 1 or more as top."
        )
    folder = Path(output)
    _check_output(folder)
    settings = rule.Settings(
        model=resolved(model, experiment, folder.parent),
        samples=samples // 2,
        draws=draws,
        top=sorted(set(top)),
        seed=seed,
        reduction=reduction,
        max_length=max_length,
        token_budget=token_budget,
        device=device,
        dtype=dtype,
        threads=threads or os.cpu_count() or 1,
        ablations=list(dict.fromkeys((rule.ZERO, *ablation))),
    )
    rows = rows_of.in_template(Path(data), template, folder.with_name(f"{folder.name}.rows.jsonl"))
    rule.of_model(rows, folder, settings)
    found = ablations.read(folder, rule.ALONE)
    weights = measures.weights_of(found, Path(data).stem, resamples, seed)
    layers = read_json(folder / f"{rule.ALONE}.json")["layer_numbers"]
    heads = list(_heads(found, weights, layers, reduction))
    agreement = [
        (*kind, *_interval(one, CORRELATION), float(one[0]))
        for kind, one in measures.correlations(found, weights).items()
    ]
    write_csv(folder / HEADS, HEAD_COLUMNS, heads)
    write_csv(folder / AGREEMENT, AGREEMENT_COLUMNS, agreement)
    return Ablation(
        pd.DataFrame(heads, columns=list(HEAD_COLUMNS)),
        pd.DataFrame(agreement, columns=list(AGREEMENT_COLUMNS)),
        folder,
    )


def _check_output(folder: Path) -> None:
    """Refuse a folder with other contents, because an ablation replaces the whole folder."""
    if not folder.exists():
        return
    strange = [folder] if folder.is_file() else [one for one in sorted(folder.iterdir()) if not _is_own(one.name)]
    if strange:
        raise InputError(
            f"{folder} contains {strange[0].name}, which is not a file of ablations: give a new or empty folder."
        )


def _is_own(name: str) -> bool:
    return name in (HEADS, AGREEMENT) or name.startswith(f"{rule.ALONE}.")


def _heads(
    found: ablations.Ablation, weights: measures.Weights, layers: Sequence[int], reduction: str
) -> Iterator[tuple[Any, ...]]:
    """A row of every head."""
    levels = replicate_patterns(found.patterns[REDUCTIONS.index(reduction)], weights.patterns)
    changes = replicate_patterns(found.changes, weights.changes)
    for place, layer in enumerate(layers):
        for head in range(levels.shape[2]):
            level, change = levels[:, place, head], changes[:, place, head]
            yield (layer, head, *_interval(level, NOT_NEGATIVE), *_interval(change, UNLIMITED))


def _interval(replicates: Any, limits: Limits) -> tuple[float, float, float]:
    """Value, low and high of replicates [1 + B]."""
    value, low, high = estimate_and_interval(replicates, limits=limits)
    return float(value), float(low), float(high)
