"""The chains of the study for figures and report, from the tables of its analysis."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from headpatterns.presentation.inputs import read_table
from headpatterns.studies.checkpoints.analysis import (
    COLUMNS,
    HEAD_COLUMNS,
    LAYER_COLUMNS,
    NUMBERS,
    SIMILARITY_COLUMNS,
    STAGE_COLUMNS,
)

PLACES = ("layer", "head")


@dataclass(frozen=True)
class Chain:
    """A chain in display order.

    Attributes:
        name: its key.
        label: its label.
        stages: label of each stage, by its name, with the base first.
    """

    name: str
    label: str
    stages: dict[str, str]

    @property
    def changes(self) -> dict[str, str]:
        """The stage before each, by the name of the stage."""
        names = list(self.stages)
        return dict(zip(names[1:], names[:-1], strict=True))


def read_chains(path: Path) -> list[Chain]:
    """The chains, from analysis/checkpoints_stages.csv.

    Raises:
        InputError: it cannot be used.
    """
    rows = read_table(path, STAGE_COLUMNS)
    return [
        Chain(
            str(name), str(found["chain_label"].iloc[0]), dict(zip(found["stage"], found["stage_label"], strict=True))
        )
        for name, found in rows.groupby("chain", sort=False)
    ]


def read_numbers(path: Path) -> pd.DataFrame:
    """One of the other tables of the analysis, with its columns of numbers as numbers.

    Raises:
        InputError: it cannot be used.
    """
    columns = {
        "checkpoints": COLUMNS,
        "checkpoints_patterns": HEAD_COLUMNS,
        "checkpoints_layers": LAYER_COLUMNS,
        "checkpoints_similarity": SIMILARITY_COLUMNS,
    }[path.stem]
    text = [name for name in columns if name not in (*NUMBERS, *PLACES)]
    # A single probe set has no similarity to others.
    return read_table(path, text, [name for name in columns if name not in text], path.stem.endswith("similarity"))
