"""Sentences about undefined names in a config; the studies use them for their settings."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from headpatterns.errors import InputError
from headpatterns.experiment import runs
from headpatterns.experiment.recipes import Finetuning
from headpatterns.experiment.schema import Config
from headpatterns.experiment.sentences import nearest


def unknown(path: str, kind: str, name: str, valid: Iterable[str]) -> Iterator[str]:
    """A sentence about a name that is not valid."""
    valid = list(valid)
    if name not in valid:
        yield f"{path} names the unknown {kind} '{name}'{nearest(name, valid)}"


def unknown_in(path: str, kind: str, names: Iterable[str], valid: Iterable[str]) -> Iterator[str]:
    """A sentence about each name of a list that is not valid."""
    valid = list(valid)
    for place, name in enumerate(names):
        yield from unknown(f"{path}[{place}]", kind, name, valid)


def said_by(path: str, check: Callable[..., Any], *arguments: Any) -> Iterator[str]:
    """The message of a check of the package, after the key that it is about."""
    try:
        check(*arguments)
    except InputError as error:
        yield f"{path}: {error}"


def below_one_step(path: str, samples: int, recipe: Finetuning) -> Iterator[str]:
    """A sentence about a training set that is smaller than a step."""
    if samples < recipe.global_batch_size:
        yield f"{path} has {samples}, less than one step of global_batch_size {recipe.global_batch_size}: raise it."


def names_of_run(config: Config, path: str, model: str, name: str) -> Iterator[str]:
    """Sentences about undefined names in the name of a run.

    A run of a task group need not belong to a study, but its group and task must exist. A run that was trained
    elsewhere must exist and must have started from the model.
    """
    if given := runs.finetuned(name):
        yield from unknown(path, "run below finetuned", given, config.finetuned)
        if given in config.finetuned and (base := config.finetuned[given].base) != model:
            yield f"{path} is '{name}', which was trained from {base} and not from {model}: set model to {base}."
        return
    group, task, _ = runs.written(name)
    yield from unknown(path, "task group", group, config.task_groups)
    if group in config.task_groups:
        yield from unknown(path, "task of its group", task, config.task_groups[group].tasks)
