"""Changes of a model's patterns by fine-tuning: their spread over the heads, and the similarity of tasks."""

from typing import TYPE_CHECKING, Any

from headpatterns.experiment.study import Analysis, Drawing, Effects, Study, Tabulation, View
from headpatterns.studies.adaptation import settings
from headpatterns.studies.descriptions import bootstrap, patterns, resampled, run_table
from headpatterns.studies.dynamics import settings as dynamics
from headpatterns.studies.reading import OF_PATTERNS
from headpatterns.studies.validity import settings as validity

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment


def of_models(experiment: "Experiment") -> dict[str, Any]:
    """The settings of the bootstrap, and the definition of the value of a model."""
    return {**bootstrap(experiment), "model_value": experiment.config.analysis.model_value}


def heads(experiment: "Experiment") -> dict[str, Any]:
    """The run table, and the folders of the ablations of single heads; none if that study is left out."""
    folders = [experiment.paths.ablations(run) for run in validity.runs(experiment)]
    return {"runs": experiment.paths.run_table, "ablations": folders}


def of_heads(experiment: "Experiment") -> dict[str, Any]:
    """The studies whose patterns are shown, and the model, task and seed of each folder of ablations."""
    studies = [settings.NAME, *([dynamics.NAME] if dynamics.runs(experiment) else [])]
    ablated = [[run.model, run.task, run.seed] for run in validity.runs(experiment)]
    return {"studies": studies, "ablated_runs": ablated}


STUDY = Study(
    name=settings.NAME,
    place=10,
    settings=settings.Settings,
    selected=lambda experiment: bool(settings.runs(experiment)),
    runs=settings.runs,
    names=settings.names,
    reads_patterns=True,
    analyses=(
        Analysis(
            name="distribution",
            compute="headpatterns.studies.adaptation.distribution:compute",
            inputs=run_table(),
            outputs={"patterns": "patterns", "distribution": "distribution", "by_model": "distribution_by_model"},
            settings=lambda experiment: {**resampled(experiment), **of_models(experiment)},
            needs=patterns(settings.runs),
        ),
        Analysis(
            name="similarity",
            compute="headpatterns.studies.adaptation.similarity:compute",
            inputs=run_table(),
            outputs={"similarity": "similarity", "summary": "similarity_summary"},
            settings=resampled,
            needs=patterns(settings.runs),
        ),
    ),
    drawings=(
        Drawing(
            name="figure1",
            draw="headpatterns.studies.adaptation.figure1:figures",
            inputs=run_table(patterns="patterns"),
            figures=("figure1",),
        ),
        Drawing(
            name="figure2",
            draw="headpatterns.studies.adaptation.figure2:figures",
            inputs=run_table(similarity="similarity", summary="similarity_summary"),
            figures=("figure2", "figure2_clustered", "figure2_rates"),
        ),
    ),
    tables=(
        Tabulation(
            name="table1",
            tabulate="headpatterns.studies.adaptation.table1:tabulate",
            inputs=run_table(distribution="distribution", by_model="distribution_by_model"),
        ),
    ),
    effects=(
        Effects(
            name="adaptation",
            measure="headpatterns.studies.adaptation.effects:measure",
            inputs=run_table(),
            settings=of_models,
            needs=patterns(settings.runs),
            read=OF_PATTERNS,
            measures=(
                "level_change",
                "heads_rising",
                "active_heads_change",
                "gini_before",
                "cv_before",
                "kurtosis_before",
                "kurtosis_after",
                "gini_change",
                "cv_change",
                "kurtosis_change",
                "loss_fall",
                "correlation_change",
                "pairs_falling",
                "clusters_before",
                "clusters_after",
                "clusters_rates",
            ),
        ),
    ),
    section="headpatterns.studies.adaptation.section:section",
    views=(
        View(
            name="heads",
            show="headpatterns.studies.adaptation.view_heads:show",
            inputs=heads,
            settings=of_heads,
            needs=patterns(lambda experiment: [*settings.runs(experiment), *dynamics.runs(experiment)]),
        ),
        View(
            name="tasks",
            show="headpatterns.studies.adaptation.view_similarity:show",
            inputs=run_table(similarity="similarity"),
        ),
    ),
    targets={"table1": ("table1",), "figure1": ("figure1",), "figure2": ("figure2",)},
)
