"""The numbers behind the claims on transfer, with their error terms and exact tests over permutations of tasks."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from headpatterns.statistics.effects import over_seeds
from headpatterns.studies.adaptation.similarity import PAPER
from headpatterns.studies.effects import Measured
from headpatterns.studies.reading import PLAIN, Reading
from headpatterns.studies.transfer import forms
from headpatterns.studies.transfer.analysis import limits_of, of_seeds, pairs_of
from headpatterns.studies.transfer.relations import OfModel, gathered, held_against

ABOUT = {"before": "before", "after": "after", "change_rate": "change rates"}
"""The `about` of a number, by the matrix of Figure 2."""


def measure(
    runs: Path,
    losses: Sequence[Path],
    named: Sequence[Sequence[Any]],
    variants: Mapping[str, str],
    resamples: int,
    seed: int,
    reading: Reading = PLAIN,
) -> list[Measured]:
    """The effects of every model; `about` is the matrix of Figure 2.

    Args:
        runs: run table (CSV); the adaptation study is used.
        losses: tables of transfer_losses.
        named: model, task and seed of each.
        variants: tasks that are the same rows in two forms, one by the other.
        resamples: bootstrap replicates of the probe samples.
        seed: of the bootstrap.
        reading: how patterns are read.

    Returns:
        `transfer_follows_similarity`: Spearman's correlation of similarity and gain over pairs of tasks, the mean of
        both directions. With variants also `same_rows_are_similar` and `same_form_is_similar`, as in `forms`.

    Raises:
        InputError: a file cannot be used, or the inputs do not fit each other.
    """
    models, _ = gathered(runs, losses, named, resamples, seed, reading)
    return [one for model, known in models.items() for one in of_model(model, known, variants)]


def of_model(model: str, known: OfModel, variants: Mapping[str, str]) -> Iterator[Measured]:
    """The effects of one model."""
    for name in PAPER:
        yield Measured("transfer_follows_similarity", model, ABOUT[name], held_against(known, name)[0])
    if not variants:
        return
    for effect, shared in {"same_rows_are_similar": forms.ROWS, "same_form_is_similar": forms.FORM}.items():
        for name in PAPER:
            plain = over_seeds(of_seeds(known, variants, name, shared), limits_of(name))
            above, below, least = forms.permutation_p(known.plain(name), pairs_of(known, variants), shared)
            exact = replace(plain, p_above=above, p_below=below, p_least=least)
            yield Measured(effect, model, ABOUT[name], exact)
