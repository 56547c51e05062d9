"""The competence gate: the conditions under which a claim is tested."""

from collections.abc import Iterator

from headpatterns.claims import answers
from headpatterns.claims.competence import Competence, summed_up
from headpatterns.claims.registry import Claim

LEARNT_SHARE = 0.5
"""A number about several tasks needs a model that has learnt more than this share of them."""


def closed(claim: Claim, study: str, model: str, about: str, competence: Competence) -> str:
    """Why a claim cannot be tested for a model; empty if it can. A missing measurement does not close the gate."""
    found = [*_not_learnt(claim, model, about, competence), *_answers(claim, study, model, about, competence)]
    return "; ".join(found)


def learnt(claim: Claim, model: str, about: str, competence: Competence) -> str:
    """How many tasks the model of a claim has learnt, and by which measure; empty if irrelevant or unknown."""
    return summed_up(competence.of(model, about)) if "learnt" in claim.gate else ""


def _not_learnt(claim: Claim, model: str, about: str, competence: Competence) -> Iterator[str]:
    known = competence.of(model, about)
    if "learnt" not in claim.gate or sum(one.is_learnt for one in known.values()) > LEARNT_SHARE * len(known):
        return
    if len(known) == 1:
        yield from (f"has not learnt {task} ({one.words})" for task, one in known.items())
    elif known:
        yield f"has learnt {summed_up(known)}, not more than half"


def _answers(claim: Claim, study: str, model: str, about: str, competence: Competence) -> Iterator[str]:
    sides = answers.sides(competence.answers, study, model, about, claim.sides)
    if "readable" in claim.gate:
        for side in sides:
            if side.unreadable > answers.MOST_UNREADABLE:
                yield f"{side.unreadable:.0%} of the answers of {side.name} cannot be read"
    if "above_chance" in claim.gate and sides and all(side.low <= side.chance for side in sides):
        names = " nor ".join(side.name for side in sides)
        yield f"{'neither ' if len(sides) > 1 else 'not even '}{names} is above chance ({sides[0].chance:.2g})"
