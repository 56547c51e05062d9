"""Your own files that an experiment reads: which are missing, and a record of them for when they are missing later."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from headpatterns.experiment import needed
from headpatterns.experiment.own import ARCHITECTURE, PARTS, Kind, Part, key_of, of_model
from headpatterns.experiment.sources import RowsOnDisk
from headpatterns.io import write_json

if TYPE_CHECKING:
    from headpatterns.experiment.experiment import Experiment

READERS: dict[Kind, frozenset[str]] = {
    "python": frozenset({"check_opencompass", "check_builtin_sets", "evaluate"}),
    "data": frozenset({"check_builtin_sets", "evaluate"}),
}
"""Rules whose jobs read files that are not among their inputs."""


class Source(NamedTuple):
    """A path of the config: its key, the kind of file or folder, and how to get it."""

    key: str
    kind: Kind
    written: str
    obtain: str = ""


def sources(experiment: "Experiment") -> Iterator[Source]:
    """Paths of the models and datasets that some study selects; paths of others are not checked."""
    config = experiment.config
    for name in needed.read_here(config, experiment.models, experiment.runs):
        key, model = (
            (f"models.{name}", config.models[name])
            if name in config.models
            else (f"finetuned.{name}", config.finetuned[name])
        )
        if own := of_model(model.source):
            yield Source(f"{key}.source.{own.key}", own.kind, own.written, model.obtain or "")
    for name in experiment.models:
        if written := template_file(experiment, name):
            yield Source(f"models.{name}.chat_template", "template", written)
    for name in experiment.datasets:
        dataset = config.datasets[name]
        for split in ("train", "probe"):
            for place, rows in enumerate(dataset.sources(split)):
                if isinstance(rows, RowsOnDisk):
                    yield Source(f"datasets.{name}.{split}[{place}].path", "rows", rows.path, dataset.obtain or "")
    yield Source("evaluation.python", "python", config.evaluation.python)
    if experiment.has_builtin_sets and config.evaluation.opencompass_data:
        yield Source("evaluation.opencompass_data", "data", config.evaluation.opencompass_data)


def template_file(experiment: "Experiment", model: str) -> str:
    """The file with the chat template that is given to a model; empty if it is another model's, or its own."""
    written = experiment.config.models[model].chat_template or ""
    known = {*experiment.config.models, *experiment.config.finetuned}
    is_file = needed.is_templated(experiment.config, model) and written not in known
    return written if is_file else ""


def lacking(experiment: "Experiment") -> Iterator[tuple[Source, str]]:
    """Paths that do not exist or cannot be used, with the problem."""
    for source in sources(experiment):
        if problem := experiment.paths.own.problem(source.kind, source.written):
            yield source, problem


def inputs_of(experiment: "Experiment", source: Source) -> list[str]:
    """The files that jobs depend on if they read a path."""
    return [] if source.kind in READERS else experiment.paths.own.files(source.kind, source.written)


def away(experiment: "Experiment") -> set[str]:
    """Missing files that jobs depend on."""
    return {file for source, _ in lacking(experiment) for file in inputs_of(experiment, source)}


def sentences(experiment: "Experiment", inputs: set[str], rules: set[str]) -> list[str]:
    """Missing paths that some jobs read: a line for each path, with the key, the problem, and the fix.

    Args:
        experiment: the experiment.
        inputs: the files that the jobs depend on.
        rules: rules of the jobs.
    """
    found = dict[tuple[str, str], list[Source]]()
    for source, problem in lacking(experiment):
        reading = READERS.get(source.kind, frozenset()) & rules or inputs.intersection(inputs_of(experiment, source))
        if reading:
            found.setdefault((source.written, problem), []).append(source)
    return [_sentence(problem, named) for (_, problem), named in found.items()]


def _sentence(problem: str, named: list[Source]) -> str:
    """The sentence about a path, which several keys may contain."""
    first, *others = named
    said = [f"config key {first.key} {problem}"]
    if others:
        said.append(f"The same is true of {', '.join(one.key for one in others)}.")
    said += dict.fromkeys(f"To get it: {one.obtain}" for one in named if one.obtain)
    return " ".join(said)


def record(experiment: "Experiment", output: Path) -> None:
    """Write the record of your own files, and keep the record of missing ones; without any, write nothing."""
    own, found = experiment.paths.own, dict[str, dict[str, Any]]()
    for one in sources(experiment):
        if entry := _entry(experiment, one):
            found.setdefault(one.kind, {})[one.written] = entry
    states = {key_of(part, written): own.state(part, *written) for part, written in parts(experiment)}
    if states := {key: state for key, state in states.items() if state}:
        found["states"] = states
        # The records of missing files are kept.
        kept = own.seen.get("contents", {}) if any(lacking(experiment)) else {}
        found["contents"] = kept | own.contents
    if found:
        write_json(output, found)


def _entry(experiment: "Experiment", source: Source) -> dict[str, Any]:
    """The record of a path; empty if it would contain only the path itself."""
    own, (key, kind, written, _) = experiment.paths.own, source
    if own.problem(kind, written):
        return dict(own.last(kind, written))
    path = own.path(kind, written)
    if kind in READERS:
        return {"path": path} if path != written else {}
    entry = {"path": path, "files": own.files(kind, written)}
    if kind in ("rows", "adapter", "template"):
        return entry
    architecture = own.architecture(kind, written, key)
    return {**entry, "architecture": {name: architecture[name] for name in ARCHITECTURE if name in architecture}}


def parts(experiment: "Experiment") -> Iterator[tuple[Part, list[str]]]:
    """Paths on whose content jobs depend, and the part that is read there."""
    for dataset in experiment.datasets:
        if written := experiment.paths.rows_on_disk(dataset):
            yield "rows", written
    for model in experiment.models:
        if template := template_file(experiment, model):
            yield "template", [template]
    for model in needed.read_here(experiment.config, experiment.models, experiment.runs):
        if own := of_model(experiment.config.source(model)):
            for part in PARTS[own.kind]:
                yield part, [own.written]
    if experiment.has_builtin_sets and experiment.config.evaluation.opencompass_data:
        yield "data", [experiment.config.evaluation.opencompass_data]
