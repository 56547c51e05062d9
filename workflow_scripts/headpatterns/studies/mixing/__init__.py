"""Whether a mixture of basic tasks prepares a model for a complex one (Table 2)."""

from typing import TYPE_CHECKING, Any

from headpatterns.experiment.study import Analysis, Drawing, Effects, Paths, Study, Tabulation, View, no_settings
from headpatterns.studies.descriptions import answers, bootstrap, variants
from headpatterns.studies.mixing import grid, settings
from headpatterns.studies.reading import FIELDS

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment


def evaluations(experiment: "Experiment") -> Paths:
    """The variants, every answer that was evaluated, and the coefficients and picks behind the mixtures."""
    made = [
        (model, seed) for model in experiment.settings(settings.NAME).models for seed in experiment.seeds(settings.NAME)
    ]
    return {
        **answers(settings.NAME)(experiment),
        "coefficients": [experiment.paths.mixture(model, seed, "coefficients.csv") for model, seed in made],
        "picks": [experiment.paths.mixture(model, seed, "picks.csv") for model, seed in made],
    }


def fits(experiment: "Experiment") -> dict[str, Any]:
    """The patterns that the mixtures are fitted to, the number of kept tasks, and the two that the paper keeps."""
    return {
        **bootstrap(experiment),
        "fits": settings.fits(experiment),
        "keep": experiment.settings(settings.NAME).keep,
        "expected_pair": settings.expected_pair(experiment),
    }


def pattern_folders(experiment: "Experiment") -> list[str]:
    """The folders that `fits` names."""
    found = [folder for one in settings.fits(experiment) for folder in (one["target"], *one["candidates"].values())]
    return list(dict.fromkeys(found))


def with_parts(experiment: "Experiment") -> dict[str, Any]:
    """The settings of the bootstrap, the true parts of the target (none where they are unknown), and the grid."""
    own = experiment.settings(settings.NAME)
    points = [grid.named(point) for point in grid.points(own.grid, own.keep)]
    return {**bootstrap(experiment), "parts": own.parts or [], "points": points}


def labels(experiment: "Experiment") -> dict[str, Any]:
    """The labels of the candidates, and which of them are true parts of the target."""
    datasets = experiment.config.datasets
    return {
        "labels": {task: datasets[task].label for task in settings.candidates(experiment)},
        "parts": experiment.settings(settings.NAME).parts or [],
    }


STUDY = Study(
    name=settings.NAME,
    place=50,
    settings=settings.Settings,
    selected=settings.selected,
    runs=settings.runs,
    first=settings.first,
    names=settings.names,
    problems=settings.problems,
    variants=settings.variants,
    evaluation_sets=settings.evaluation_sets,
    analyses=(
        Analysis(
            name="mixing",
            compute="headpatterns.studies.mixing.analysis:compute",
            inputs=evaluations,
            outputs={
                "accuracy": "mixing",
                "differences": "mixing_differences",
                "ranks": "mixing_ranks",
                "mixture": "mixture",
                "picks": "mixture_picks",
                "parts": "mixture_parts",
                "grid": "mixture_grid",
            },
            settings=with_parts,
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
    effects=(
        Effects(
            name="mixing",
            measure="headpatterns.studies.mixing.effects:measure",
            inputs=answers(settings.NAME),
            settings=bootstrap,
            measures=tuple(
                f"{effect}{measure}"
                for effect in (
                    "ours_minus_sft",
                    "ours_minus_random",
                    "sft_minus_base",
                    "random_minus_sft",
                    "ours_minus_uniform",
                    "ours_minus_size",
                    "grid_minus_ours",
                    "oracle_minus_sft",
                    "oracle_minus_ours",
                    "oracle_minus_random",
                )
                for measure in ("", "_nll")
            ),
        ),
        Effects(
            name="mixture",
            measure="headpatterns.studies.mixing.effects:measure_choice",
            inputs=no_settings,
            settings=fits,
            needs=pattern_folders,
            read=FIELDS,
            measures=("kept_pair",),
        ),
    ),
    section="headpatterns.studies.mixing.section:section",
    views=(
        View(
            name="table2",
            show="headpatterns.studies.mixing.view:show",
            inputs=lambda experiment: {"scores": experiment.paths.table("table2")},
        ),
    ),
    targets={"table2": ("table2", "mixture")},
)
