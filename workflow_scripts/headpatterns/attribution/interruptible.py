"""An extraction that keeps finished samples on disk, shares its samples among processes and stops at SIGTERM."""

import os
from collections.abc import Sequence

from transformers import PreTrainedModel

from headpatterns import progress
from headpatterns.attribution import extraction
from headpatterns.attribution.extraction import BatchLosses, BatchValues
from headpatterns.attribution.inputs import Sample
from headpatterns.attribution.parts import Parts
from headpatterns.errors import Interrupted
from headpatterns.processes import group as processes
from headpatterns.processes import interruption


def extract(
    model: PreTrainedModel,
    samples: Sequence[Sample],
    kept: Parts,
    name: str,
    *,
    reductions: Sequence[str],
    token_budget: int | str,
) -> int | str:
    """Compute the samples that `kept` lacks and keep them; each of several processes computes its share of the batches.

    Args:
        model: as `activation_patterns` takes it.
        samples: as `inputs.samples` gives them.
        kept: the finished samples; they are on disk when this returns or fails.
        name: name of the model in printed messages.
        reductions: as in `extraction.extract`.
        token_budget: as in `activation_patterns`.

    Returns:
        The token budget that was used: `token_budget` itself if nothing was left to compute.

    Raises:
        Interrupted: SIGTERM came.
        InputError: as `activation_patterns`.
    """
    rank, several = int(os.environ.get("RANK", 0)), processes.count() > 1
    budget = token_budget

    def stop_if_asked() -> None:
        if interruption.received_here():
            raise Interrupted(
                f"interrupted by {interruption.name()}: {len(kept.done)} samples of {name} are kept: run the same "
                "command again to continue."
            )

    def agree(found: int) -> int:
        nonlocal budget
        stop_if_asked()
        budget = agreed = processes.minimum(found)
        return agreed

    def keep(indices: list[int], values: BatchValues, losses: BatchLosses) -> None:
        kept.keep(indices, values, losses)
        progress.report(f"{f'process {rank}, ' * several}{name}", len(kept.done), len(samples), "samples")
        stop_if_asked()

    with interruption.awaited():
        try:
            extraction.extract(
                model,
                samples,
                keep,
                reductions=reductions,
                token_budget=token_budget,
                done=kept.done,
                agree=agree,
                share=(rank, processes.count()),
            )
        finally:
            kept.write()
        processes.barrier()
    stop_if_asked()
    return budget
