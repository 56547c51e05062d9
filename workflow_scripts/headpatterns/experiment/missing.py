"""What an experiment reads of your own files: what is missing of it, and how it was, for when it will be."""

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
"""Rules whose jobs read what is no input of theirs."""


class Source(NamedTuple):
    """A path that the config writes: its key, what it leads to, and how to get that."""

    key: str
    kind: Kind
    written: str
    obtain: str = ""


def sources(experiment: "Experiment") -> Iterator[Source]:
    """Paths of the models and datasets that some study selects: others may lie elsewhere."""
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
    """The file with the chat template that a model is given; empty where it is another model's, or its own."""
    written = experiment.config.models[model].chat_template or ""
    known = {*experiment.config.models, *experiment.config.finetuned}
    is_file = needed.is_templated(experiment.config, model) and written not in known
    return written if is_file else ""


def lacking(experiment: "Experiment") -> Iterator[tuple[Source, str]]:
    """Paths that lead nowhere, with what is wrong with them."""
    for source in sources(experiment):
        if problem := experiment.paths.own.problem(source.kind, source.written):
            yield source, problem


def inputs_of(experiment: "Experiment", source: Source) -> list[str]:
    """What jobs that read a path depend on."""
    return [] if source.kind in READERS else experiment.paths.own.files(source.kind, source.written)


def away(experiment: "Experiment") -> set[str]:
    """Files that jobs depend on and that are not there."""
    return {file for source, _ in lacking(experiment) for file in inputs_of(experiment, source)}


def sentences(experiment: "Experiment", inputs: set[str], rules: set[str]) -> list[str]:
    """What is missing of that which some jobs read: a line for each path, with the key, what is wrong, and the fix.

    Args:
        experiment: the experiment.
        inputs: what the jobs depend on.
        rules: rules of the jobs.
    """
    found = dict[tuple[str, str], list[Source]]()
    for source, problem in lacking(experiment):
        reading = READERS.get(source.kind, frozenset()) & rules or inputs.intersection(inputs_of(experiment, source))
        if reading:
            found.setdefault((source.written, problem), []).append(source)
    return [_sentence(problem, named) for (_, problem), named in found.items()]


def _sentence(problem: str, named: list[Source]) -> str:
    """What is said of a path that several keys may write."""
    first, *others = named
    said = [f"config key {first.key} {problem}"]
    if others:
        said.append(f"The same is true of {', '.join(one.key for one in others)}.")
    said += dict.fromkeys(f"To get it: {one.obtain}" for one in named if one.obtain)
    return " ".join(said)


def record(experiment: "Experiment", output: Path) -> None:
    """Write down what is at hand, beside what was written down of what is not; nothing where there is nothing."""
    own, found = experiment.paths.own, dict[str, dict[str, Any]]()
    for one in sources(experiment):
        if entry := _entry(experiment, one):
            found.setdefault(one.kind, {})[one.written] = entry
    states = {key_of(part, written): own.state(part, *written) for part, written in parts(experiment)}
    if states := {key: state for key, state in states.items() if state}:
        found["states"] = states
        # What is away keeps what was written down of it.
        kept = own.seen.get("contents", {}) if any(lacking(experiment)) else {}
        found["contents"] = kept | own.contents
    if found:
        write_json(output, found)


def _entry(experiment: "Experiment", source: Source) -> dict[str, Any]:
    """What is known of a path, nothing where that is the path itself."""
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
    """Paths on whose content jobs depend, and what is read there."""
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
