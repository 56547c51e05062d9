"""Whether two ways of training, such as all weights and adapters, move the same heads."""

from headpatterns.experiment.study import Analysis, Drawing, Effects, Study
from headpatterns.studies.descriptions import bootstrap, patterns, resampled, run_table
from headpatterns.studies.methods import settings
from headpatterns.studies.reading import OF_PATTERNS

STUDY = Study(
    name=settings.NAME,
    place=35,
    settings=settings.Settings,
    selected=settings.selected,
    runs=settings.runs,
    names=settings.names,
    problems=settings.problems,
    reads_steps=True,
    analyses=(
        Analysis(
            name="methods",
            compute="headpatterns.studies.methods.agreement:compute",
            inputs=run_table(),
            outputs={"methods": "methods"},
            settings=resampled,
            needs=patterns(settings.runs),
        ),
    ),
    drawings=(
        Drawing(
            name="figure_methods",
            draw="headpatterns.studies.methods.figure_methods:figures",
            inputs=run_table(methods="methods"),
            figures=("figure_methods",),
        ),
    ),
    effects=(
        Effects(
            name="methods",
            measure="headpatterns.studies.methods.effects:measure",
            inputs=run_table(),
            settings=bootstrap,
            needs=patterns(settings.runs),
            read=OF_PATTERNS,
            measures=("methods_agree", "methods_agree_beyond_base", "seeds_agree_more", "tasks_agree_less"),
        ),
    ),
    targets={"figure_methods": ("figure_methods",)},
)
