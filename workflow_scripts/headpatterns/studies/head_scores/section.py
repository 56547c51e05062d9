"""The report's section on scores of heads: which score best shows which heads matter?"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from headpatterns.attribution import scores as registry
from headpatterns.presentation import style
from headpatterns.presentation.elements import figure, grid_tables, plain_table
from headpatterns.presentation.inputs import read_table
from headpatterns.presentation.results import Results
from headpatterns.presentation.sections import Section, render
from headpatterns.studies.head_scores import doses
from headpatterns.studies.head_scores.measures import MOVED, SPEARMAN
from headpatterns.studies.head_scores.table import COLUMNS, NUMBERS, grids
from headpatterns.studies.validity.measures import ABSOLUTE, ALL, DIFFERENCE

HERE = Path(__file__).parent
EFFECTS = (*("model", "task", "seed", "phase", "ablation", "change"),)
EFFECT_NUMBERS = ("reliability", "ceiling")
FILES = ("head_scores", "head_effects", "dose_response")
BOTH = {"after": ABSOLUTE, DIFFERENCE: MOVED}
WORDS = {"after": "after fine-tuning", DIFFERENCE: "for its change by fine-tuning"}


def section(results: Results) -> list[Section]:
    """The section, rendered.

    Raises:
        InputError: a file is missing or faulty.
    """
    path = results.table("head_scores")
    text = [name for name in COLUMNS if name not in NUMBERS]
    rows = read_table(path, text, NUMBERS)
    effects = read_table(results.analysis("head_effects"), EFFECTS, EFFECT_NUMBERS)
    response = read_table(results.analysis("dose_response"), doses.COLUMNS[:6], doses.COLUMNS[6:], may_be_empty=True)
    shown = grids(rows)
    tables = grid_tables(shown, path, HERE, [""] * len(shown))
    body = render(
        "section.html.j2",
        __package__,
        findings=[*best(rows, effects), *foretold(response, rows), *without(rows)],
        figure=figure(results.figure("figure_head_scores"), HERE, "Scores of heads and ablations"),
        tables=[replace(table, title=one.title) for table, one in zip(tables, shown, strict=True)],
        every=[plain_table(results.analysis(name), f"every-{name}", f"Every row of {name}.csv")
               for name in FILES[1:]],
        files=[f"analysis/{name}.csv" for name in FILES],
    )  # fmt: skip
    return [Section("head-scores", "Which score says which heads matter?", body)]


def best(rows: pd.DataFrame, effects: pd.DataFrame) -> Iterator[str]:
    """For each model and ablation, the score with the largest correlation, and the noise ceiling."""
    shown = rows[rows["measure"] == SPEARMAN]
    for (model, label), of_model in shown.groupby(["model", "model_label"], sort=False):
        for phase, way in BOTH.items():
            parts = []
            for ablation, own in of_model[(of_model["phase"] == phase) & (of_model["change"] == way)].groupby(
                "ablation", sort=False
            ):
                known = own[own["value"].notna()]
                if known.empty:
                    continue
                first = known.sort_values("value").iloc[-1]
                ceiling = effects[
                    (effects["model"] == model) & (effects["task"] == ALL) & (effects["phase"] == phase)
                    & (effects["ablation"] == ablation) & (effects["change"] == way)
                ]["ceiling"].iloc[0]  # fmt: skip
                limit = f", ceiling {ceiling:.2f}" if np.isfinite(ceiling) else ""
                parts.append(f"{first['score_label']} with {ablation} ablation ({style.fixed(first['value'])}{limit})")
            if parts:
                yield f"{label}, {WORDS[phase]}: the score with the largest rank correlation is {'; '.join(parts)}."


def foretold(response: pd.DataFrame, rows: pd.DataFrame) -> Iterator[str]:
    """How well the slope at full dose predicts the loss without a head."""
    labels = dict(zip(rows["model"], rows["model_label"], strict=True))
    found = response[(response["task"] == ALL) & (response["phase"] == "after") & (response["measure"] == "r2")]
    for model, own in found.groupby("model", sort=False):
        by_dose = own.set_index("dose")["value"]
        parts = [f"{style.fixed(value)} at dose {dose}" for dose, value in by_dose.items()]
        yield (
            f"{labels[str(model)]}, after fine-tuning: of the differences between heads in the change of the loss, the "
            f"slope at full dose explains (R²) {', '.join(parts)}."
        )


def without(rows: pd.DataFrame) -> Iterator[str]:
    """Scores that are missing for a model because some of its runs lack them."""
    for label, own in rows.groupby("model_label", sort=False):
        missing = [name for name in registry.names() if name not in set(own["score"])]
        if missing:
            yield (
                f"{label} has no {', '.join(missing)} here: either the config leaves it out, or a run lacks it, "
                "and the files of its ablations say why."
            )
