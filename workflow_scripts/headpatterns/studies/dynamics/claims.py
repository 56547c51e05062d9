"""What the paper says of Figure 5, held against the numbers of the analysis."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from headpatterns.errors import InputError
from headpatterns.io import read_csv
from headpatterns.studies.claims import Claim, Interval, interval_of, judged

# "The first steps" of Figure 5: this share of the training steps, in which more than half of the change must happen.
FIRST_STEPS = 0.25


def dynamics_claims(dynamics: Path, changes_most: str | None = None) -> list[Claim]:
    """Figure 5: most of the change happens in the first steps, and one model changes most, from dynamics.csv.

    Change is `1 - correlation` with the base model, the mean over tasks and seeds. Its value at a quarter of the steps
    is interpolated between saved steps; the ends of its interval are those of the saved steps on either side, so that
    few saved steps leave the statement undecided rather than refute it.

    Raises:
        InputError: `changes_most` is not a model of the table.
    """
    runs: dict[str, dict[tuple[str, str], list[tuple[float, ...]]]] = {}
    for row in read_csv(dynamics, ("model", "task", "seed", "step", "statistic", "value", "low", "high")):
        if row["statistic"] == "correlation":
            value, low, high = interval_of(row)
            curve = runs.setdefault(row["model"], {}).setdefault((row["task"], row["seed"]), [])
            curve.append((float(row["step"]), 1 - value, 1 - high, 1 - low))
    claims: list[Claim] = []
    finals: dict[str, Interval] = {}
    for model, curves in runs.items():
        early = np.mean([_change_at(curve, FIRST_STEPS) for curve in curves.values()], axis=0)
        final = np.mean([_change_at(curve, 1.0) for curve in curves.values()], axis=0)
        finals[model] = tuple(final)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = (early[0] / final[0], early[1] / final[2], early[2] / final[1])
        statement = "More than half of the change (1 - correlation) happens in the first quarter of the steps."
        claims.append(judged("steep_first_steps", "Figure 5", statement, model, share, bound=0.5, above=True))
    if changes_most is not None:
        claims += _changes_most(finals, changes_most)
    return claims


def _change_at(curve: Sequence[tuple[float, ...]], share: float) -> list[float]:
    """Change at a share of all steps, its lower end at the saved step before and its upper end at the one after."""
    steps, values, lows, highs = np.array(sorted(curve)).T
    place = share * steps[-1]
    before, after = np.searchsorted(steps, place, side="right") - 1, np.searchsorted(steps, place, side="left")
    return [float(np.interp(place, steps, values)), float(lows[before]), float(highs[after])]


def _changes_most(finals: Mapping[str, Interval], model: str) -> list[Claim]:
    if model not in finals:
        raise InputError(
            f"studies.dynamics.changes_most is {model}: no such model in the dynamics table, which has "
            f"{', '.join(finals)}."
        )
    others = [final for name, final in finals.items() if name != model]
    if not others:
        return []
    own = finals[model]
    largest = np.max(others, axis=0)
    margin = (own[0] - largest[0], own[1] - largest[2], own[2] - largest[1])
    statement = "This model's patterns change most in the end (1 - correlation minus the largest of the other models)."
    return [judged("changes_most", "Figure 5", statement, model, margin, bound=0, above=True)]
