"""The numbers behind the claims on heads that are trained alone, with the same error terms as for moved heads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headpatterns.studies.effects import Measured
from headpatterns.studies.trained_heads.losses import read_all
from headpatterns.studies.transplant.effects import CHANGE, carried_and_beaten, of_models
from headpatterns.studies.transplant.moved import RANDOM

EFFECT = "effect"
RIVALS = {"trained_changed_beat_random": (CHANGE, RANDOM), "trained_effective_beat_random": (EFFECT, RANDOM)}


def measure(
    runs: Path,
    whole: Sequence[Path],
    alone: Sequence[Path],
    named: Sequence[Sequence[Any]],
    choices: Sequence[Sequence[Any]],
    resamples: int,
    seed: int,
) -> list[Measured]:
    """The effects of every model.

    Args:
        runs: run table (CSV); the adaptation study is used.
        whole: tables of choose_heads, for runs that train all weights.
        alone: tables of trained_losses, for all choices of heads of each of these runs.
        named: model, task and seed of each table in `whole`.
        choices: ranking, draw and number of heads of each choice.
        resamples: bootstrap replicates of the samples.
        seed: seed of the bootstrap.

    Returns:
        `trained_heads_carry`: the share of the gain if all heads and nothing else are trained.
        `trained_changed_beat_random`: the share with the heads whose patterns change most, minus the share with random
        heads; `trained_effective_beat_random`: the same for the heads whose ablation changes the loss most.

    Raises:
        InputError: a file cannot be used.
    """
    found = read_all(whole, alone, named, choices)
    return of_models(
        runs, found, lambda moved: carried_and_beaten("trained_heads_carry", RIVALS, moved, resamples, seed)
    )
