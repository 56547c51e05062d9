"""Which samples of a pool resemble a few private samples: by activation patterns (Eq. 5) or, for comparison, by words.

Pools have thousands of samples. Patterns are processed in blocks of BLOCK samples, in float64. They may be on disk
(`studies.patterns.OnDisk`), and are never in memory as a whole.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy

from headpatterns.statistics import pearson, standardised

BLOCK = 512
"""Samples processed at a time: with 32 x 32 heads, each array of a block takes 4 MiB."""

# Scripts written without spaces: Japanese kana, Chinese characters (extension A, main block, compatibility, the
# supplementary planes) and the iteration mark.
CJK = "\u3005\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
TOKEN = re.compile(rf"[{CJK}]|[^\W{CJK}]+")


class InBlocks(Protocol):
    """Per-sample patterns [samples, layers, heads] that can be sliced: an array, or patterns on disk."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice) -> np.ndarray: ...


def correlation_scores(patterns: InBlocks, reference: np.ndarray) -> np.ndarray:
    """Pearson correlation of every sample's pattern with one pattern over its layers x heads entries (Eq. 5).

    Args:
        patterns: per-sample patterns [samples, layers, heads], at least one.
        reference: [layers, heads], the mean pattern of the private samples.

    Returns:
        float64 [samples] in [-1, 1]; NaN for a constant pattern, and everywhere if `reference` is constant.
    """
    return np.concatenate([pearson(block, reference) for block in _blocks(patterns)])


def nearest_scores(patterns: InBlocks, references: np.ndarray) -> np.ndarray:
    """Largest Pearson correlation of every sample's pattern with any of several patterns.

    Args:
        patterns: per-sample patterns [samples, layers, heads], at least one.
        references: patterns of the private samples [private samples, layers, heads]; constant ones are passed over.

    Returns:
        float64 [samples] in [-1, 1]; NaN for a constant pattern, and everywhere if all of `references` are constant.
    """
    directions = standardised(references)
    directions = directions[~np.isnan(directions).any(axis=-1)].T
    if not directions.size:
        return np.full(len(patterns), np.nan)
    scores = [(standardised(block) @ directions).max(axis=-1) for block in _blocks(patterns)]
    clipped: np.ndarray = np.clip(np.concatenate(scores), -1.0, 1.0)
    return clipped


def ranking(scores: np.ndarray, ids: Sequence[str]) -> list[tuple[str, float]]:
    """Ids with their scores [samples], the highest score first, undefined (NaN) scores last.

    Scores that agree in ten significant digits are ties and keep the order of `ids`; the tables show these digits. So
    no choice depends on how a library rounds the last digits, and the ranks can be reproduced from the table.
    """
    shown = np.array([float(f"{score:.10g}") for score in scores])
    order = np.argsort(-shown, kind="stable")  # NaN sorts last
    return [(ids[index], float(scores[index])) for index in order]


@dataclass(frozen=True)
class ByLayer:
    """Per-sample patterns whose layers are divided by their sums, so only a head's share of its layer is left.

    Attributes:
        patterns: [samples, layers, heads].
    """

    patterns: InBlocks

    def __len__(self) -> int:
        return len(self.patterns)

    def __getitem__(self, part: slice) -> np.ndarray:
        """The samples of a slice; a layer in which no head is active stays at 0."""
        levels = self.patterns[part].astype(np.float64)
        sums = levels.sum(axis=2, keepdims=True)
        shares: np.ndarray = np.divide(levels, sums, out=np.zeros_like(levels), where=sums > 0)
        return shares


def middle_scores(losses: np.ndarray) -> np.ndarray:
    """Minus the distance of each sample's rank from the middle, [samples]; equal for losses and perplexities."""
    ranks = scipy.stats.rankdata(losses)
    found: np.ndarray = -np.abs(ranks - (len(losses) + 1) / 2)
    return found


def ifd_scores(losses: np.ndarray, alone: np.ndarray) -> np.ndarray:
    """Instruction-following difficulty (Li et al. 2024): loss of a response / its loss without the prompt, [samples].

    Above 1 the prompt does harm; the authors take this for a sample whose parts do not belong together. Such a score is
    undefined, as is the ratio to a loss of 0.
    """
    ratio = np.full(losses.shape, np.nan)
    np.divide(losses, alone, out=ratio, where=alone > 0)
    return np.where(ratio <= 1, ratio, np.nan)


def cosines(states: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Cosine of every row of one matrix with every row of another, [samples, references]."""
    directions = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (states, references)]
    similarity: np.ndarray = directions[0] @ directions[1].T
    return similarity


def round_robin(similarity: np.ndarray, ids: Sequence[str]) -> list[tuple[str, float]]:
    """Ids with their similarities: the references take turns, and each takes the most similar sample that is left.

    Args:
        similarity: [samples, references]; the first of equally similar samples is taken.
        ids: ids of the samples.
    """
    preferences = np.argsort(-similarity, axis=0, kind="stable")
    next_of = [0] * similarity.shape[1]
    taken: dict[int, float] = {}
    while len(taken) < len(ids):
        for reference in range(similarity.shape[1]):
            while next_of[reference] < len(ids) and int(preferences[next_of[reference], reference]) in taken:
                next_of[reference] += 1
            if next_of[reference] < len(ids):
                sample = int(preferences[next_of[reference], reference])
                taken[sample] = float(similarity[sample, reference])
    return [(ids[sample], score) for sample, score in taken.items()]


def influence_scores(
    candidates: np.ndarray, targets: np.ndarray, learning_rates: Sequence[float], groups: np.ndarray
) -> np.ndarray:
    """How much training on a sample helps with a target, by LESS (Xia et al. 2024), float64 [samples].

    The score follows data_selection/matching.py of princeton-nlp/LESS. It takes the cosine of the sample's feature with
    the feature of each target sample at each checkpoint. These are averaged over checkpoints, weighted by learning
    rates, then over the samples of each subtask. The score is the largest mean of any subtask.

    Args:
        candidates: features of the samples, rows of norm 1 [checkpoints, samples, dimension].
        targets: features of the target's samples [checkpoints, target samples, dimension].
        learning_rates: learning rates at the checkpoints.
        groups: the subtasks of each target sample, bool [target samples, subtasks]; each sample has one.
    """
    shares = np.asarray(learning_rates, dtype=np.float64) / np.sum(learning_rates)
    cosines = sum(
        share * (own.astype(np.float64) @ others.T.astype(np.float64))
        for share, own, others in zip(shares, candidates, targets, strict=True)
    )
    by_group = (cosines @ groups.astype(np.float64)) / groups.sum(axis=0)
    largest: np.ndarray = by_group.max(axis=1)
    return largest


def bm25_scores(queries: Sequence[str], documents: Sequence[str]) -> np.ndarray:
    """Mean BM25 score of every document over the queries, float64 [documents].

    The weights are those of `rank_bm25.BM25Okapi` (k1 = 1.5, b = 0.75) with the documents as its corpus. It replaces
    the negative weight of a word that more than half of the documents have, as the words of a prompt template, by a
    quarter of the mean weight. Tokens are those of `tokens`. The score of a query is a sum over its tokens, so each
    distinct token of all the queries is looked up once and weighed by how often it occurs in them.

    Args:
        queries: texts of the private samples, at least one.
        documents: texts of the pool. Word weights are meaningful from a few dozen documents on.
    """
    from rank_bm25 import BM25Okapi

    corpus = [list(map(sys.intern, tokens(document))) for document in documents]  # each word is stored once
    if not any(corpus):
        return np.zeros(len(documents))
    index = BM25Okapi(corpus)
    scores = np.zeros(len(documents))
    for token, times in Counter(token for query in queries for token in tokens(query)).items():
        if token in index.idf:
            scores += times * index.get_scores([token])
    return scores / len(queries)


def tokens(text: str) -> list[str]:
    """Words in lower case, without punctuation; in Chinese and Japanese, which have no spaces, single characters."""
    return TOKEN.findall(text.lower())


def _blocks(patterns: InBlocks) -> Iterator[np.ndarray]:
    """Parts of at most BLOCK samples."""
    for start in range(0, len(patterns), BLOCK):
        yield patterns[start : start + BLOCK]
