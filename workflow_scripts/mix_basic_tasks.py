"""Mix the basic tasks that explain the change of a complex one into training sets for a first stage of SFT (§5.1).

No test item of the complex task is in a mixture: samples that are the same item, as `headpatterns.leakage` compares
them, are left out before the first ones of a training set are taken.
"""

import argparse
from collections.abc import Collection
from pathlib import Path

import numpy as np

from headpatterns import cli as command_line
from headpatterns import tidy
from headpatterns.data import deduplication as leakage
from headpatterns.data import training_sets
from headpatterns.data.deduplication import Item
from headpatterns.data.training_sets import Sample
from headpatterns.errors import InputError
from headpatterns.experiment import run_table
from headpatterns.experiment.run_table import Run
from headpatterns.io import atomic_path, write_json
from headpatterns.statistics import change, estimate_and_interval, paired_replicates
from headpatterns.studies.mixing import mixture as mixing

MIXTURE_COLUMNS = ("model", "seed", "variant", "task", "share", "instructions")
# The draws of the bootstrap are named after tasks; no candidate can have this name, because it ends in an =.
TARGET = "target="


def main(arguments: argparse.Namespace) -> None:
    """Fit Eq. 3, keep the best tasks, and write the training set of each variant (Eq. 4)."""
    check_numbers(arguments)
    folders = command_line.by_name(arguments.candidate, "--candidate", "TASK=PATH")
    candidates = {task: Path(folder) for task, folder in folders.items()}
    sets = command_line.by_name(arguments.training_set, "--training-set", "TASK=PATH")
    rows_of = command_line.by_name(arguments.training_rows, "--training-rows", "TASK=PATH")
    check_given(candidates, sets, "training set", "--training-set", "CSV")
    check_given(candidates, rows_of, "file of training rows", "--training-rows", "PARQUET")
    samples = {task: training_sets.read(Path(path)) for task, path in sets.items()}
    test = leakage.read(arguments.test)
    beta, r2 = fit(candidates, arguments)
    chosen = mixing.kept(beta[0], arguments.keep)
    tasks = [list(candidates)[index] for index in chosen]
    share = mixing.shares(beta[0], chosen)
    variants = {"ours": share[chosen]}
    for draw in range(arguments.random_draws):
        variants[f"random{draw}"] = mixing.random_shares(len(tasks), draw, arguments.seed)
    counts = {variant: mixing.apportion(arguments.instructions, found) for variant, found in variants.items()}
    left_out = {task: same_as_test(task, samples[task], Path(rows_of[task]), test) for task in tasks}
    samples = {task: [sample for sample in samples[task] if sample[1] not in left_out[task]] for task in tasks}
    check_enough(tasks, counts, samples)
    sentence = note(arguments, tasks)
    if sentence:
        print(sentence)

    instructions = dict(zip(tasks, counts["ours"], strict=True))
    with atomic_path(arguments.output) as folder:
        folder.mkdir()
        key = (arguments.model, arguments.seed)
        interval = estimate_and_interval(beta)
        rows = [
            (*key, task, *interval[:, i], r2[0], int(i in chosen), share[i], instructions.get(task, 0))
            for i, task in enumerate(candidates)
        ]
        tidy.write(folder / "coefficients.csv", mixing.COEFFICIENT_COLUMNS, rows)
        rows = [
            (*key, variant, task, *numbers)
            for variant in variants
            for task, *numbers in zip(tasks, variants[variant], counts[variant], strict=True)
        ]
        tidy.write(folder / "mixtures.csv", MIXTURE_COLUMNS, rows)
        for variant, numbers in counts.items():
            heads = [sample for task, n in zip(tasks, numbers, strict=True) for sample in samples[task][:n]]
            training_sets.write(folder / f"{variant}-basic.csv", mixing.mixed(heads, arguments.seed))
        report = {
            "model": arguments.model,
            "seed": arguments.seed,
            "kept": tasks,
            "left_out_as_test": {task: {"samples": len(ids), "same_as": ids} for task, ids in left_out.items()},
            "note": sentence,
        }
        write_json(folder / "report.json", report)


def check_numbers(arguments: argparse.Namespace) -> None:
    """Check that every count and seed on the command line is in its range."""
    least = {"instructions": 1, "keep": 1, "random_draws": 0, "seed": 0, "bootstrap_seed": 0}
    for name, smallest in least.items():
        given = getattr(arguments, name)
        if given < smallest:
            raise InputError(f"--{name.replace('_', '-')} is {given}: give a whole number of {smallest} or more.")


def check_given(candidates: Collection[str], given: Collection[str], what: str, option: str, form: str) -> None:
    """Check that every candidate is given an option that says what it has, and the other way round."""
    if lacking := [task for task in candidates if task not in given]:
        raise InputError(f"The candidate {lacking[0]} has no {what}: add {option} {lacking[0]}={form}.")
    if foreign := [task for task in given if task not in candidates]:
        raise InputError(f"{option} names {foreign[0]}, which is no candidate: add it as --candidate or leave it.")


def same_as_test(task: str, samples: list[Sample], rows: Path, test: list[Item]) -> dict[str, str]:
    """Ids of the samples that are also items of the test, each with an id that it has there.

    Raises:
        InputError: a sample is no row of the file `rows`, so that nothing can be said of it.
    """
    items = {item.id: item for item in leakage.read(rows)}
    if lacking := [id for _, id in samples if id not in items]:
        raise InputError(
            f"The training set of {task} has the sample {lacking[0]}, which {rows} lacks: make both from the same rows."
        )
    return leakage.same([items[id] for _, id in samples], test)


def fit(candidates: dict[str, Path], arguments: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients [1 + B, tasks] of the candidates' changes, and R² [1 + B], with bootstrap replicates."""
    target, *basic = [
        a_run(task, folder, arguments) for task, folder in {TARGET: arguments.target, **candidates}.items()
    ]
    run_table.check_patterns([target, *basic])
    basic_changes = np.stack([changes(run, arguments) for run in basic], axis=1)
    return mixing.coefficients(changes(target, arguments), basic_changes, arguments.intercept)


def a_run(task: str, folder: Path, arguments: argparse.Namespace) -> Run:
    """A pattern folder as the run table would name it."""
    role = "complex" if task == TARGET else "basic"
    names = ("mixing", "", arguments.model, arguments.model, task, task, "", role)
    return Run(*names, arguments.seed, folder.parent.name, folder)


def changes(run: Run, arguments: argparse.Namespace) -> np.ndarray:
    """Change of the pattern of a run with its bootstrap replicates, [1 + B, layers, heads]."""
    before, after = run_table.before_and_after(run)
    return change(*paired_replicates(before, after, run.task, arguments.resamples, arguments.bootstrap_seed))


def check_enough(tasks: list[str], counts: dict[str, list[int]], samples: dict[str, list[Sample]]) -> None:
    """Check that every kept task has the samples that each variant takes of it."""
    for variant, numbers in counts.items():
        for task, wanted in zip(tasks, numbers, strict=True):
            if wanted > len(samples[task]):
                smallest = min(len(samples[kept]) for kept in tasks)
                raise InputError(
                    f"The mixture {variant} takes {wanted} instructions of {task}, whose training set has "
                    f"{len(samples[task])} that are no test item: lower studies.mixing.instructions "
                    f"({smallest} are enough for any shares)."
                )


def note(arguments: argparse.Namespace, tasks: list[str]) -> str:
    """What a reader must know of a mixture of fewer tasks than asked for; empty otherwise."""
    if len(tasks) == arguments.keep:
        return ""
    where = f"Model {arguments.model}, seed {arguments.seed}"
    if not tasks:
        return f"{where}: no candidate has a positive coefficient, so that the mixtures are empty."
    if len(tasks) == 1:
        return (
            f"{where}: only {tasks[0]} has a positive coefficient, so that every mixture consists of it alone and "
            "random shares equal those of the coefficients."
        )
    return f"{where}: only {len(tasks)} of the {arguments.keep} tasks to keep have a positive coefficient."


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = command_line.parser(__doc__)
    p.add_argument("--model", required=True, help="name of the model, as the tables show it")
    p.add_argument("--seed", type=int, required=True, help="training seed; also draws random shares and the order")
    p.add_argument("--target", type=Path, required=True, help="patterns of the run on the complex task's own data")
    for option, value, what in (
        ("--candidate", "FOLDER", "patterns of the run on a basic task; once for each, in display order"),
        ("--training-set", "CSV", "training set (dataset, id) of that run, of which a mixture takes the first rows"),
        ("--training-rows", "PARQUET", "rows of that training set: parquet with id, prompt, choices"),
    ):
        p.add_argument(option, action="append", required=True, metavar=f"TASK={value}", help=what)
    p.add_argument("--test", type=Path, required=True, help="parquet of the complex task's test items; none is mixed")
    p.add_argument("--instructions", type=int, required=True, help="instructions N of a mixture")
    p.add_argument("--keep", type=int, default=2, help="number of basic tasks in a mixture")
    p.add_argument("--random-draws", type=int, default=3, help="mixtures of the same tasks in random shares")
    p.add_argument("--intercept", action="store_true", help="fit a constant as well; the paper's Eq. 3 has none")
    p.add_argument("--resamples", type=int, default=1000, help="bootstrap replicates of the probe set")
    p.add_argument("--bootstrap-seed", type=int, default=0, help="seed of the bootstrap")
    p.add_argument("--output", type=Path, required=True, help="folder of coefficients, mixtures and training sets")
    return p


if __name__ == "__main__":
    command_line.run(main, parser())
