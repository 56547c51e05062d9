"""The work of the studies' rules: analyses, effects, drawings and tables by name, with their inputs as JSON.

The studies' descriptions give the function of each name; it is imported when it is needed.
"""

import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from headpatterns.errors import InputError
from headpatterns.experiment.study import Effects, Study, load
from headpatterns.io import write_csv
from headpatterns.studies import load_studies
from headpatterns.studies.reading import Reading

if TYPE_CHECKING:
    from headpatterns.studies.effects import Measured


class Named(Protocol):
    """A part of a study with its own name."""

    @property
    def name(self) -> str:
        """Its name in command lines."""


Part = TypeVar("Part", bound=Named)


def analyse(name: str, inputs: str, outputs: str, settings: str) -> None:
    """Compute the tables of an analysis and write each as CSV, atomically.

    Args:
        name: of an analysis, such as `similarity`.
        inputs: JSON object, a path or a list of paths by keyword.
        outputs: JSON object, the path of a CSV file by the key of each table.
        settings: JSON object, values by keyword.

    Raises:
        InputError: an unknown name or key, a text that is not such JSON, or an error of the analysis.
    """
    part = find(name, "analysis", (part for study in load_studies() for part in study.analyses))
    paths = {key: Path(path) for key, path in texts(outputs, "--outputs").items()}
    check_keys(f"--outputs of the analysis {name}", paths, part.outputs)
    tables = called(part.compute, f"the analysis {name}", *given(inputs, settings))
    for key in part.outputs:
        write_csv(paths[key], tables[key].columns, tables[key].rows)


def draw(name: str, inputs: str, settings: str, output: Path) -> None:
    """Draw figures and write each into the folder `output` as PDF, SVG and PNG, atomically.

    Args:
        name: of a drawing, such as `figure2`.
        inputs: JSON object, a path or a list of paths by keyword.
        settings: JSON object, values by keyword.
        output: folder of the figures.

    Raises:
        InputError: an unknown name or key, a text that is not such JSON, or an error of the drawing.
    """
    from headpatterns.presentation import style

    part = find(name, "drawing", (part for study in load_studies() for part in study.drawings))
    with style.applied():
        figures = called(part.draw, f"the drawing {name}", *given(inputs, settings))
        for figure in part.figures:
            style.save(figures[figure], output / figure)


def tabulate(name: str, inputs: str, output: Path) -> None:
    """Make a table for readers and write `output`.csv, .md and .tex, each atomically.

    Args:
        name: of a table, such as `table1`.
        inputs: JSON object, a path or a list of paths by keyword.
        output: path of the files without suffix.

    Raises:
        InputError: an unknown name or key, a text that is not such JSON, or an error of the table.
    """
    from headpatterns.presentation import grids

    part = find(name, "table", (part for study in load_studies() for part in study.tables))
    table, shown = called(part.tabulate, f"the table {name}", *given(inputs))
    grids.write(table, shown, output)


def measure(name: str, inputs: str, settings: str, reading: str, output: Path) -> None:
    """Measure the effects that claims are about and write them as one CSV, atomically.

    Args:
        name: of a study's effects, such as `adaptation`.
        inputs: JSON object, a path or a list of paths by keyword.
        settings: JSON object, values by keyword.
        reading: JSON object, fields of a `Reading`; for effects that read patterns.
        output: CSV of the effects.

    Raises:
        InputError: an unknown name or key, a text that is not such JSON, or an error of the measurement.
    """
    from headpatterns.studies import effects

    part = find(name, "effects", (part for study in load_studies() for part in study.effects))
    found = measured(part, *given(inputs, settings), parsed(reading, "--reading"))
    write_csv(output, effects.COLUMNS, effects.rows(found))


def measured(part: Effects, inputs: Any, settings: Any, reading: Mapping[str, Any]) -> list["Measured"]:
    """The effects of a study under one way to read patterns.

    Raises:
        InputError: as `Reading.of` and `called`.
        RuntimeError: the function returns an effect that its description does not name.
    """
    ways = {"reading": Reading.of(reading)} if part.read else {}
    found: list[Measured] = called(part.measure, f"the effects {part.name}", inputs, settings, **ways)
    if unknown := [one.name for one in found if one.name not in part.measures]:
        raise RuntimeError(f"the description of the effects {part.name} does not name {unknown[0]!r} in `measures`")
    return found


def collect_claims(
    effects: Mapping[str, str],
    tables: Sequence[Path | None],
    stands_for: Mapping[str, str],
    output: Path,
    left_out: Path,
) -> None:
    """Judge every claim of the studies whose effects are given, and write claims.csv and the claims that are left out.

    Args:
        effects: tables of effects by their names.
        tables: competence.csv and answers.csv; None if nothing is known.
        stands_for: the corresponding model of the paper, by the name of a model here.
        output: CSV of the verdicts.
        left_out: CSV of the claims that are not about this experiment.

    Raises:
        InputError: an unknown name, a registry of claims that cannot be used, or a missing or faulty file.
    """
    from headpatterns.claims import collecting, competence
    from headpatterns.claims.registry import registry

    studies = load_studies()
    check_keys("--effects", effects, (), [part.name for study in studies for part in study.effects])
    of_study = {study.name: [Path(effects[part.name]) for part in study.effects if part.name in effects]
                for study in studies}  # fmt: skip
    present = {study: paths for study, paths in of_study.items() if paths}
    collecting.collect(registry(studies), present, competence.read(*tables), stands_for, output, left_out)


def render_report(
    experiment: str,
    results: Path,
    studies: Iterable[str],
    labels: Mapping[str, str],
    views: str,
    output: Path,
    summary: Path,
) -> None:
    """Render the report with the sections of the named studies, and its summary, and write both, atomically.

    Args:
        experiment: name of the experiment.
        results: its folder.
        studies: names of the studies whose sections are shown.
        labels: labels of models and tasks that are not in the run table.
        views: JSON object, `inputs` and `settings` by the names of the views that are shown.
        output: the page.
        summary: the summary in Markdown.

    Raises:
        InputError: an unknown study, or a missing or faulty file.
    """
    from headpatterns.report import page

    page.write(experiment, results, selected(studies), labels, output, summary, views)


def find(name: str, kind: str, parts: Iterable[Part]) -> Part:
    """The part of that name.

    Raises:
        InputError: there is none.
    """
    known = {part.name: part for part in parts}
    if name not in known:
        raise InputError(f"No study has the {kind} {name!r}: use one of {', '.join(known)}.")
    return known[name]


def selected(names: Iterable[str]) -> tuple[Study, ...]:
    """The studies of these names, in display order.

    Raises:
        InputError: no study has one of the names.
    """
    studies = {study.name: study for study in load_studies()}
    wanted = list(names)
    if unknown := [name for name in wanted if name not in studies]:
        raise InputError(f"Unknown study {unknown[0]!r}: use some of {', '.join(studies)}.")
    return tuple(study for name, study in studies.items() if name in wanted)


def given(inputs: str, settings: str = "{}") -> tuple[dict[str, Any], dict[str, Any]]:
    """Inputs and settings, each a JSON object.

    Raises:
        InputError: a text is not a JSON object.
    """
    return parsed(inputs, "--inputs"), parsed(settings, "--settings")


def called(reference: str, what: str, inputs: Any, settings: Any, **more: Any) -> Any:
    """The result of `module:function` for inputs and settings by its keywords, and further ready values.

    Raises:
        InputError: inputs or settings are not a mapping, a keyword is unknown, missing or repeated, or a path is not a
            path.
    """
    for kind, words in (("inputs", inputs), ("settings", settings)):
        if not isinstance(words, dict):
            raise InputError(f"The {kind} of {what} are {json.dumps(words)}: give a JSON object of values by keyword.")
    if twice := sorted(inputs.keys() & settings.keys()):
        raise InputError(f"The inputs and the settings of {what} both have the key {twice[0]!r}: give it once.")
    function = load(reference)
    parameters = inspect.signature(function).parameters
    optional = [key for key, found in parameters.items() if found.default is not inspect.Parameter.empty]
    required = [key for key in parameters if key not in optional and key not in more]
    check_keys(f"inputs and settings of {what}", [*inputs, *settings], required, optional)
    paths = {key: as_paths(value, parameters[key].annotation, f"{key!r} of {what}") for key, value in inputs.items()}
    return function(**paths, **settings, **more)


def as_paths(value: Any, annotation: Any, what: str) -> Path | list[Path]:
    """A path, or a list of paths, as the keyword's annotation requires.

    Raises:
        InputError: the value is neither, or not the required one.
    """
    several = annotation is not Path
    if several and isinstance(value, list) and all(isinstance(one, str) for one in value):
        return [Path(one) for one in value]
    if not several and isinstance(value, str):
        return Path(value)
    raise InputError(f"The input {what} is {value!r}: give {'a list of paths' if several else 'a path'}.")


def check_keys(what: str, given: Iterable[str], required: Iterable[str], optional: Iterable[str] = ()) -> None:
    """Check that the keys are the expected ones.

    Raises:
        InputError: one is missing or unknown.
    """
    given, required = list(given), list(required)
    known = [*required, *optional]
    if unknown := [key for key in given if key not in known]:
        raise InputError(f"{what}: the key {unknown[0]!r} is unknown: use {', '.join(known) or 'none'}.")
    if lacking := [key for key in required if key not in given]:
        raise InputError(f"{what}: the key {lacking[0]!r} is missing: give {', '.join(required)}.")


def texts(text: str, option: str) -> dict[str, str]:
    """A JSON object of texts.

    Raises:
        InputError: it is none.
    """
    found = parsed(text, option)
    for key, value in found.items():
        if not isinstance(value, str):
            raise InputError(f"{option}: {key!r} is {json.dumps(value)}: give it as text.")
    return found


def parsed(text: str, option: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        InputError: it is none.
    """
    form = '{"key": "value"}'
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{option} is not JSON ({error}): write it like {form}.") from error
    if not isinstance(found, dict):
        raise InputError(f"{option} is {text}, which is not a JSON object: write it like {form}.")
    return found
