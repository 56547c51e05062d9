"""The report's section on validity: do activation patterns say which heads matter?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from headpatterns.plotting.inputs import RunTable, read_table
from headpatterns.reporting.elements import Figure, Table, caption, estimate, figure
from headpatterns.validity import ABSOLUTE, ALL_HEADS, PHASES, REDUCTIONS, SIGNED, WITHIN_LAYERS

RUN = ("model", "task", "seed", "phase")
TEXT = (*RUN, "reduction", "change", "over")
BETWEEN_TEXT = (*RUN, "reduction_a", "reduction_b", "over")
CONTRAST_TEXT = (*RUN, "reduction", "change", "contrast")
INTERVAL = ("value", "low", "high")


@dataclass(frozen=True)
class Validity:
    """The section: sentences with its numbers, a picture, means by model, and how far the reductions agree.

    All of it but the picture is made from `files`.
    """

    anchor: str
    title: str
    findings: Sequence[str]
    figure: Figure
    table: Table
    between: Table
    files: Sequence[str]


def section(
    picture: Path, correlations: Path, between: Path, contrasts: Path, captions: Path, runs: RunTable
) -> Validity:
    """Gather the section from the figure and the CSV files of analyse_validity."""
    rows = read_table(correlations, TEXT, INTERVAL)
    areas = read_table(contrasts, CONTRAST_TEXT, (*INTERVAL, "exceeds"))
    agreement = read_table(between, BETWEEN_TEXT, INTERVAL)
    reduction = areas["reduction"].iloc[0]
    return Validity(
        anchor="validity",
        title="Do the patterns mean anything?",
        findings=findings(rows, areas, reduction),
        figure=figure(picture, captions),
        table=means(rows, areas, reduction, runs, captions),
        between=agreements(agreement, runs),
        files=[f"{path.parent.name}/{path.name}" for path in (correlations, contrasts, between)],
    )


def findings(rows: pd.DataFrame, areas: pd.DataFrame, reduction: str) -> list[str]:
    """What can be read from the tables, in sentences: of the patterns that the groups are chosen by, over all runs."""
    chosen = rows[(rows["reduction"] == reduction) & (rows["over"] == ALL_HEADS)]
    found, signed = (chosen[chosen["change"] == change] for change in (ABSOLUTE, SIGNED))
    sentences = []
    for phase in PHASES:
        of_phase = found[found["phase"] == phase]
        top = areas[(areas["phase"] == phase) & (areas["change"] == SIGNED) & (areas["contrast"] == "top_minus_random")]
        sentences.append(
            f"{phase.capitalize()} fine-tuning, the rank correlation between the pattern of a head ({reduction}) and "
            f"how much ablating it changes the loss, up or down, lies {ends(of_phase)}; its interval is above 0 in "
            f"{(of_phase['low'] > 0).sum()} of {counted(of_phase)}. With the mean change, up minus down, it lies "
            f"{ends(signed[signed['phase'] == phase])}. Ablating the heads with the largest patterns raises the loss "
            f"more than any of the random draws did in {(top['exceeds'] == 1).sum()} of {counted(top)}."
        )
    change = found[found["phase"] == "after_minus_before"]
    sentences.append(
        f"Fine-tuning raises the correlation, the whole interval of the difference above 0, in "
        f"{(change['low'] > 0).sum()} of {counted(change)}, and lowers it as clearly in {(change['high'] < 0).sum()}."
    )
    return sentences


def ends(rows: pd.DataFrame) -> str:
    """From which estimate to which the rows reach."""
    low, high = (f"{value:.2f}".replace("-", "−") for value in (rows["value"].min(), rows["value"].max()))
    return f"between {low} and {high}"


def counted(rows: pd.DataFrame) -> str:
    """How many runs there are."""
    return f"{len(rows)} run" if len(rows) == 1 else f"{len(rows)} runs"


def means(rows: pd.DataFrame, areas: pd.DataFrame, reduction: str, runs: RunTable, captions: Path) -> Table:
    """A row for each model and phase: means over tasks and seeds of estimates and of the ends of their intervals."""
    of_rows = mean(rows, ["model", "phase", "reduction", "change", "over"])
    of_areas = mean(areas, ["model", "phase", "change", "contrast"])
    kinds = [
        *((name, ABSOLUTE, ALL_HEADS) for name in REDUCTIONS),
        (reduction, ABSOLUTE, WITHIN_LAYERS),
        (reduction, SIGNED, ALL_HEADS),
    ]
    contrasts = [(SIGNED, "top_minus_random"), (SIGNED, "random_minus_bottom"), (ABSOLUTE, "top_minus_random")]
    cells = [
        [
            runs.model_label(model),
            phase,
            *(estimate(*of_rows.loc[(model, phase, *kind)]) for kind in kinds),
            *(estimate(*of_areas.loc[(model, phase, *contrast)]) for contrast in contrasts),
        ]
        for model in runs.order("model", rows["model"], "validity.csv")
        for phase in PHASES
    ]
    header = ["Model", "State", *REDUCTIONS, f"{reduction}, within layers", f"{reduction}, signed change",
              "largest − random", "random − smallest", "largest − random, absolute"]  # fmt: skip
    numeric = [False, False] + [True] * (len(header) - 2)
    text = caption(captions / "validity_table.rst")
    return Table("validity-by-model", "By model", header, cells, numeric, caption=text)


def agreements(rows: pd.DataFrame, runs: RunTable) -> Table:
    """A row for each model and phase: the mean rank correlations between the patterns of every two reductions."""
    averaged = mean(rows[rows["over"] == ALL_HEADS], ["model", "phase", "reduction_a", "reduction_b"])
    pairs = list(dict.fromkeys(zip(rows["reduction_a"], rows["reduction_b"], strict=True)))
    cells = [
        [runs.model_label(model), phase, *(estimate(*averaged.loc[(model, phase, *pair)]) for pair in pairs)]
        for model in runs.order("model", rows["model"], "validity_between.csv")
        for phase in PHASES
    ]
    header = ["Model", "State", *(f"{a} and {b}" for a, b in pairs)]
    return Table("reductions", "Agreement of the reductions", header, cells, [False] * 2 + [True] * len(pairs))


def mean(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Means of estimates and of the ends of their intervals by `keys`, sorted; NaN where one of them is undefined."""
    return rows.groupby(keys)[list(INTERVAL)].agg(lambda values: values.mean(skipna=False))
