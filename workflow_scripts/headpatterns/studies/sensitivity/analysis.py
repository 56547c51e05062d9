"""The verdict on each claim about patterns under every way to read them.

A way is a combination of the reduction of Eq. 2, the divisor of levels, how samples are averaged, the change that Eq. 3
regresses, and whether Eq. 3 has an intercept. Only the choices that an effect depends on are combined for it.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, get_args

from headpatterns.claims import competence as competences
from headpatterns.claims import judging, measured
from headpatterns.claims.judging import Judged
from headpatterns.claims.registry import Claim, registry
from headpatterns.experiment.fields import Change, Normalisation, Weighting
from headpatterns.experiment.study import Effects, Study
from headpatterns.studies import commands, load_studies
from headpatterns.studies.memory import remembering
from headpatterns.studies.reading import FIELDS
from headpatterns.studies.table import Table

COLUMNS = ("claim", "model", "about", *FIELDS, "estimate", "low", "high", "verdict", "usual")
SUMMARY_COLUMNS = ("claim", "model", "about", "verdict", "ways", "alike")
CHOICES: dict[str, tuple[Any, ...]] = {
    "normalisation": get_args(Normalisation),
    "weighting": get_args(Weighting),
    "change": get_args(Change),
    "intercept": (False, True),
}


def compute(
    competence: Path,
    effects: Sequence[Mapping[str, Any]],
    usual: Mapping[str, Any],
    reductions: Sequence[str],
    stands_for: Mapping[str, str],
    resamples: int,
    models: Sequence[str] | None = None,
) -> dict[str, Table]:
    """Measure and judge in every way.

    Args:
        competence: competence.csv of the usual way, used for all ways.
        effects: the name, inputs and settings of each group of effects that reads patterns.
        usual: the fields of the config's own `Reading`.
        reductions: the extracted reductions.
        stands_for: the paper's model by the name of a model here.
        resamples: bootstrap replicates of each way, instead of the number in the settings.
        models: models whose verdicts are kept; None keeps all. Comparisons of models are always kept.

    Returns:
        `verdicts`: one row for each number and way; choices that an effect does not depend on are empty. `summary`: for
        each number, the verdict of the usual way and how many ways agree with it.

    Raises:
        InputError: a pattern cannot be read in some way, or as the measurements.
    """
    able = competences.read(competence)
    rows: list[tuple[Any, ...]] = []
    with remembering():
        for one in effects:
            settings = {**one["settings"], "resamples": resamples}
            study, part = described(one["name"])
            claims = {study.name: [claim for claim in of_study(study) if claim.effect in part.measures]}
            for way in ways(part.read, usual, reductions):
                found = measured.of(commands.measured(part, one["inputs"], settings, {**usual, **way}))
                judged, _ = judging.judge(claims, {study.name: found}, able, stands_for)
                kept = [line for line in judged if models is None or line.found.model in ("", *models)]
                rows += [row(line, way, all(usual[name] == value for name, value in way.items())) for line in kept]
    return {"verdicts": Table(COLUMNS, rows), "summary": Table(SUMMARY_COLUMNS, summary(rows))}


def described(name: str) -> tuple[Study, Effects]:
    """The description of effects, and the study that it belongs to."""
    found = {part.name: (study, part) for study in load_studies() for part in study.effects}
    commands.find(name, "effects", [part for _, part in found.values()])
    return found[name]


def of_study(study: Study) -> list[Claim]:
    """The claims of one study."""
    return registry([study]).get(study.name, [])


def ways(read: Sequence[str], usual: Mapping[str, Any], reductions: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Every combination of the fields that matter; values of the usual way come first in each field."""
    choices = {"reduction": tuple(reductions), **CHOICES}
    ordered = [sorted(choices[name], key=lambda value, name=name: value != usual[name]) for name in read]  # type: ignore[misc]
    for values in product(*ordered):
        yield dict(zip(read, values, strict=True))


def row(judged: Judged, way: Mapping[str, Any], is_usual: bool) -> tuple[Any, ...]:
    """A row of `COLUMNS`."""
    _, model, about, effect, _ = judged.found
    fields = [written(way[name]) if name in way else "" for name in FIELDS]
    return (judged.claim.id, model, about, *fields, effect.estimate, *effect.interval(), judged.verdict, int(is_usual))


def written(value: Any) -> str:
    """A value as the config has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def summary(rows: Sequence[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Rows of `SUMMARY_COLUMNS`; no row for a number that the usual way does not have."""
    verdicts: dict[tuple[Any, ...], list[tuple[str, int]]] = {}
    for one in rows:
        verdicts.setdefault(one[:3], []).append(one[-2:])
    for key, found in verdicts.items():
        for usual in [verdict for verdict, is_usual in found if is_usual]:
            yield (*key, usual, len(found), sum(verdict == usual for verdict, _ in found))
