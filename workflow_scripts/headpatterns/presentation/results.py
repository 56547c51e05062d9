"""The results folder of an experiment, as the report reads it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from headpatterns.presentation.inputs import RunTable, read_run_table


@dataclass(frozen=True)
class Results:
    """The files of an experiment, and labels of its models and tasks.

    Attributes:
        folder: results/{experiment}.
        labels: labels of models and tasks that are not in the run table.
    """

    folder: Path
    labels: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def runs(self) -> RunTable:
        """The run table.

        Raises:
            InputError: it cannot be used.
        """
        return read_run_table(self.folder / "runs.csv", self.labels)

    def analysis(self, name: str) -> Path:
        """A CSV of numbers, by its name without suffix."""
        return self.folder / "analysis" / f"{name}.csv"

    def table(self, stem: str) -> Path:
        """The CSV of a table for readers."""
        return self.folder / "tables" / f"{stem}.csv"

    def figure(self, stem: str) -> Path:
        """The SVG of a figure."""
        return self.folder / "figures" / f"{stem}.svg"

    def mixture(self, model: str, seed: str, file: str) -> Path:
        """A file about the mixtures of a model and training seed."""
        return self.folder / "mixtures" / model / f"seed{seed}" / file
