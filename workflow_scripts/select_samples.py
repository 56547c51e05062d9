"""Select training samples from a pool by how much they resemble pseudo-private ones (Table 3, Eq. 5).

Methods: `pattern` (correlation of a sample's activation pattern with the mean pseudo-private one, both under the probe
model, which was fine-tuned on the pseudo-private samples), `base-pattern` (the same under the base model), `nearest`
(correlation with the most similar pseudo-private sample, under the probe model), `bm25` (words of the prompts) and
`random{k}` (seeded draws, the same for every model). All choose among the samples of the pool that have a pattern.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headpatterns import cli as command_line
from headpatterns import tidy
from headpatterns.attribution import files as patterns
from headpatterns.data import samples, training_sets
from headpatterns.data.splitting import rank
from headpatterns.errors import InputError, first_line
from headpatterns.io import atomic_path, read_json, write_json
from headpatterns.statistics import is_constant
from headpatterns.studies.selection import scores as selection

MODEL_OF = {"pattern": "probe", "base-pattern": "base", "nearest": "probe"}
"""The methods that go by patterns and the model under which these are taken."""

NAMED = 5
"""Samples that a printed sentence names; report.json names all."""


@dataclass(frozen=True)
class Patterns:
    """Per-sample patterns [samples, layers, heads] under the models `base` (step 0) and `probe` (the largest step)."""

    folder: Path
    step: int
    ids: list[str]
    under: dict[str, np.ndarray]


def main(arguments: argparse.Namespace) -> None:
    """Rank the pool by every method, cut the rankings at the budgets and write all of it into the output folder."""
    pool = read_pool(arguments.pool, arguments.dataset)
    extracted, private = read_patterns(arguments.pool_patterns), read_patterns(arguments.pseudo_private_patterns)
    check_comparable(extracted, private)
    place = {id: number for number, id in enumerate(extracted.ids)}
    ids = [id for id in pool if id in place]
    check_budgets(arguments, ids)
    rows = [place[id] for id in ids]
    under = {model: array[rows] for model, array in extracted.under.items()}
    documents = prompts(arguments.instructions, ids, arguments.pool)
    queries = prompts(arguments.pseudo_private, private.ids, private.folder)

    scores = {
        "pattern": selection.correlation_scores(under["probe"], private.under["probe"].mean(axis=0, dtype=float)),
        "base-pattern": selection.correlation_scores(under["base"], private.under["base"].mean(axis=0, dtype=float)),
        "nearest": selection.nearest_scores(under["probe"], private.under["probe"]),
        "bm25": selection.bm25_scores(queries, documents),
    }
    ranked = {method: selection.ranking(found, ids) for method, found in scores.items()}
    drawn = {f"random{k}": draw(arguments, ids, k) for k in range(arguments.random_draws)}
    constant = {
        MODEL_OF[method]: about_constant(ids, scores[method], arguments.budgets)
        for method in ("pattern", "base-pattern")
    }
    report = {
        "dataset": arguments.dataset,
        "domain": arguments.domain,
        "seed": arguments.seed,
        "pool": len(pool),
        "ranked": len(ids),
        "without_pattern": [id for id in pool if id not in place],
        "pseudo_private": len(private.ids),
        "probe_step": extracted.step,
        "budgets": arguments.budgets,
        "random_draws": arguments.random_draws,
        "constant_patterns": constant,
    }
    write(arguments, ranked, drawn, report)
    print(f"{arguments.domain}: {len(ids)} of the pool's {len(pool)} samples have a pattern and were ranked.")
    for model, about in constant.items():
        if about["ids"]:
            print(sentence(model, about))


def read_pool(path: Path, dataset: str) -> list[str]:
    """The ids of the pool, in its order.

    Raises:
        InputError: no table, a row of another dataset, or an id given twice.
    """
    ids: dict[str, int] = {}
    for number, (of, id) in enumerate(training_sets.read(path), start=1):
        if of != dataset:
            raise InputError(f"{path}, row {number} is of the dataset {of!r}, not {dataset!r}: split the domain again.")
        if ids.setdefault(id, number) != number:
            raise InputError(f"{path}: rows {ids[id]} and {number} have the same id {id}: remove one.")
    return list(ids)


def read_patterns(folder: Path) -> Patterns:
    """The patterns of the base model and of the probe model on the same samples.

    Raises:
        InputError: one of the two is missing, incomplete or not finite, or they are of different samples.
    """
    steps = patterns.before_to_after(folder)
    (ids, base), (probe_ids, probe) = read_step(folder, 0), read_step(folder, steps[-1])
    if ids != probe_ids or base.shape != probe.shape:
        raise InputError(
            f"{folder}: steps 0 and {steps[-1]} differ in their samples, layers or heads: remove it and run again."
        )
    return Patterns(folder, steps[-1], ids, {"base": base, "probe": probe})


def read_step(folder: Path, step: int) -> tuple[list[str], np.ndarray]:
    """Sample ids and patterns [samples, layers, heads], only mapped, of one step."""
    path = folder / f"step-{step}.samples.npy"
    try:
        array = np.load(path, mmap_mode="r")
        ids = read_json(folder / f"step-{step}.json")["ids"]
    except (OSError, ValueError, EOFError, KeyError, TypeError) as error:
        raise InputError(
            f"step {step} of {folder} cannot be read ({first_line(error)}): remove the folder and run again."
        ) from error
    if array.ndim != 3 or 0 in array.shape or len(array) != len(ids):
        raise InputError(
            f"{path} has shape {array.shape}, not {len(ids)} samples x layers x heads: remove the folder and run again."
        )
    finite = np.isfinite(array).all(axis=(1, 2))
    if not finite.all():
        raise InputError(
            f"{path} is not finite at the sample {ids[int(np.argmin(finite))]}: extract the patterns again in a wider "
            "number format."
        )
    return ids, array


def check_comparable(extracted: Patterns, private: Patterns) -> None:
    """Check that pool and pseudo-private patterns can be correlated.

    Raises:
        InputError: other layers and heads, another number of steps, or a constant mean pattern.
    """
    shapes = [one.under["base"].shape[1:] for one in (extracted, private)]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"{extracted.folder} has patterns of {shapes[0][0]} layers x {shapes[0][1]} heads but {private.folder} of "
            f"{shapes[1][0]} x {shapes[1][1]}: extract both from one run."
        )
    if extracted.step != private.step:
        raise InputError(
            f"{extracted.folder} ends at step {extracted.step} but {private.folder} at step {private.step}: extract "
            "both from one run."
        )
    for model, array in private.under.items():
        if is_constant(array.mean(axis=0, dtype=float).ravel()):
            raise InputError(
                f"The mean pattern of {private.folder} under the {model} model is the same for all "
                f"{array[0].size} heads, so that nothing correlates with it: select with another model."
            )


def check_budgets(arguments: argparse.Namespace, ids: Sequence[str]) -> None:
    """Check that the pool has enough samples.

    Raises:
        InputError: a budget below 1 or above the number of samples that can be ranked, or a negative number of draws.
    """
    if arguments.random_draws < 0:
        raise InputError(
            f"--random-draws is {arguments.random_draws}: give 0 or more (studies.selection.random_draws)."
        )
    for n in arguments.budgets:
        if n < 1:
            raise InputError(f"The budget {n} selects nothing: give 1 or more in studies.selection.budgets.")
        if n > len(ids):
            raise InputError(
                f"The budget {n} is larger than the pool {arguments.pool}, of which {len(ids)} samples have a pattern "
                f"in {arguments.pool_patterns}: lower it in studies.selection.budgets."
            )


def prompts(path: Path, ids: Sequence[str], source: Path) -> list[str]:
    """The prompts of samples; `source` is what names these.

    Raises:
        InputError: the file cannot be used, or does not hold a sample.
    """
    known = {row["id"]: row["prompt"] for row in samples.read(path)}
    for id in ids:
        if id not in known:
            raise InputError(f"{source} names the sample {id}, which {path} does not hold: make both from the same.")
    return [known[id] for id in ids]


def draw(arguments: argparse.Namespace, ids: Sequence[str], k: int) -> list[tuple[str, str]]:
    """All ids in the order of draw k, which depends on seed, domain and k alone; their score is empty."""
    return [(id, "") for id in sorted(ids, key=lambda id: rank(arguments.seed, f"{arguments.domain} random{k} {id}"))]


def about_constant(ids: Sequence[str], scores: np.ndarray, budgets: Sequence[int]) -> dict[str, Any]:
    """Ids of the constant patterns, whose scores are undefined, and how many of them each budget has to take."""
    undefined = [id for id, score in zip(ids, scores, strict=True) if np.isnan(score)]
    defined = len(ids) - len(undefined)
    return {"ids": undefined, "taken": {str(n): n - defined for n in budgets if n > defined}}


def sentence(model: str, about: dict[str, Any]) -> str:
    """What `about_constant` found under one model; of many ids the first."""
    methods = " and ".join(method for method, its_model in MODEL_OF.items() if its_model == model)
    named = ", ".join(about["ids"][:NAMED]) + (", …" if len(about["ids"]) > NAMED else "")
    taken = "".join(f"; the budget {n} has to take {count} of them" for n, count in about["taken"].items())
    return (
        f"{len(about['ids'])} pool samples have a constant pattern under the {model} model and rank last by {methods} "
        f"({named}){taken}."
    )


def write(arguments: argparse.Namespace, ranked: dict[str, list], drawn: dict[str, list], report: dict) -> None:
    """Write scores.csv, {method}-{n}.csv and report.json; the folder appears whole or not at all."""
    with atomic_path(arguments.output) as temporary:
        temporary.mkdir()
        rows = [(id, method, score, n) for method in ranked for n, (id, score) in enumerate(ranked[method], start=1)]
        tidy.write(temporary / "scores.csv", ("id", "method", "score", "rank"), rows)
        for method, order in {**ranked, **drawn}.items():
            for n in arguments.budgets:
                chosen = [(arguments.dataset, id, score) for id, score in order[:n]]
                tidy.write(temporary / f"{method}-{n}.csv", (*training_sets.COLUMNS, "score"), chosen)
        write_json(temporary / "report.json", report)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--dataset", required=True, help="name of the dataset")
    made.add_argument("--domain", required=True, help="name of the domain")
    made.add_argument("--seed", type=int, required=True, help="seed of the random draws")
    made.add_argument("--pool", type=Path, required=True, help="CSV of the pool (dataset, id)")
    made.add_argument("--pool-patterns", type=Path, required=True, help="patterns on the dataset's probe rows")
    made.add_argument("--pseudo-private-patterns", type=Path, required=True, help="patterns on the training samples")
    made.add_argument("--instructions", type=Path, required=True, help="parquet with the pool's prompts")
    made.add_argument("--pseudo-private", type=Path, required=True, help="parquet with the pseudo-private prompts")
    made.add_argument("--budgets", type=int, nargs="+", required=True, help="numbers of samples to select")
    made.add_argument("--random-draws", type=int, required=True, help="number of random selections of each size")
    made.add_argument("--output", type=Path, required=True, help="folder to write")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
