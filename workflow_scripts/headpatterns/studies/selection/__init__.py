"""Whether training samples that are selected by their patterns help in a domain (Table 3)."""

from typing import TYPE_CHECKING, Any

from headpatterns.experiment.study import Analysis, Drawing, Effects, Paths, Study, Tabulation, View, no_settings
from headpatterns.studies.descriptions import answers, bootstrap, variants
from headpatterns.studies.selection import settings

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment


def rankings(experiment: "Experiment") -> dict[str, Any]:
    """The rankings of the pools, their truly related samples, and the budgets at which precision is measured."""
    return {
        **bootstrap(experiment),
        "rankings": settings.rankings(experiment),
        "budgets": experiment.settings(settings.NAME).budgets,
    }


def ranking_files(experiment: "Experiment") -> list[str]:
    """The files that `rankings` names, each once."""
    named = [[one["scores"], one["related"], *one["drawn"]] for one in settings.rankings(experiment)]
    return list(dict.fromkeys(path for paths in named for path in paths))


def cost_files(experiment: "Experiment") -> Paths:
    """The costs of every selection."""
    return {"costs": [experiment.paths.selection(*one, "costs.csv") for one in settings.selections(experiment)]}


def shown_scores(experiment: "Experiment") -> Paths:
    """What the interactive view shows."""
    return {"scores": experiment.paths.table("table3")}


STUDY = Study(
    name=settings.NAME,
    place=60,
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
            name="selection",
            compute="headpatterns.studies.selection.analysis:compute",
            inputs=answers(settings.NAME),
            outputs={"accuracy": "selection", "differences": "selection_differences", "ranks": "selection_ranks"},
            settings=bootstrap,
        ),
        Analysis(
            name="precision",
            compute="headpatterns.studies.selection.precision:compute",
            inputs=no_settings,
            outputs={"precision": "precision", "curve": "precision_curve"},
            settings=rankings,
            needs=ranking_files,
        ),
        Analysis(
            name="selection_costs",
            compute="headpatterns.studies.selection.costs:compute",
            inputs=cost_files,
            outputs={"costs": "selection_costs"},
            settings=lambda experiment: {"named": settings.selections(experiment)},
        ),
    ),
    drawings=(
        Drawing(
            name="precision",
            draw="headpatterns.studies.selection.figure:figures",
            inputs=variants(curve="precision_curve", precision="precision"),
            figures=("precision",),
            in_report=False,
            selected=settings.relation_is_known,
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
            measures=tuple(
                f"{effect}{measure}"
                for effect in (
                    "pattern_minus_random",
                    "pattern_minus_base",
                    "oracle_minus_random",
                    "oracle_minus_pattern",
                    "grows_with_budget",
                )
                for measure in ("", "_nll")
            ),
        ),
    ),
    section="headpatterns.studies.selection.section:section",
    views=(
        View(
            name="table3",
            show="headpatterns.studies.selection.view:show",
            inputs=shown_scores,
        ),
    ),
    targets={"table3": ("table3", "precision")},
)
