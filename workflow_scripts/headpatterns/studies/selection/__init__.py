"""Whether training samples that are selected by their patterns help in a domain (Table 3)."""

from headpatterns.experiment.study import Analysis, Effects, Study, Tabulation
from headpatterns.studies.descriptions import answers, bootstrap, variants
from headpatterns.studies.selection import settings

STUDY = Study(
    name=settings.NAME,
    place=60,
    settings=settings.Settings,
    selected=settings.selected,
    runs=settings.runs,
    names=settings.names,
    problems=settings.problems,
    variants=settings.variants,
    evaluation_sets=settings.evaluation_sets,
    analyses=(
        Analysis(
            name="selection",
            compute="headpatterns.studies.selection.analysis:compute",
            inputs=answers(settings.NAME),
            outputs={"accuracy": "selection", "differences": "selection_differences", "ranks": "selection_ranks"},
            settings=bootstrap,
        ),
    ),
    tables=(
        Tabulation(
            name="table3",
            tabulate="headpatterns.studies.selection.table3:tabulate",
            inputs=variants(selection="selection"),
        ),
    ),
    effects=(
        Effects(
            name="selection",
            measure="headpatterns.studies.selection.effects:measure",
            inputs=answers(settings.NAME),
            settings=bootstrap,
            measures=("pattern_minus_random", "pattern_minus_base", "grows_with_budget"),
        ),
    ),
    section="headpatterns.studies.selection.section:section",
    targets={"table3": ("table3",)},
)
