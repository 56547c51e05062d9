"""Whether a mixture of basic tasks prepares a model for a complex one (Table 2)."""

from typing import TYPE_CHECKING, Any

from headpatterns.experiment.study import Analysis, Claims, Drawing, Paths, Study, Tabulation
from headpatterns.studies.descriptions import bootstrap, tables, variants
from headpatterns.studies.mixing import settings

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment


def evaluations(experiment: "Experiment") -> Paths:
    """The variants, every answer that was evaluated, and the coefficients behind the mixtures."""
    return {
        "variants": experiment.paths.variants,
        "items": experiment.predictions(settings.NAME),
        "coefficients": [
            experiment.paths.mixture(model, seed, "coefficients.csv")
            for model in experiment.settings(settings.NAME).models
            for seed in experiment.config.seeds
        ],
    }


def labels(experiment: "Experiment") -> dict[str, Any]:
    """What the candidates are called."""
    datasets = experiment.config.datasets
    return {"labels": {task: datasets[task].label for task in settings.candidates(experiment)}}


STUDY = Study(
    name=settings.NAME,
    place=50,
    settings=settings.Settings,
    selected=settings.selected,
    runs=settings.runs,
    names=settings.names,
    problems=settings.problems,
    variants=settings.variants,
    evaluation_sets=settings.evaluation_sets,
    analyses=(
        Analysis(
            name="mixing",
            compute="headpatterns.studies.mixing.analysis:compute",
            inputs=evaluations,
            outputs={"accuracy": "mixing", "differences": "mixing_differences", "mixture": "mixture"},
            settings=bootstrap,
        ),
    ),
    drawings=(
        Drawing(
            name="mixture",
            draw="headpatterns.studies.mixing.figure:figures",
            inputs=variants(coefficients="mixture"),
            figures=("mixture",),
            settings=labels,
            in_report=False,
        ),
    ),
    tables=(
        Tabulation(
            name="table2",
            tabulate="headpatterns.studies.mixing.table2:tabulate",
            inputs=variants(mixing="mixing"),
        ),
    ),
    claims=(
        Claims(
            judge="headpatterns.studies.mixing.claims:mixing_claims",
            inputs=tables(differences="mixing_differences"),
        ),
    ),
    section="headpatterns.studies.mixing.section:section",
    targets={"table2": ("table2", "mixture")},
)
