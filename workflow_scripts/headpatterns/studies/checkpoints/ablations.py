"""Whether patterns say which heads matter, at the base of each chain and at its last stage."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headpatterns.studies.table import Table
from headpatterns.studies.validity import analysis


def compute(ablations: Sequence[Path], runs: Sequence[Sequence[Any]], resamples: int, seed: int) -> dict[str, Table]:
    """The tables of the study `validity`, in which a chain is a model: before is its base, after its last stage.

    Args:
        ablations: folders of ablate_heads; none where no head is ablated, which gives tables without rows.
        runs: chain, task and seed of each.
        resamples: bootstrap replicates of the samples.
        seed: of the bootstrap.

    Raises:
        InputError: as `analysis.compute`.
    """
    return analysis.compute(ablations, runs, resamples, seed)
