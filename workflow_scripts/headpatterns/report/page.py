"""The page of the report: the common parts of all experiments, and the sections of studies, in the page's template."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from headpatterns.errors import InputError
from headpatterns.experiment.study import Study, load
from headpatterns.io import read_json, write_text
from headpatterns.presentation.elements import Table, caption, plain_table, shown_table, title_of
from headpatterns.presentation.inputs import RunTable
from headpatterns.presentation.results import Results
from headpatterns.presentation.sections import Place, Section, figure_section, render
from headpatterns.report import board, claims, digest, views
from headpatterns.report.origins import MIXED

HERE = Path(__file__).parent
ABOUT = {"data": "Data", "training": "Fine-tuning", "timings": "Time and memory"}
"""Headings of the tables about the inputs of an experiment, by their names below analysis/."""

NO_VIEWS = "{}"


def write(
    experiment: str,
    results: Path,
    studies: Sequence[Study],
    labels: Mapping[str, str],
    output: Path,
    summary: Path,
    views: str = NO_VIEWS,
) -> None:
    """Render the page and its summary in Markdown and write both, atomically; arguments are those of `page`."""
    found = Results(results, labels)
    made = sections_of(studies, found)
    shown = judged(found, made)
    provenance = provenance_of(results)
    write_text(output, rendered(experiment, found, made, shown, interactive(studies, views, made), provenance))
    write_text(summary, digest.digest(experiment, shown, made, mixed(provenance)))


def page(
    experiment: str,
    results: Path,
    studies: Sequence[Study],
    labels: Mapping[str, str] | None = None,
    views: str = NO_VIEWS,
) -> str:
    """The whole page as HTML; a browser does not have to fetch anything else.

    Args:
        experiment: name of the experiment.
        results: its folder: runs.csv, analysis/, tables/, figures/, mixtures/ and provenance.json.
        studies: the studies of the experiment, in display order.
        labels: labels of models and tasks that are not in the run table.
        views: JSON object, `inputs` and `settings` of interactive views by their names.

    Raises:
        InputError: a file is missing or lacks a column, or a view refuses its input.
    """
    found = Results(results, labels or {})
    made = sections_of(studies, found)
    of_views = interactive(studies, views, made)
    return rendered(experiment, found, made, judged(found, made), of_views, provenance_of(results))


def interactive(studies: Sequence[Study], given: str, sections: Sequence[Section]) -> list[views.Shown]:
    """The views, with links to the sections of the figures and tables that show the same numbers."""
    titles = {anchor: title for one in sections for title, anchor in one.targets.items()}
    return views.shown(studies, given, {**{one.anchor: one.title for one in sections}, **titles})


def rendered(
    experiment: str,
    found: Results,
    of_studies: Sequence[Section],
    shown: claims.Shown,
    of_views: Sequence[views.Shown],
    provenance: Mapping[str, Any],
) -> str:
    """The page, with the sections of the studies, the claims and the views."""
    opening, figures, numbers, appendix = ([one for one in of_studies if one.place is place] for place in Place)
    sections = [
        *figures,
        *numbers,
        table_section(plain_table(found.analysis("tokens"), "tokens", title_of("tokens"), HERE)),
        *appendix,
        run_section(found.runs),
        *(table_section(plain_table(found.analysis(name), name, title)) for name, title in ABOUT.items()),
    ]
    return render(
        "page.html.j2",
        __package__,
        experiment=experiment,
        introduction=caption(HERE / "workflow.rst"),
        was_run=board.was_run(found.runs),
        board=board.of(shown, found.runs),
        views=of_views,
        scripts=views.scripts(of_views),
        provenance=provenance_sections(provenance),
        mixed=mixed(provenance),
        claims=shown,
        readings=list(dict.fromkeys(one.reading for one in [*opening, *sections] if one.reading)),
        opening=opening,
        sections=sections,
    )


def provenance_of(folder: Path) -> dict[str, Any]:
    """The contents of provenance.json in the folder of an experiment.

    Raises:
        InputError: the file is missing or is not a JSON object.
    """
    path = folder / "provenance.json"
    if not path.is_file():
        raise InputError(f"{path} does not exist: run the rule that writes it first.")
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} is not a JSON object of keys and values: remove it and run the rule that writes it.")
    return content


def mixed(provenance: Mapping[str, Any]) -> list[str]:
    """Sentences about differences between results of an experiment that should have the same origin."""
    return list(provenance.get(MIXED, []))


def judged(found: Results, sections: Iterable[Section]) -> claims.Shown:
    """The claims, with links to the sections that they are about."""
    anchors = {title.lower(): anchor for one in sections for title, anchor in one.targets.items()}
    return claims.shown(found.analysis("claims"), found.analysis("claims_left_out"), found.runs, anchors)


def sections_of(studies: Iterable[Study], results: Results) -> list[Section]:
    """The sections of all studies, in their order."""
    return [one for study in studies for one in study_sections(study, results)]


def study_sections(study: Study, results: Results) -> list[Section]:
    """The sections of a study: one for each figure, with its caption from the study's folder, then the study's own.

    Raises:
        InputError: a file is missing or faulty.
    """
    captions = HERE.parent / "studies" / study.name
    names = [name for drawing in study.drawings if drawing.in_report for name in drawing.figures]
    figures = [figure_section(results, name, captions) for name in names]
    return [*figures, *load(study.section)(results)] if study.section else figures


def table_section(table: Table) -> Section:
    """A section of one table."""
    return Section(table.anchor, table.title, render("table.html.j2", __package__, table=table))


def run_section(runs: RunTable) -> Section:
    """The section about runs: numbers of runs by study, and every run."""
    table = runs_by_study(runs)
    return Section(table.anchor, table.title, render("runs.html.j2", __package__, studies=table, runs=all_runs(runs)))


def provenance_sections(content: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """(section, its (key, value) pairs); plain keys come first, in a section without a name."""
    plain = [(key, written(value)) for key, value in content.items() if key != MIXED and not isinstance(value, dict)]
    nested = [
        (section, [(key, written(value)) for key, value in values.items()])
        for section, values in content.items()
        if isinstance(values, dict)
    ]
    return [("", plain), *nested] if plain else nested


def written(value: Any) -> str:
    """A JSON value for a reader."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "–"
    if isinstance(value, dict):
        return ", ".join(f"{key} {written(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(written(inner) for inner in value)
    return str(value)


def runs_by_study(runs: RunTable) -> Table:
    """How many runs, models, tasks and seeds each study and group has."""
    rows = [
        [
            str(study),
            str(group),
            ", ".join(found["model_label"].unique()),
            ", ".join(found["task_label"].unique()),
            ", ".join(found["seed"].unique()),
            str(len(found)),
        ]
        for (study, group), found in runs.rows.groupby(["study", "group"], sort=False)
    ]
    header = ["Study", "Group", "Models", "Tasks", "Seeds", "Runs"]
    return Table("runs", "Runs", header, rows, [False] * 5 + [True])


def all_runs(runs: RunTable) -> Table:
    """The run table itself, with labels instead of keys."""
    columns = ["study", "group", "model_label", "task_label", "family", "role", "seed", "run"]
    renamed = runs.rows[columns].rename(columns={"model_label": "model", "task_label": "task"})
    return shown_table(renamed, "all-runs", "Every run")
