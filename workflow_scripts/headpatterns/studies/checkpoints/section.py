"""The report's section on chains of checkpoints: their statistics stage by stage, figures, and ablations."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from headpatterns.presentation.elements import Table, caption, estimate, figure
from headpatterns.presentation.inputs import read_table
from headpatterns.presentation.results import Results
from headpatterns.presentation.sections import Section, render
from headpatterns.studies.checkpoints.analysis import ALL
from headpatterns.studies.checkpoints.chains import Chain, read_chains, read_numbers
from headpatterns.studies.validity.analysis import COLUMNS as VALIDITY_COLUMNS
from headpatterns.studies.validity.measures import ABSOLUTE, ALL_HEADS

HERE = Path(__file__).parent
INTERVAL = ("value", "low", "high")
FIGURES = {
    "checkpoints_stages": "Stages",
    "checkpoints_heads": "Heads",
    "checkpoints_layers": "Layers",
    "checkpoints_similarity": "Tasks",
}
AT_STAGE = {
    "loss": "Loss",
    "level": "Mean level",
    "gini": "Gini",
    "cv": "CV",
    "kurtosis": "Kurtosis",
    "coherence": "Coherence",
    "similarity_levels": "r between tasks",
}
OF_CHANGE = {
    "pearson": "r with it",
    "spearman": "ρ with it",
    "rising": "Heads that rise",
    "level": "Change of the level",
    "gini": "Change of Gini",
    "kurtosis": "Change of kurtosis",
    "loss": "Change of the loss",
}


def section(results: Results) -> list[Section]:
    """The section: statistics of each stage and change, and how well patterns predict effects of ablations.

    Raises:
        InputError: a file is missing or faulty.
    """
    chains = read_chains(results.analysis("checkpoints_stages"))
    rows = read_numbers(results.analysis("checkpoints"))
    means = rows[rows["task"] == ALL].set_index(["chain", "stage", "since", "statistic"])
    tables = [at_stages(chains, means), changes(chains, means)]
    if (ablated := ablations(results.analysis("checkpoints_validity"), chains)).rows:
        tables.append(ablated)
    pictures = [figure(results.figure(name), HERE, title) for name, title in FIGURES.items()]
    files = [f"analysis/{name}.csv" for name in ("checkpoints", "checkpoints_patterns", "checkpoints_layers",
                                                 "checkpoints_similarity", "checkpoints_validity")]  # fmt: skip
    body = render("section.html.j2", __package__, tables=tables, pictures=pictures, files=files)
    return [Section("checkpoints", "Chains of checkpoints", body)]


def at_stages(chains: Sequence[Chain], means: pd.DataFrame) -> Table:
    """One row per stage, the mean over tasks."""
    cells = [
        [chain.label, label, *values(means, (chain.name, stage, ""), AT_STAGE)]
        for chain in chains
        for stage, label in chain.stages.items()
    ]
    return _table("checkpoints-stages", "At each stage", ["Chain", "Stage", *AT_STAGE.values()], cells, 2)


def changes(chains: Sequence[Chain], means: pd.DataFrame) -> Table:
    """One row per stage and comparison: with the stage before, and with the base if that is another stage."""
    cells = []
    for chain in chains:
        base = next(iter(chain.stages))
        for stage, before in chain.changes.items():
            for since in dict.fromkeys((before, base)):
                found = values(means, (chain.name, stage, since), OF_CHANGE)
                cells.append([chain.label, chain.stages[stage], chain.stages[since], *found])
    return _table("checkpoints-changes", "What changes", ["Chain", "Stage", "Since", *OF_CHANGE.values()], cells, 3)


def values(means: pd.DataFrame, place: tuple[str, str, str], statistics: Mapping[str, str]) -> list[str]:
    """Estimates of statistics at a place; a dash if there is none."""
    keys = [(*place, name) for name in statistics]
    return [estimate(*means.loc[key, list(INTERVAL)]) if key in means.index else "–" for key in keys]


def ablations(path: Path, chains: Sequence[Chain]) -> Table:
    """One row per chain: rank correlation of patterns with effects of ablations, at the base and at the end."""
    text = [name for name in VALIDITY_COLUMNS if name not in (*INTERVAL, "plain")]
    rows = read_table(path, text, INTERVAL, may_be_empty=True)
    rows = rows[(rows["task"] == ALL) & (rows["change"] == ABSOLUTE) & (rows["over"] == ALL_HEADS)]
    cells = []
    for chain in chains:
        for reduction, found in rows[rows["model"] == chain.name].groupby("reduction", sort=False):
            by_phase = found.set_index("phase")[list(INTERVAL)]
            cells.append([chain.label, str(reduction), *(estimate(*by_phase.loc[phase]) for phase in by_phase.index)])
    header = ["Chain", "Pattern", "Base", "Last stage", "Difference"]
    return _table("checkpoints-validity", "Patterns and ablations", header, cells, 2)


def _table(name: str, title: str, header: list[str], rows: list[list[str]], texts: int) -> Table:
    numeric = [False] * texts + [True] * (len(header) - texts)
    return Table(name, title, header, rows, numeric, caption=caption(HERE / f"{name.replace('-', '_')}_table.rst"))
