"""The registry of claims: the `claims.yaml` of each study, with the paper's statements and their tests.

The registry is data. Reading it imports nothing large, and its errors are reported before a job starts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from headpatterns.errors import InputError
from headpatterns.experiment.fields import UNSTATED, Amount, Name, Names, PaperModel, Positive, Section, Text
from headpatterns.experiment.sentences import nearest, sentences
from headpatterns.experiment.study import Study

FILE = "claims.yaml"
STUDIES = Path(__file__).parent.parent / "studies"

Gate = Literal["learnt", "readable", "above_chance"]
Reads = Literal["patterns", "answers"]


class PaperValue(Section):
    """What the paper reports: the effect, of a model or about something, and the two numbers that it lies between."""

    model: PaperModel = Field(UNSTATED, description="the paper's model; without it, the value is for all models")
    about: str = Field("", description="what else the value is about, as the effect names it; without it, everything")
    value: float = Field(description="the effect")
    better: float = Field(UNSTATED, description="the first number of a difference")
    worse: float = Field(UNSTATED, description="the number that is subtracted from it")


class Claim(Section):
    """A statement of the paper, and how it is held against an effect."""

    id: Name = Field(description="name of the claim, which no other claim has")
    section: Text = Field(description="section of the paper, or `beyond` for what the paper leaves open")
    where: Text = Field(description="the table or figure")
    statement: Text = Field(description="the statement in our own words")
    effect: Text = Field(description="the measured number that the statement is about")
    models: list[PaperModel] = Field(
        [], description="the paper's models that the statement is about; none for every model"
    )
    bound: float = Field(description="the bound that the effect is compared with")
    direction: Literal["above", "below"] = Field(
        description="the side of the bound on which the effect lies if the statement holds"
    )
    unit: str = Field("", description="unit of the effect and of the paper's value")
    computed: Text = Field(description="how the effect is computed")
    paper: list[PaperValue] = Field([], description="what the paper reports")
    items: Positive = Field(UNSTATED, description="evaluated items behind each number of the paper")
    smallest: Amount = Field(
        UNSTATED, description="smallest distance from the bound that matters; without it, half of the paper's distance"
    )
    chosen: Text = Field(UNSTATED, description="why `smallest` has this value")
    test: Literal["t", "exact permutation", "rank"] = Field(
        description="which test gives the p-value; `t` uses an exact test if nothing varied"
    )
    family: str = Field("", description="claims whose p-values are corrected together; without it, only this claim")
    gate: list[Gate] = Field([], description="what the model must have learnt for the claim to be testable")
    sides: Names = Field([], description="variants whose answers are compared, the better one first")
    reads: Reads = Field(description="what the effect is computed from")

    @property
    def above(self) -> bool:
        """Whether the statement says that the effect is above its bound."""
        return self.direction == "above"

    @property
    def exact(self) -> bool:
        """Whether a verdict needs an exact test in addition to the interval."""
        return self.test != "t"

    @property
    def corrected_with(self) -> str:
        """The family whose p-values are corrected together."""
        return self.family or self.id

    def of_paper(self, model: str, about: str) -> PaperValue | None:
        """The paper's value for one of its models (or for none) and a subject."""
        return next((one for one in self.paper if one.model in (None, model) and one.about in ("", about)), None)

    def smallest_of(self, model: str, about: str) -> float:
        """Smallest effect of interest, a distance from the bound.

        It is the stated one, or half of the paper's value for this model and subject. Otherwise it is half of the
        paper's smallest value for this model, or for all models.
        """
        if self.smallest is not None:
            return float(self.smallest)
        own = self.of_paper(model, about)
        of_model = [one for one in self.paper if one.model in (None, model)]
        values = [own] if own else of_model or self.paper
        return min(abs(one.value - self.bound) for one in values) / 2


def path_of(study: str) -> Path:
    """The registry of a study, which need not have one."""
    return STUDIES / study / FILE


def files() -> list[str]:
    """The registries of all studies, as seen from the project's folder."""
    return sorted(str(path.relative_to(STUDIES.parents[2])) for path in STUDIES.glob(f"*/{FILE}"))


def registry(studies: Iterable[Study]) -> dict[str, list[Claim]]:
    """The claims of some studies, in their order, by the name of the study.

    Raises:
        InputError: as `read`, or two studies have a claim of the same id.
    """
    found: dict[str, list[Claim]] = {}
    known: dict[str, Path] = {}
    for study in studies:
        path = path_of(study.name)
        measured = [name for effects in study.effects for name in effects.measures]
        claims = read(path, measured) if path.is_file() else []
        for claim in claims:
            if claim.id in known:
                raise InputError(f"{path}, claim '{claim.id}': {known[claim.id]} has the same id: choose another.")
            known[claim.id] = path
        if claims:
            found[study.name] = claims
    return found


def read(path: Path, measured: Sequence[str]) -> list[Claim]:
    """The claims of one file; `measured` are the effects that its study measures.

    Raises:
        InputError: the file is not a YAML list of claims, or with the problem of the first invalid claim.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read as YAML ({' '.join(str(error).split())}): fix it.") from error
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        raise InputError(f"{path} is not a list of claims: start each claim with `- id:`.")
    claims: list[Claim] = []
    for place, one in enumerate(content, start=1):
        claims.append(_claim(path, place, one, measured))
        if claims[-1].id in [claim.id for claim in claims[:-1]]:
            raise InputError(f"{path}, claim '{claims[-1].id}': the id appears twice: choose another.")
    return claims


def _claim(path: Path, place: int, given: Mapping[str, Any], measured: Sequence[str]) -> Claim:
    where = f"{path}, claim '{given['id']}'" if isinstance(given.get("id"), str) else f"{path}, claim {place}"
    try:
        claim = Claim.model_validate(dict(given))
    except ValidationError as error:
        raise InputError(f"{where}: {sentences(error, Claim)[0]}") from None
    if problem := next(_problems(claim, measured), None):
        raise InputError(f"{where}: {problem}")
    return claim


def _problems(claim: Claim, measured: Sequence[str]) -> Iterator[str]:
    """Problems of a claim beyond the types of its values, one sentence each."""
    if claim.effect not in measured:
        yield f"effect names '{claim.effect}', which its study does not measure{nearest(claim.effect, measured)}"
    if claim.paper and not claim.unit:
        yield "paper has a value, but the claim has no unit: add a unit, such as nats or accuracy."
    places = [(one.model, one.about) for one in claim.paper]
    if len(places) != len(set(places)):
        yield "paper has two values of the same model about the same: keep one of them."
    if claim.smallest is None and not claim.paper:
        yield (
            "smallest is missing, and the paper has no value to take half of: set smallest, and give the reason "
            "in `chosen`."
        )
    if claim.smallest is None and any(one.value == claim.bound for one in claim.paper):
        yield (
            "smallest is missing, and a value of the paper is at the bound: set smallest, and give the reason in "
            "`chosen`."
        )
    if (claim.smallest is None) != (claim.chosen is None):
        yield "smallest and chosen belong together: give the number and the reason, or neither."
    if {"readable", "above_chance"} & set(claim.gate) and not claim.sides:
        yield "gate asks for answers, but there are no sides: name the variants that are compared."
    if any((one.better is None) != (one.worse is None) for one in claim.paper):
        yield "paper has one of better and worse: give both numbers, or neither."
