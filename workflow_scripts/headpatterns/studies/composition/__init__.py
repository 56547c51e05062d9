"""Whether the change of a complex task is a sum of the changes of basic ones (Figure 4)."""

from typing import TYPE_CHECKING, Any

from headpatterns.experiment.study import Analysis, Drawing, Effects, Study, View
from headpatterns.studies.composition import settings
from headpatterns.studies.descriptions import bootstrap, patterns, reading, run_table
from headpatterns.studies.reading import FIELDS

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment


def regression(experiment: "Experiment") -> dict[str, Any]:
    """The settings of the bootstrap and the null, and how patterns are read."""
    permutations = experiment.config.analysis.permutations
    return {**bootstrap(experiment), "permutations": permutations, "reading": reading(experiment)}


def pairs(experiment: "Experiment") -> dict[str, Any]:
    """The settings of the bootstrap, and the pair of each task group that the paper names."""
    return {**bootstrap(experiment), "expected_pairs": settings.expected_pairs(experiment)}


STUDY = Study(
    name=settings.NAME,
    place=20,
    settings=settings.Settings,
    selected=settings.selected,
    runs=settings.runs,
    names=settings.names,
    reads_patterns=True,
    analyses=(
        Analysis(
            name="composition",
            compute="headpatterns.studies.composition.analysis:compute",
            inputs=run_table(),
            outputs={
                "composition": "composition",
                "coefficients": "composition_coefficients",
                "by_model": "composition_by_model",
                "controls": "composition_controls",
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
    effects=(
        Effects(
            name="composition",
            measure="headpatterns.studies.composition.effects:measure",
            inputs=run_table(),
            settings=pairs,
            needs=patterns(settings.runs),
            read=FIELDS,
            measures=settings.EFFECTS,
        ),
    ),
    section="headpatterns.studies.composition.section:section",
    views=(
        View(
            name="sums",
            show="headpatterns.studies.composition.view:show",
            inputs=run_table(composition="composition", coefficients="composition_coefficients"),
        ),
    ),
    targets={"figure4": ("figure4",)},
)
