"""How high activation levels are before and after fine-tuning, task by task."""

from headpatterns.experiment.study import Analysis, Drawing, Effects, Study
from headpatterns.studies.descriptions import bootstrap, patterns, run_table
from headpatterns.studies.levels import settings

STUDY = Study(
    name=settings.NAME,
    place=75,
    settings=settings.Settings,
    selected=settings.selected,
    runs=settings.runs,
    names=settings.names,
    reads_steps=True,
    analyses=(
        Analysis(
            name="levels",
            compute="headpatterns.studies.levels.analysis:compute",
            inputs=run_table(),
            outputs={"levels": "levels"},
            settings=bootstrap,
            needs=patterns(settings.runs),
        ),
    ),
    drawings=(
        Drawing(
            name="levels",
            draw="headpatterns.studies.levels.figure:figures",
            inputs=run_table(levels="levels"),
            figures=("levels",),
        ),
    ),
    effects=(
        Effects(
            name="levels",
            measure="headpatterns.studies.levels.effects:measure",
            inputs=run_table(),
            settings=bootstrap,
            needs=patterns(settings.runs),
            read=("reduction", "normalisation", "weighting"),
            measures=("mean_level_change",),
        ),
    ),
    targets={"figure_levels": ("levels",)},
)
