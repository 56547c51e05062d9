"""Rank a pool by the similarity of its samples to those of a target, outside the workflow."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from headpatterns import extras
from headpatterns.api.extracting import resolved, taken
from headpatterns.attribution import files
from headpatterns.attribution.extract import Settings
from headpatterns.data import samples as rows_of
from headpatterns.errors import InputError
from headpatterns.io import write_csv, write_text
from headpatterns.studies.reading import PLAIN
from headpatterns.studies.selection import scores as scoring
from headpatterns.studies.selection import select as rule
from headpatterns.studies.selection.pool import Patterns, check_comparable, read_step
from headpatterns.studies.selection.settings import READING

METHODS = (
    "pattern", "nearest", "signed", "by-layer", "bm25", "rds", "ifd", "mid-perplexity", "top-perplexity",
)  # fmt: skip
"""Ways to rank a pool without training. The study's `base-pattern` is `pattern` with the base model."""

BY_WORDS = frozenset({"bm25"})
"""Methods that need no model."""

READ_AT_ONCE = 8192
"""Tokens of a batch for hidden states, if no number is given."""

RANKING, PATTERNS, POOL, TARGET = "ranking.csv", "patterns", "pool", "target"
COLUMNS = ("id", "method", "score", "rank")


@dataclass(frozen=True)
class Selection:
    """The result of `select`.

    Attributes:
        table: a row for each method and sample of the pool, the best first: id, method, score (NaN if it does not
            exist; such samples rank last) and rank from 1 on.
        csv: the file of that table.
        chosen: by method and budget, a file with the rows of the best samples (JSON lines) for training.
    """

    table: pd.DataFrame
    csv: Path
    chosen: dict[tuple[str, int], Path]


def select(
    model: str | Path,
    pool: str | Path,
    target: str | Path,
    output: str | Path = "selection",
    *,
    methods: Sequence[str] = ("pattern",),
    budgets: Sequence[int] = (),
    experiment: str | Path | None = None,
    template: str | None = None,
    max_length: int = 1024,
    token_budget: int | str = "auto",
    device: str = "cpu",
    dtype: str = "float32",
    threads: int | None = None,
) -> Selection:
    """Rank the samples of a pool by their similarity to the samples of a target, without training.

    `pattern` is Eq. 5, the correlation of a sample's activation pattern with the mean pattern of the target. The paper
    computes both with a model that was fine-tuned on the target: give that model as `model`. `nearest` uses the most
    similar sample of the target, `signed` keeps signs, `by-layer` divides each layer by its sum. `bm25` compares words
    and needs no model. `rds` uses the model's hidden states; `ifd`, `mid-perplexity` and `top-perplexity` use its
    losses and do not depend on the target. Patterns of an earlier call with the same output are reused.

    Args:
        model: a folder in Hugging Face layout, a GGUF file, or a name of `experiment`: MODEL or MODEL/RUN.
        pool: a file or folder of rows with prompt, response and optionally id.
        target: a file or folder of the same form.
        output: folder for the ranking, the chosen rows and the patterns.
        methods: some of `METHODS`.
        budgets: numbers of best samples to write as rows, each to a file METHOD-N.jsonl.
        experiment: folder of an experiment, results/NAME, whose models and runs may be named.
        template: prompt template into which rows are put: `question`, `alpaca`, `chat` (of the model's tokenizer), or a
            text with {instruction}; None if prompts are ready.
        max_length: tokens at which a sample is cut; a sample whose whole response lies beyond is left out.
        token_budget: tokens of a batch, padding included; `auto` takes what fits into free memory.
        device: cpu, cuda, cuda:N or mps.
        dtype: float32, bfloat16 or float16.
        threads: processor threads; None for all processors.

    Raises:
        InputError: an argument cannot be used, or a budget is larger than the pool.
        Interrupted: SIGTERM or Ctrl-C came; finished samples are kept.
    """
    _check_methods(methods)
    with_model = not set(methods) <= BY_WORDS
    if with_model:
        extras.need("ranking by " + " and ".join(one for one in methods if one not in BY_WORDS), "models")
    folder, pool, target = Path(output), Path(pool), Path(target)
    rows = {row["id"]: row for row in rows_of.read(pool)}  # in the form in which they are written again
    if budgets and not 1 <= min(budgets) <= max(budgets) <= len(rows):
        raise InputError(f"{pool} has {len(rows)} rows: give budgets from 1 to {len(rows)}.")
    settings = Settings.of_call(
        resolved(model, experiment, folder) if with_model else Path(model),
        max_length=max_length,
        token_budget=token_budget,
        device=device,
        dtype=dtype,
        threads=threads,
    )
    pool, target = (
        rows_of.in_template(data, template, folder / PATTERNS / f"{name}.jsonl")
        for name, data in ((POOL, pool), (TARGET, target))
    )
    read = _read if with_model else _unread
    of_pool, of_target = (
        read(data, folder / PATTERNS / name, settings) for name, data in ((POOL, pool), (TARGET, target))
    )
    if with_model:
        check_comparable(of_pool, of_target)
    if max(budgets, default=0) > len(of_pool.ids):
        raise InputError(
            f"{len(of_pool.ids)} samples of {pool} have a response within {max_length} tokens: lower budgets."
        )
    order = _order(pool, target, folder, methods, settings)
    scores, _ = rule.score(order, of_pool.ids, of_pool, of_target)
    ranked = {method: scoring.ranking(found, of_pool.ids) for method, found in scores.items()}
    if "rds" in methods:
        ranked["rds"] = scoring.round_robin(rule.similarity_of_states(order, of_pool.ids, of_target.ids), of_pool.ids)
    table = [(id, method, score, n) for method in methods for n, (id, score) in enumerate(ranked[method], start=1)]
    write_csv(folder / RANKING, COLUMNS, table)
    chosen = {(method, n): folder / f"{method}-{n}.jsonl" for method in methods for n in budgets}
    for (method, n), path in chosen.items():
        lines = [json.dumps(rows[id], ensure_ascii=False) for id, _ in ranked[method][:n]]
        write_text(path, "".join(line + "\n" for line in lines))
    return Selection(pd.DataFrame(table, columns=list(COLUMNS)), folder / RANKING, chosen)


def _check_methods(methods: Sequence[str]) -> None:
    """Refuse methods that do not exist, or none.

    Raises:
        InputError: naming the first.
    """
    if not methods:
        raise InputError(f"no method is named: give some of {', '.join(METHODS)}.")
    if unknown := [one for one in methods if one not in METHODS]:
        raise InputError(f"unknown method '{unknown[0]}': use some of {', '.join(METHODS)}.")
    if len(set(methods)) < len(methods):
        raise InputError(f"a method is named twice ({', '.join(methods)}): name each method once.")


def _read(data: Path, own: Path, settings: Settings) -> Patterns:
    """The patterns on all rows of a file, in the folder `own`; one model is used as both models of the study."""
    taken(data, own / "step-0.npy", None, 0, settings)
    ids, found = read_step(own, 0, PLAIN)
    weights = np.full(len(ids), 1 / len(ids))
    return Patterns(own, 0, ids, {"base": found, "probe": found}, files.about(own, 0).losses, weights)


def _unread(data: Path, own: Path, settings: Settings) -> Patterns:
    """The samples of a file if no method needs their patterns or losses."""
    ids = [row["id"] for row in rows_of.read(data)]
    nothing = np.full(len(ids), np.nan)
    return Patterns(own, 0, ids, {}, nothing, nothing)


def _order(pool: Path, target: Path, folder: Path, methods: Sequence[str], settings: Settings) -> rule.Order:
    """The data to rank, for the functions of the study; `features` are computed if a method needs them."""
    candidates = folder / "features" if set(methods) & set(READING) else None
    if candidates:
        from headpatterns.studies.selection import features

        features.write(
            settings.model,
            {"probe": pool, "train": target},
            candidates,
            max_length=settings.max_length,
            token_budget=settings.token_budget if isinstance(settings.token_budget, int) else READ_AT_ONCE,
            dtype=settings.dtype,
            device=settings.device,
            threads=settings.threads,
        )
    return rule.Order(
        dataset=pool.stem,
        domain=target.stem,
        seed=0,
        pool=pool,
        pool_patterns=folder / PATTERNS / POOL,
        pseudo_private_patterns=folder / PATTERNS / TARGET,
        instructions=pool,
        pseudo_private=target,
        methods=methods,
        candidates=candidates,
        tags=(),
        budgets=[],
        random_draws=0,
        related=None,
        reading=PLAIN,
        output=folder,
    )
