"""The competence of each model on each task of section 4, before and after fine-tuning on it.

Every number of one seed has an interval over the items of the probe set: Wilson's for shares, the bootstrap's for
likelihoods. Intervals over all seeds include the seeds too (`shares`; `headpatterns.statistics.effects`). A base model
that all seeds share counts as one model, so its interval is only over items. With one seed all intervals are only over
items. No interval covers the choice of training samples, unless seeds change it.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headpatterns.claims import measured
from headpatterns.claims.competence import AFTER, ALL, COLUMNS, LOSS_FALL, is_learnt
from headpatterns.errors import InputError
from headpatterns.experiment.variants import VARIANTS, read_variants
from headpatterns.statistics import probe_weights
from headpatterns.statistics.bootstrap import NOT_NEGATIVE
from headpatterns.statistics.effects import ITEMS, effect
from headpatterns.studies.competence.answered import Answers, Task, read_answers, read_task
from headpatterns.studies.competence.shares import UNKNOWN, Share, share
from headpatterns.studies.outcomes import Key
from headpatterns.studies.table import Table

STUDY = "competence"
NOT_EVALUATED = "not evaluated"
Falls = Mapping[tuple[str, str], Share]
"""Decrease of the loss, by model and task."""


def compute(
    variants: Path,
    items: Sequence[Path],
    rows: Sequence[Path],
    effects: Path,
    sets: Mapping[str, str],
    resamples: int,
    seed: int,
) -> dict[str, Table]:
    """The table competence.csv.

    Args:
        variants: variants.csv; the competence study is used, which may have no row.
        items: CSV files of evaluate, single items.
        rows: the instructions of each task, in the order of `sets`.
        effects: the effects of the study `adaptation`, which include the decreases of the loss.
        sets: the evaluation set of each task.
        resamples: bootstrap replicates of each set's items.
        seed: seed of the bootstrap.

    Returns:
        `competence`: a row for each model, task, seed and state (before, after), then the rows over all seeds. `learnt`
        is 1 or 0 in the last of them, and `learnt_by` names the measure that decides. If nothing was evaluated, there
        is only the row over all seeds after fine-tuning.

    Raises:
        InputError: a file cannot be used, or evaluations to compare were made differently.
    """
    evaluated = evaluations([one for one in read_variants(variants) if one.study == STUDY], sets)
    answered = read_answers(items, [key for runs in evaluated.values() for key in runs.values()])
    tasks = {task: read_task(path) for task, path in zip(sets, rows, strict=True)}
    falls = falls_of(effects)
    made = []
    for model, task in dict.fromkeys([*((key[0], key[1]) for key in evaluated), *falls]):
        own = {key[2]: runs for key, runs in evaluated.items() if key[:2] == (model, task)}
        fall = falls.get((model, task), UNKNOWN)
        if own:
            about = cells(own, answered, tasks[task], resamples, seed)
            made += [(model, task, *row) for row in with_verdict(about, fall)]
        else:
            made.append((model, task, *not_evaluated(fall)))
    return {"competence": Table(COLUMNS, made)}


def evaluations(variants: Sequence[Any], sets: Mapping[str, str]) -> dict[tuple[str, str, str], dict[str, Key]]:
    """The evaluation of each seed, by model, task and state."""
    task_of = {name: task for task, name in sets.items()}
    found: dict[tuple[str, str, str], dict[str, Key]] = {}
    for one in variants:
        if one.set not in task_of:
            raise InputError(
                f"The set {one.set} of the study {STUDY} belongs to none of its tasks ({', '.join(sets)})."
            )
        found.setdefault((one.model, task_of[one.set], one.variant), {})[one.seed] = one.evaluation
    return found


def falls_of(effects: Path) -> dict[tuple[str, str], Share]:
    """Decrease of the loss on the probe set of each task, with its interval, by model and task."""
    return {
        (one.model, one.about): Share(one.effect.estimate, *one.effect.interval())
        for one in measured.read(effects)
        if one.name == LOSS_FALL and one.about
    }


def cells(
    states: Mapping[str, Mapping[str, Key]], answered: Mapping[Key, Answers], task: Task, resamples: int, seed: int
) -> Iterator[dict[str, Any]]:
    """Columns of a model on a task: each seed before and after, then all seeds before and after.

    Raises:
        InputError: the items are not those of the task.
    """
    by_seed = {state: {own: answered[key] for own, key in states[state].items()} for state in VARIANTS[STUDY]}
    for own in by_seed[AFTER]:
        for state, found in by_seed.items():
            yield {"seed": own, "state": state, **numbers([found[own]], states[state][own], task, resamples, seed)}
    for state, keys in states.items():
        different = list(dict.fromkeys(keys.values()))
        of_all = [answered[key] for key in different]
        yield {"seed": ALL, "state": state, **numbers(of_all, different[0], task, resamples, seed)}


def numbers(found: Sequence[Answers], key: Key, task: Task, resamples: int, seed: int) -> dict[str, Any]:
    """Columns of one or several checkpoints on the same items: the mean, and its interval."""
    ids = found[0].ids
    if set(ids) != set(task.gold):
        raise InputError(f"The items of the set {key[2]} are not those of its task: evaluate again.")
    weights = probe_weights(len(ids), key[2], resamples, seed)
    nll = np.array([one.nll for one in found])
    spent = effect(weights @ nll.mean(axis=0), nll.mean(axis=1), source=ITEMS, limits=NOT_NEGATIVE)
    columns = {"items": len(ids), "note": task.note, **interval("nll", Share(spent.estimate, *spent.interval()))}
    if not task.note:
        right = share(np.array([one.correct for one in found]))
        columns |= {"accuracy": right.value, "low": right.low, "high": right.high, "chance": task.chance}
        columns["unreadable"] = float(1 - np.mean([one.parsed for one in found]))
        columns["same_answer"] = float(np.mean([one.same for one in found]))
    for name, attribute in (("likelihood", "likeliest"), ("likelihood_per_token", "likeliest_per_token")):
        letters = [getattr(one, attribute) for one in found]
        if all(letter for of_run in letters for letter in of_run):
            marks = [[letter == task.gold[item] for item, letter in zip(ids, one, strict=True)] for one in letters]
            columns |= interval(name, share(np.array(marks, dtype=float)))
    return columns


def interval(name: str, found: Share) -> dict[str, float]:
    """The three columns of a number."""
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def with_verdict(about: Iterator[dict[str, Any]], fall: Share) -> Iterator[tuple[Any, ...]]:
    """Rows without model and task; the last one, all seeds after fine-tuning, says whether the task was learnt."""
    for columns in about:
        is_last = (columns["seed"], columns["state"]) == (ALL, AFTER)
        yield row(columns | verdict(columns, fall) if is_last else columns)


def not_evaluated(fall: Share) -> tuple[Any, ...]:
    """The row of a model and task for which only the loss is known."""
    columns = {"seed": ALL, "state": AFTER, "items": "", "note": NOT_EVALUATED}
    return row(columns | verdict(columns, fall))


def verdict(columns: Mapping[str, Any], fall: Share) -> dict[str, Any]:
    """The columns that say whether a task was learnt."""
    accuracy = [columns.get(name, np.nan) for name in ("accuracy", "low", "high")]
    found = is_learnt(accuracy, columns.get("chance", np.nan), fall)
    learnt = {"learnt": int(found[0]), "learnt_by": found[1]} if found else {}
    return {**interval(LOSS_FALL, fall), **learnt}


def row(columns: Mapping[str, Any]) -> tuple[Any, ...]:
    """The columns in their order; NaN for a missing number, and an empty text for a missing text."""
    texts = ("learnt", "learnt_by", "note")
    return tuple(columns.get(name, "" if name in texts else np.nan) for name in COLUMNS[2:])
