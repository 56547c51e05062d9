"""Which score best shows which heads matter: scores of heads against the effects of different ablations."""

from typing import TYPE_CHECKING, Any

from headpatterns.experiment.study import Analysis, Drawing, Effects, Paths, Study, Tabulation
from headpatterns.studies.descriptions import bootstrap, run_table
from headpatterns.studies.head_scores import settings

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment


def folders(experiment: "Experiment") -> Paths:
    """The folders of the ablations of every run."""
    return {"ablations": [experiment.paths.ablations(run) for run in settings.runs(experiment)]}


def named(experiment: "Experiment") -> dict[str, Any]:
    """The settings of the bootstrap, and the model, task and seed of each folder of ablations."""
    runs = [[run.model, run.task, run.seed] for run in settings.runs(experiment)]
    return {**bootstrap(experiment), "runs": runs}


def benchmark(experiment: "Experiment") -> dict[str, Any]:
    """The same, with the number of heads for recall, and the number of splits of the samples."""
    own: settings.Settings = experiment.settings(settings.NAME)
    return {**named(experiment), "top": own.top, "splits": own.splits}


STUDY = Study(
    name=settings.NAME,
    place=42,
    settings=settings.Settings,
    selected=lambda experiment: bool(settings.runs(experiment)),
    runs=settings.runs,
    names=settings.names,
    problems=settings.problems,
    analyses=(
        Analysis(
            name="head_scores",
            compute="headpatterns.studies.head_scores.analysis:compute",
            inputs=folders,
            outputs={"scores": "head_scores", "effects": "head_effects", "doses": "dose_response"},
            settings=benchmark,
        ),
    ),
    drawings=(
        Drawing(
            name="figure_head_scores",
            draw="headpatterns.studies.head_scores.figure:figures",
            inputs=run_table(scores="head_scores", effects="head_effects"),
            figures=("figure_head_scores",),
            in_report=False,
        ),
    ),
    tables=(
        Tabulation(
            name="head_scores",
            tabulate="headpatterns.studies.head_scores.table:tabulate",
            inputs=run_table(scores="head_scores"),
        ),
    ),
    effects=(
        Effects(
            name="head_scores",
            measure="headpatterns.studies.head_scores.effects:measure",
            inputs=folders,
            settings=named,
            measures=("pattern_ranks_heads", "pattern_beats_norms", "change_follows_change", "estimate_explains"),
        ),
    ),
    section="headpatterns.studies.head_scores.section:section",
    targets={"head_scores": ("head_scores", "figure_head_scores")},
)
