"""The competence gate: what must be so for a claim to be tested at all."""

import math
from collections.abc import Iterator

from headpatterns.claims.competence import Competence
from headpatterns.claims.registry import Claim

MOST_UNREADABLE = 0.2
"""Share of answers that may be unreadable on either side."""


def closed(claim: Claim, study: str, model: str, about: str, competence: Competence) -> str:
    """Why a claim cannot be tested for a model; empty where it can. What was not measured closes no gate."""
    found = [*_not_learnt(claim, model, about, competence), *_answers(claim, study, model, about, competence)]
    return "; ".join(found)


def _not_learnt(claim: Claim, model: str, about: str, competence: Competence) -> Iterator[str]:
    fall = competence.fall(model, about)
    if "learnt" not in claim.gate or fall is None:
        return
    if not (fall.value if math.isnan(fall.low) else fall.low) > 0:
        yield f"has not learnt its tasks (the loss falls by {fall.value:.2g} [{fall.low:.2g}, {fall.high:.2g}])"


def _answers(claim: Claim, study: str, model: str, about: str, competence: Competence) -> Iterator[str]:
    sides = competence.sides(study, model, about, claim.sides)
    if "readable" in claim.gate:
        for side in sides:
            if side.unreadable > MOST_UNREADABLE:
                yield f"{side.unreadable:.0%} of the answers of {side.name} cannot be read"
    if "above_chance" in claim.gate and sides and all(side.low <= side.chance for side in sides):
        names = " nor ".join(side.name for side in sides)
        yield f"{'neither ' if len(sides) > 1 else 'not even '}{names} is above chance ({sides[0].chance:.2g})"
