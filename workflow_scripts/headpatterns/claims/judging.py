"""Verdicts: effects, the registry of claims and the competence of models, joined into claims.csv.

Verdicts are those of `headpatterns.statistics.verdicts`. Their p-values are corrected (Holm) over all numbers of the
claims of one family: over all models, and over everything that their effects are about.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from headpatterns.claims.competence import Competence
from headpatterns.claims.gates import closed, learnt
from headpatterns.claims.measured import Found
from headpatterns.claims.registry import Claim, PaperValue
from headpatterns.statistics import verdicts
from headpatterns.statistics.effects import DRAWS, ITEMS, SAMPLES, SEEDS, TASKS, Effect

COLUMNS = (
    *("claim", "family", "section", "where", "statement", "computed", "model", "about", "unit", "paper", "estimate"),
    *("plain", "low", "high", "smallest", "p", "p_adjusted", "power", "paper_power", "varies", "held", "learnt"),
    *("verdict", "reason"),
)
LEFT_OUT_COLUMNS = ("claim", "where", "statement", "reason")

UNTESTABLE = "not testable"
SOURCES = {"patterns": (SEEDS, TASKS, SAMPLES), "answers": (SEEDS, DRAWS, ITEMS)}
"""Possible sources of variation, by the kind of data from which an effect is computed."""

WITHOUT_SEEDS = "without seed variance"
NO_ERROR = "the number came out the same whatever varied, so that there is no error to test it with"
EXACT_ALONE = "the number came out the same whatever varied, so that the exact test speaks alone"


@dataclass(frozen=True)
class Judged:
    """A claim and one number that it is about: a row of claims.csv before and after the verdict.

    Attributes:
        claim: from the registry.
        found: the effect.
        paper: the paper's value for the model that corresponds to this one.
        smallest: smallest effect of interest, a distance from the bound.
        closed: why it is not testable; empty if it is.
        learnt: how many tasks the model has learnt, and by which measure; empty if the claim does not depend on it.
        p: p-value against the bound; NaN without a test.
        p_adjusted: the same, corrected within the family.
        level: the level at which Holm's method tests the undecided numbers of the family.
    """

    claim: Claim
    found: Found
    paper: PaperValue | None
    smallest: float
    closed: str
    learnt: str = ""
    p: float = math.nan
    p_adjusted: float = math.nan
    level: float = verdicts.ALPHA

    @property
    def verdict(self) -> str:
        """One of holds, reversed, negligible, undecided and not testable."""
        if self.closed:
            return UNTESTABLE
        claim = self.claim
        return verdicts.verdict(self.found.effect, self.p_adjusted, claim.bound, claim.above, self.smallest)

    @property
    def held(self) -> list[str]:
        """Sources that did not vary; variation of tasks includes that of their samples, and of seeds that of draws."""
        varies = self.found.effect.varies
        varied = {*varies, *([SAMPLES] if TASKS in varies else [])}
        if SEEDS in varies or "random" not in self.claim.sides:
            varied.add(DRAWS)
        return [source for source in SOURCES[self.claim.reads] if source not in varied]

    @property
    def reason(self) -> str:
        """Why it is not testable; for a verdict, the sources of variation that its error term lacks."""
        lacking = [WITHOUT_SEEDS] * (SEEDS in self.held)
        if math.isnan(self.p):
            lacking.append(NO_ERROR)
        elif math.isnan(self.found.effect.p_two_sided(self.claim.bound)):
            lacking.append(EXACT_ALONE)
        return self.closed or "; ".join(lacking)

    @property
    def power(self) -> float:
        """Power at the smallest effect of interest; 0 if the number of tasks or draws cannot give a p that small.

        With an exact test, a verdict needs the test in addition to the interval, so the power is at most this.
        """
        exact, effect = self.claim.exact, self.found.effect
        if verdicts.least_p(effect, self.claim.bound, exact) > self.level:
            return 0.0
        sides = 2 if exact and self.claim.bound == effect.exact_bound and not math.isnan(effect.p_least) else 1
        return verdicts.power(effect, self.smallest, sides * self.level)

    @property
    def row(self) -> tuple[Any, ...]:
        """Values of `COLUMNS`."""
        claim, (_, model, about, effect, varies) = self.claim, self.found
        verdict = self.verdict
        power = self.power if verdict == verdicts.UNDECIDED else math.nan
        return (
            *(claim.id, claim.corrected_with, claim.section, claim.where, claim.statement, claim.computed),
            *(model, about, claim.unit),
            *(self.paper.value if self.paper else math.nan, effect.estimate, effect.plain, *effect.interval()),
            *(self.smallest, self.p, self.p_adjusted, power, paper_power(claim, self.paper, self.smallest)),
            *(varies, "; ".join(self.held), self.learnt, verdict, self.reason),
        )


def judge(
    registry: Mapping[str, Sequence[Claim]],
    measured: Mapping[str, Sequence[Found]],
    competence: Competence,
    stands_for: Mapping[str, str],
) -> tuple[list[Judged], list[tuple[str, str, str, str]]]:
    """Every claim with every number that it is about, and the claims that are left out.

    Args:
        registry: claims by study.
        measured: effects by study, for the studies of the experiment.
        competence: competence of models and variants on their tasks.
        stands_for: the corresponding model of the paper, by the name of a model here.

    Returns:
        The judged claims in the order of the registry, and rows of `LEFT_OUT_COLUMNS`.
    """
    judged: list[Judged] = []
    left_out = []
    for study, claims in registry.items():
        for claim in claims:
            found = [one for one in measured.get(study, ()) if one.name == claim.effect]
            about = [one for one in found if not claim.models or stands_for.get(one.model) in claim.models]
            for one in about:
                paper_model = stands_for.get(one.model, "")
                reason = closed(claim, study, one.model, one.about, competence) or _undefined(one.effect)
                smallest = claim.smallest_of(paper_model, one.about)
                able = learnt(claim, one.model, one.about, competence)
                judged.append(Judged(claim, one, claim.of_paper(paper_model, one.about), smallest, reason, able))
            if reason := _lacking(claim, study, measured, about, stands_for):
                left_out.append((claim.id, claim.where, claim.statement, reason))
    return corrected(judged), left_out


def corrected(judged: Sequence[Judged]) -> list[Judged]:
    """The same with p-values, corrected within each family without the claims that are not testable."""
    tested = [
        replace(one, p=verdicts.p_value(one.found.effect, one.claim.bound, one.claim.exact)) if not one.closed else one
        for one in judged
    ]
    families: dict[str, list[int]] = {}
    for place, one in enumerate(tested):
        if not one.closed:
            families.setdefault(one.claim.corrected_with, []).append(place)
    for places in families.values():
        adjusted = verdicts.holm([tested[place].p for place in places])
        level = verdicts.step_level(adjusted)
        for place, value in zip(places, adjusted, strict=True):
            tested[place] = replace(tested[place], p_adjusted=float(value), level=level)
    return tested


def paper_power(claim: Claim, paper: PaperValue | None, smallest: float) -> float:
    """Power of the paper's own comparison of two accuracies at the smallest effect of interest; NaN for other claims.

    It has `claim.items` items. The number of items that only one of the two models answers correctly is unknown. It is
    assumed half way between its minimum and its value for models with independent errors.
    """
    if claim.items is None or paper is None or paper.better is None:
        return math.nan
    lower = min(paper.better, paper.worse)
    shares = (lower + smallest, lower)
    discordant = sum(verdicts.discordances(*shares)) / 2
    return verdicts.power_of_items(claim.items, *shares, discordant)


def _undefined(effect: Effect) -> str:
    """Why an effect has no verdict for any claim."""
    if not math.isfinite(effect.estimate):
        return "the number is undefined here"
    if not effect.components and math.isnan(effect.p_above):
        return "nothing varies, so there is no error term"
    return ""


def _lacking(
    claim: Claim, study: str, measured: Mapping[str, Any], found: Iterable[Found], stands_for: Mapping[str, str]
) -> str:
    """What this experiment lacks for a claim; empty if nothing is missing."""
    if study not in measured:
        return f"the experiment leaves out the study {study}"
    known = [(stands_for.get(one.model), one.about) for one in found]
    if not known:
        models = f" for {' or '.join(claim.models)}" if claim.models else ""
        return f"the experiment has no model or task{models} on which {claim.effect} is measured"
    if unrepresented := [model for model in claim.models if model not in [model for model, _ in known]]:
        return f"no model of the experiment stands for {' or '.join(unrepresented)}"
    abouts = dict.fromkeys(one.about for one in claim.paper if one.about)
    if others := [about for about in abouts if about not in [about for _, about in known]]:
        return f"the experiment has nothing to compare with {claim.where} at {', '.join(others)}"
    return ""
