"""Rows of runs.csv and variants.csv, from the config."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headpatterns.experiment import run_table, variants
from headpatterns.experiment.runs import Run
from headpatterns.io import write_csv

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment


def run_rows(experiment: "Experiment") -> list[dict[str, Any]]:
    """Rows of runs.csv: the runs of every study that reads patterns through it, in display order.

    A run that was trained elsewhere has a row for each of its probe sets.
    """
    config = experiment.config
    return [
        {
            "study": study.name,
            "group": run.group,
            "model": run.model,
            "model_label": config.models[run.model].label,
            "task": task,
            "task_label": config.datasets[task].label,
            "family": config.datasets[task].family,
            "role": _role(experiment, run),
            "seed": run.seed,
            "run": run.name,
            "patterns": experiment.paths.patterns(run, task),
        }
        for study in experiment.studies
        if study.in_run_table
        for run in study.runs(experiment)
        for task in ((run.task,) if run.is_trained else run.training_set.probe_sets)
    ]


def _role(experiment: "Experiment", run: Run) -> str:
    """The role of a run's task in its group; empty for a run that was trained elsewhere."""
    if not run.is_trained:
        return ""
    return "complex" if experiment.config.task_groups[run.group].complex == run.task else "basic"


def variant_row(
    experiment: "Experiment", study: str, model: str, seed: int, variant: str, run: Run | str, items: str,
    draw: int | None = None, budget: int | None = None, domain: str = "",
) -> dict[str, Any]:  # fmt: skip
    """A row of variants.csv: a run (or `base`) on an evaluation set, and its place in a study."""
    config = experiment.config
    return {
        "study": study,
        "model": model,
        "model_label": config.models[model].label,
        "seed": seed,
        "variant": variant,
        "draw": "" if draw is None else draw,
        "budget": "" if budget is None else budget,
        "domain": domain,
        "domain_label": config.domains[domain].label if domain else "",
        "run": run if isinstance(run, str) else run.name,
        "set": items,
    }


def write_run_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write runs.csv."""
    write_csv(path, run_table.COLUMNS, [[row[column] for column in run_table.COLUMNS] for row in rows])


def write_variant_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write variants.csv."""
    write_csv(path, variants.COLUMNS, [[row[column] for column in variants.COLUMNS] for row in rows])
