"""Whether similar tasks help each other: every fine-tuned model on every task, beside the similarities of Figure 2."""

from typing import TYPE_CHECKING, Any

from headpatterns.experiment.study import Analysis, Drawing, Effects, Paths, Study, Tabulation
from headpatterns.studies.descriptions import bootstrap, patterns, reading, run_table
from headpatterns.studies.reading import OF_PATTERNS
from headpatterns.studies.transfer import settings

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment


def tables(experiment: "Experiment") -> Paths:
    """The run table, and the losses of every run."""
    return {
        "runs": experiment.paths.run_table,
        "losses": [experiment.paths.transfer(run) for run in settings.runs(experiment)],
    }


def named(experiment: "Experiment") -> dict[str, Any]:
    """The settings of the bootstrap, the run of each table of losses, and the variants."""
    own = experiment.settings(settings.NAME)
    return {**bootstrap(experiment), **settings.named(experiment), "variants": own.variants}


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
            name="transfer",
            compute="headpatterns.studies.transfer.analysis:compute",
            inputs=tables,
            outputs={"transfer": "transfer", "mantel": "transfer_mantel", "forms": "transfer_forms"},
            settings=lambda experiment: {**named(experiment), "reading": reading(experiment)},
            needs=patterns(settings.runs),
        ),
    ),
    drawings=(
        Drawing(
            name="figure_transfer",
            draw="headpatterns.studies.transfer.figure:figures",
            inputs=run_table(similarity="similarity", transfer="transfer", mantel="transfer_mantel"),
            figures=("figure_transfer",),
            in_report=False,
        ),
    ),
    tables=(
        Tabulation(
            name="transfer",
            tabulate="headpatterns.studies.transfer.table:tabulate",
            inputs=run_table(mantel="transfer_mantel", forms="transfer_forms"),
        ),
    ),
    effects=(
        Effects(
            name="transfer",
            measure="headpatterns.studies.transfer.effects:measure",
            inputs=tables,
            settings=named,
            needs=patterns(settings.runs),
            read=OF_PATTERNS,
            measures=("transfer_follows_similarity", "same_rows_are_similar", "same_form_is_similar"),
        ),
    ),
    section="headpatterns.studies.transfer.section:section",
    targets={"transfer": ("transfer", "figure_transfer")},
)
