"""Effects as the claims use them, read from the tables of the studies."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from headpatterns.errors import InputError
from headpatterns.io import read_csv
from headpatterns.statistics.effects import Component, Effect
from headpatterns.studies.effects import COLUMNS, Measured, rows


class Found(NamedTuple):
    """An effect of one model.

    Attributes:
        name, model, about, effect: as in `Measured`.
        varies: the sources with their shares of the variance, such as `seeds 0.61; samples 0.39`.
    """

    name: str
    model: str
    about: str
    effect: Effect
    varies: str


def read(path: Path) -> list[Found]:
    """The effects of a table `{name}_effects.csv`.

    Raises:
        InputError: it lacks a column, has a word instead of a number, or has an effect twice.
    """
    found: list[Found] = []
    for number, row in enumerate(read_csv(path, COLUMNS), start=1):
        try:
            found.append(_found(row))
        except ValueError as error:
            raise InputError(f"{path}, row {number} cannot be read ({error}): remove the file and run again.") from None
        if found[-1][:3] in [one[:3] for one in found[:-1]]:
            raise InputError(
                f"{path}, row {number}: the effect {row['effect']} of {row['model']} appears twice: remove the "
                "file and run again."
            )
    return found


def of(measured: Iterable[Measured]) -> list[Found]:
    """Effects that were just measured, in the same form as from their table."""
    return [_found(dict(zip(COLUMNS, row, strict=True))) for row in rows(measured)]


def _found(row: Mapping[str, Any]) -> Found:
    estimate, plain = float(row["estimate"]), float(row["plain"])
    exact = {name: float(row[name]) for name in ("p_above", "p_below", "p_least", "exact_bound")}
    limits = float(row["lowest"]), float(row["highest"])
    words = [part.split() for part in row["components"].split(";") if part.strip()]
    components = tuple(Component(source, float(variance), float(df)) for source, variance, df in words)
    effect = Effect(estimate, plain, components, **exact, limits=limits)
    return Found(row["effect"], row["model"], row["about"], effect, row["varies"])
