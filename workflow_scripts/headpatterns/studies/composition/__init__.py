"""Whether the change of a complex task is a sum of the changes of basic ones (Figure 4)."""

from typing import TYPE_CHECKING, Any

from headpatterns.experiment.study import Analysis, Claims, Drawing, Study
from headpatterns.studies.composition import settings
from headpatterns.studies.descriptions import bootstrap, patterns, run_table, tables

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment


def regression(experiment: "Experiment") -> dict[str, Any]:
    """The settings of the bootstrap, the null and the fit."""
    analysis = experiment.config.analysis
    return {**bootstrap(experiment), "permutations": analysis.permutations, "intercept": analysis.intercept}


STUDY = Study(
    name=settings.NAME,
    place=20,
    settings=settings.Settings,
    runs=settings.runs,
    names=settings.names,
    reads_steps=True,
    analyses=(
        Analysis(
            name="composition",
            compute="headpatterns.studies.composition.analysis:compute",
            inputs=run_table(),
            outputs={
                "composition": "composition",
                "coefficients": "composition_coefficients",
                "by_model": "composition_by_model",
            },
            settings=regression,
            needs=patterns(settings.runs),
        ),
    ),
    drawings=(
        Drawing(
            name="figure4",
            draw="headpatterns.studies.composition.figure4:figures",
            inputs=run_table(composition="composition"),
            figures=("figure4",),
        ),
    ),
    claims=(
        Claims(
            judge="headpatterns.studies.composition.claims:composition_claims",
            inputs=tables(composition="composition", by_model="composition_by_model"),
            settings=lambda experiment: {"expected_pairs": settings.expected_pairs(experiment)},
        ),
    ),
    targets={"figure4": ("figure4",)},
)
