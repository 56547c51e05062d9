"""How fast the patterns change in the course of fine-tuning (Figure 5)."""

from headpatterns.experiment.study import Analysis, Claims, Drawing, Study
from headpatterns.studies.descriptions import bootstrap, patterns, run_table, tables
from headpatterns.studies.dynamics import settings

STUDY = Study(
    name=settings.NAME,
    place=30,
    settings=settings.Settings,
    runs=settings.runs,
    names=settings.names,
    reads_steps=True,
    analyses=(
        Analysis(
            name="dynamics",
            compute="headpatterns.studies.dynamics.analysis:compute",
            inputs=run_table(),
            outputs={"dynamics": "dynamics"},
            settings=bootstrap,
            needs=patterns(settings.runs),
        ),
    ),
    drawings=(
        Drawing(
            name="figure5",
            draw="headpatterns.studies.dynamics.figure5:figures",
            inputs=run_table(dynamics="dynamics"),
            figures=("figure5",),
        ),
    ),
    claims=(
        Claims(
            judge="headpatterns.studies.dynamics.claims:dynamics_claims",
            inputs=tables(dynamics="dynamics"),
            settings=lambda experiment: {"changes_most": experiment.settings(settings.NAME).changes_most},
        ),
    ),
    targets={"figure5": ("figure5",)},
)
