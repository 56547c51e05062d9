"""Which samples of a pool resemble a few private ones: by activation patterns (Eq. 5) or, to compare with, by words.

Pools have thousands of samples. Patterns are worked on in blocks of BLOCK samples, in float64: they may lie on disk
(`studies.patterns.OnDisk`), and never lie in memory as a whole.
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
"""Samples worked on at a time: with 32 x 32 heads, each array of a block takes 4 MiB."""

# Scripts written without spaces: Japanese kana, Chinese characters (extension A, main block, compatibility, the
# supplementary planes) and the iteration mark.
CJK = "\u3005\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
TOKEN = re.compile(rf"[{CJK}]|[^\W{CJK}]+")


class InBlocks(Protocol):
    """Per-sample patterns [samples, layers, heads] of which slices are taken: an array, or what lies on disk."""

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
    """Ids with their scores [samples], the highest score first, undefined (NaN) ones last.

    Scores that agree in ten significant digits, all that the tables show, are ties and keep the order of `ids`: no
    choice hangs on how a library rounded its last digits, and the ranks can be found again from the table.
    """
    shown = np.array([float(f"{score:.10g}") for score in scores])
    order = np.argsort(-shown, kind="stable")  # NaN sorts last
    return [(ids[index], float(scores[index])) for index in order]


@dataclass(frozen=True)
class ByLayer:
    """Per-sample patterns whose layers are divided by their sums: where in its layer a head stands is left.

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
    """Minus the distance of each sample's rank from the middle, [samples]: the same of losses and of perplexities."""
    ranks = scipy.stats.rankdata(losses)
    found: np.ndarray = -np.abs(ranks - (len(losses) + 1) / 2)
    return found


def ifd_scores(losses: np.ndarray, alone: np.ndarray) -> np.ndarray:
    """Instruction-following difficulty (Li et al. 2024): loss of a response over that without its prompt, [samples].

    Above 1 the prompt does harm, which they take for a sample whose parts do not belong together: undefined, as is the
    ratio to a loss of 0.
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
    """Ids in the order in which references take them in turn, each the most similar one that is left, with that.

    Args:
        similarity: [samples, references]; of equal ones the first sample is taken.
        ids: of the samples.
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

    At each checkpoint the cosine of the sample's feature with that of each sample of the target, the mean of these over
    checkpoints weighted by their learning rates, the mean over the samples of each subtask, and the largest of the
    subtasks: data_selection/matching.py of princeton-nlp/LESS.

    Args:
        candidates: features of the samples, rows of norm 1 [checkpoints, samples, dimension].
        targets: those of the target's samples [checkpoints, target samples, dimension].
        learning_rates: of the checkpoints.
        groups: which subtasks each of the target's samples belongs to, bool [target samples, subtasks]; each has one.
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
        documents: texts of the pool. Word weights mean something from some dozens of documents on.
    """
    from rank_bm25 import BM25Okapi

    corpus = [list(map(sys.intern, tokens(document))) for document in documents]  # a word takes memory once
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
