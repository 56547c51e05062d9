"""Select training samples from a pool by how much they resemble pseudo-private ones (Table 3, Eq. 5).

By patterns: `pattern` (correlation of a sample's activation pattern with the mean pseudo-private one, both under the
probe model, which was fine-tuned on the pseudo-private samples), `base-pattern` (the same under the base model),
`nearest` (correlation with the most similar pseudo-private sample, under the probe model), `signed` (as `pattern`, with
the signs of Σ A·∂L/∂A) and `by-layer` (as `pattern`, each layer's levels divided by their sum). By words: `bm25`. By
the base model's states and losses: `rds` (RDS+, hidden states; Ivison et al. 2025), `ifd` (how little the prompt helps
with the response; Li et al. 2024), `mid-perplexity` and `top-perplexity`; the last three do not use the domain. By
gradients of adapters: `less` (LESS; Xia et al. 2024), where the domain's tags are the subtasks. `random{k}` are seeded
draws, the same for every model. All methods choose among the samples of the pool that have a pattern. If the samples
that are truly related to the domain are known, `oracle` is a seeded draw of these.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from headpatterns.data import deduplication, samples, training_sets
from headpatterns.data.splitting import rank
from headpatterns.errors import InputError
from headpatterns.io import atomic_path, write_csv, write_json
from headpatterns.studies.reading import Reading
from headpatterns.studies.selection import candidates as of_candidates
from headpatterns.studies.selection import costs, gradients
from headpatterns.studies.selection import scores as scoring
from headpatterns.studies.selection.pool import Patterns, check_comparable, read_patterns, read_pool
from headpatterns.studies.selection.settings import LESS, READING, Method

METHODS: tuple[str, ...] = get_args(Method)
MODEL_OF = {"pattern": "probe", "base-pattern": "base", "nearest": "probe"}
"""The methods whose scores are undefined for a constant pattern, and the model under which patterns are taken."""

NAMED = 5
"""Number of samples that a printed sentence names; report.json names all."""

Ranking = list[tuple[str, float]]
"""Ids with their scores, the best first."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """A request to select samples.

    Attributes:
        dataset: name of the dataset.
        domain: name of the domain.
        seed: seed of the random draws.
        pool: CSV of the pool (dataset, id).
        pool_patterns: folder of the patterns on the dataset's probe rows.
        pseudo_private_patterns: folder of the patterns on the pseudo-private samples.
        instructions: parquet with the pool's prompts.
        pseudo_private: parquet with the pseudo-private prompts.
        methods: some of `METHODS`, in the order of the table.
        candidates: folder of the base model's features of the samples, or None if no method needs it.
        tags: tags of the domain, if `less` is among the methods.
        budgets: numbers of samples to select.
        random_draws: number of random selections of each size.
        related: CSV of the pool's samples that are truly related to the domain, or None if they are unknown.
        reading: how patterns are read. Dividing a sample's pattern by one number does not change its correlations, but
            changes the mean pseudo-private pattern. The choices for Eq. 3 have no effect here.
        output: folder to write.
    """

    dataset: str
    domain: str
    seed: int
    pool: Path
    pool_patterns: Path
    pseudo_private_patterns: Path
    instructions: Path
    pseudo_private: Path
    methods: Sequence[str]
    candidates: Path | None
    tags: Sequence[str]
    budgets: list[int]
    random_draws: int
    related: Path | None
    reading: Reading
    output: Path


def select(order: Order) -> None:
    """Rank the pool by every method, cut the rankings at the budgets and write the results into the output folder.

    Raises:
        InputError: a file cannot be used, patterns cannot be compared, or a budget or number of draws is out of range.
    """
    pool = read_pool(order.pool, order.dataset)
    folders = (order.pool_patterns, order.pseudo_private_patterns)
    extracted, private = (read_patterns(folder, order.reading) for folder in folders)
    check_comparable(extracted, private)
    with_pattern = set(extracted.ids)
    ids = [id for id in pool if id in with_pattern]
    check_budgets(order, ids)
    related = read_related(order, pool, ids)
    scores, seconds = score(order, ids, extracted, private)
    ranked = {method: scoring.ranking(found, ids) for method, found in scores.items()}
    if "rds" in order.methods:
        begun = time.monotonic()
        ranked["rds"] = scoring.round_robin(similarity_of_states(order, ids, private.ids), ids)
        seconds["rds"] = time.monotonic() - begun
    constant = {
        MODEL_OF[method]: about_constant(ids, scores[method], order.budgets)
        for method in ("pattern", "base-pattern")
        if method in scores
    }
    report = {
        "dataset": order.dataset,
        "domain": order.domain,
        "seed": order.seed,
        "pool": len(pool),
        "ranked": len(ids),
        "without_pattern": [id for id in pool if id not in with_pattern],
        "pseudo_private": len(private.ids),
        "probe_step": extracted.step,
        "budgets": order.budgets,
        "random_draws": order.random_draws,
        "constant_patterns": constant,
        "related": None if related is None else len(related),
    }
    drawn = {f"random{k}": draw(order, ids, f"random{k}") for k in range(order.random_draws)}
    if related is not None:
        drawn["oracle"] = draw(order, related, "oracle")
    in_order = {method: seconds[method] for method in order.methods}
    heads = int(np.prod(extracted.under["base"].shape[1:]))
    cost = list(costs.rows(in_order, len(ids), order.pool_patterns, extracted.step, heads, order.candidates))
    write(order, {method: ranked[method] for method in order.methods}, drawn, report, cost)
    print(f"{order.domain}: {len(ids)} of the pool's {len(pool)} samples have a pattern and were ranked.")
    for model, about in constant.items():
        if about["ids"]:
            print(sentence(model, about))


def score(
    order: Order, ids: Sequence[str], extracted: Patterns, private: Patterns
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Scores [samples] of the pool's samples `ids` by method, and the seconds that each took.

    They are NaN where a pattern is constant. `rds` has none.
    """
    place = {id: number for number, id in enumerate(extracted.ids)}
    rows = [place[id] for id in ids]
    losses = extracted.losses[rows]
    found: dict[str, Callable[[], np.ndarray]] = {
        "pattern": lambda: scoring.correlation_scores(extracted.under["probe"], private.mean("probe"))[rows],
        "base-pattern": lambda: scoring.correlation_scores(extracted.under["base"], private.mean("base"))[rows],
        "nearest": lambda: scoring.nearest_scores(extracted.under["probe"], private.under["probe"][:])[rows],
        "bm25": lambda: scoring.bm25_scores(
            prompts(order.pseudo_private, private.ids, private.folder), prompts(order.instructions, ids, order.pool)
        ),
        "signed": lambda: scoring.correlation_scores(extracted.signed, private.mean_of(private.signed))[rows],
        "by-layer": lambda: scoring.correlation_scores(
            scoring.ByLayer(extracted.under["probe"]), private.mean_of(scoring.ByLayer(private.under["probe"]))
        )[rows],
        "mid-perplexity": lambda: scoring.middle_scores(losses),
        "top-perplexity": lambda: losses,
        "ifd": lambda: scoring.ifd_scores(losses, read_candidates(order, "probe").of(ids).alone),
        LESS: lambda: influence(order, ids, private.ids),
    }
    scores, seconds = {}, {}
    for method in order.methods:
        if method in found:
            begun = time.monotonic()
            scores[method] = found[method]()
            seconds[method] = time.monotonic() - begun
    return scores, seconds


def influence(order: Order, ids: Sequence[str], private: Sequence[str]) -> np.ndarray:
    """LESS's scores of samples; the tags of the domain are the subtasks.

    Raises:
        InputError: gradients were not given or cannot be used, or a pseudo-private sample has no tag of the domain.
    """
    folder = candidates_of(order)
    pool, targets = (gradients.load(folder, name) for name in (gradients.POOL, gradients.TARGETS))
    tags = {item.id: item.tags for item in deduplication.read(order.pseudo_private, tagged=True)}
    belongs = np.array([[tag in tags.get(id, ()) for tag in order.tags] for id in private]).reshape(len(private), -1)
    if not belongs.any(axis=1).all():
        lacking = private[int(belongs.any(axis=1).argmin())]
        raise InputError(
            f"{order.pseudo_private}: the sample {lacking} has none of the tags of --tags: split the domain again."
        )
    own, others = pool.of(ids), targets.of(private)
    return scoring.influence_scores(own, others, pool.learning_rates, belongs[:, belongs.any(axis=0)])


def similarity_of_states(order: Order, ids: Sequence[str], private: Sequence[str]) -> np.ndarray:
    """Cosine of the hidden states of samples with those of the pseudo-private ones, [samples, private samples]."""
    pool, own = (read_candidates(order, name).of(some).states for name, some in (("probe", ids), ("train", private)))
    return scoring.cosines(pool, own)


def read_candidates(order: Order, name: str) -> of_candidates.Features:
    """The base model's features of the rows of a split.

    Raises:
        InputError: they were not given, or cannot be used.
    """
    return of_candidates.load(candidates_of(order), name)


def candidates_of(order: Order) -> Path:
    """The folder of the base model's features of the samples.

    Raises:
        InputError: it was not given.
    """
    if order.candidates is None:
        raise InputError(f"--candidates is missing: the methods {', '.join(READING)} need it.")
    return order.candidates


def check_budgets(order: Order, ids: Sequence[str]) -> None:
    """Check that the pool has enough samples.

    Raises:
        InputError: a budget below 1 or above the number of samples that can be ranked, or a negative number of draws.
    """
    if order.random_draws < 0:
        raise InputError(f"--random-draws is {order.random_draws}: give 0 or more (studies.selection.random_draws).")
    for n in order.budgets:
        if n < 1:
            raise InputError(f"The budget {n} selects nothing: give 1 or more in studies.selection.budgets.")
        if n > len(ids):
            raise InputError(
                f"The budget {n} is larger than the pool {order.pool}, which has {len(ids)} samples with a "
                f"pattern in {order.pool_patterns}: lower it in studies.selection.budgets."
            )


def prompts(path: Path, ids: Sequence[str], source: Path) -> list[str]:
    """The prompts of samples; `source` is the file that names these samples.

    Raises:
        InputError: the file cannot be used, or lacks a sample.
    """
    known = {row["id"]: row["prompt"] for row in samples.read(path)}
    for id in ids:
        if id not in known:
            raise InputError(
                f"{source} names the sample {id}, but {path} does not have it: make both from the same rows."
            )
    return [known[id] for id in ids]


def draw(order: Order, ids: Sequence[str], name: str) -> list[tuple[str, str]]:
    """All ids in the order of a draw, which depends only on seed, domain and name; their score is empty."""
    return [(id, "") for id in sorted(ids, key=lambda id: rank(order.seed, f"{order.domain} {name} {id}"))]


def read_related(order: Order, pool: Sequence[str], ids: Sequence[str]) -> list[str] | None:
    """The related samples that have a pattern, in the pool's order; None if they are unknown.

    Args:
        order: the request.
        pool: all samples of the pool.
        ids: the samples that have a pattern.

    Raises:
        InputError: a related sample is not in the pool, or there are fewer than a budget.
    """
    if order.related is None:
        return None
    listed = set(read_pool(order.related, order.dataset))
    if foreign := sorted(listed - set(pool)):
        raise InputError(
            f"{order.related} names {foreign[0]}, but {order.pool} does not have it: split the domain again."
        )
    related = [id for id in ids if id in listed]
    for n in order.budgets:
        if n > len(related):
            raise InputError(
                f"The budget {n} is larger than the related part of the pool, {order.related}, which has "
                f"{len(related)} samples with a pattern in {order.pool_patterns}: lower it in "
                f"studies.selection.budgets, or add tags to studies.selection.related.{order.domain}."
            )
    return related


def about_constant(ids: Sequence[str], scores: np.ndarray, budgets: Sequence[int]) -> dict[str, Any]:
    """Ids of the constant patterns, whose scores are undefined, and how many of them each budget has to take."""
    undefined = [id for id, score in zip(ids, scores, strict=True) if np.isnan(score)]
    defined = len(ids) - len(undefined)
    return {"ids": undefined, "taken": {str(n): n - defined for n in budgets if n > defined}}


def sentence(model: str, about: dict[str, Any]) -> str:
    """A sentence on the findings of `about_constant` under one model; it names only the first of many ids."""
    methods = " and ".join(method for method, its_model in MODEL_OF.items() if its_model == model)
    named = ", ".join(about["ids"][:NAMED]) + (", …" if len(about["ids"]) > NAMED else "")
    taken = "".join(f"; the budget {n} has to take {count} of them" for n, count in about["taken"].items())
    return (
        f"{len(about['ids'])} pool samples have a constant pattern under the {model} model and rank last by {methods} "
        f"({named}){taken}."
    )


def write(
    order: Order,
    ranked: Mapping[str, Ranking],
    drawn: Mapping[str, list[tuple[str, str]]],
    report: Any,
    cost: Sequence[tuple[Any, ...]],
) -> None:
    """Write scores.csv, {method}-{n}.csv, costs.csv and report.json; the folder appears whole or not at all."""
    with atomic_path(order.output) as temporary:
        temporary.mkdir()
        rows = [(id, method, score, n) for method in ranked for n, (id, score) in enumerate(ranked[method], start=1)]
        write_csv(temporary / "scores.csv", ("id", "method", "score", "rank"), rows)
        orders: dict[str, Sequence[tuple[str, Any]]] = {**ranked, **drawn}
        for method, ids in orders.items():
            for n in order.budgets:
                chosen = [(order.dataset, id, score) for id, score in ids[:n]]
                write_csv(temporary / f"{method}-{n}.csv", (*training_sets.COLUMNS, "score"), chosen)
        write_csv(temporary / "costs.csv", costs.COLUMNS, cost)
        write_json(temporary / "report.json", report)
