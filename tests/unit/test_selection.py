"""Selection scores, compared with scipy and brute force on each sample; degenerate patterns, ranking, words."""

import numpy as np
import pytest
from rank_bm25 import BM25Okapi
from scipy.stats import pearsonr

from headpatterns.studies.selection import scores as selection


@pytest.fixture
def generator():
    return np.random.default_rng(5)


def uneven(generator, *shape):
    """Patterns like those of models: small and positive, with a few heads far above the others."""
    return (1e-6 * generator.lognormal(0, 1.5, shape)).astype(np.float32)


@pytest.mark.parametrize("samples", [1, selection.BLOCK, selection.BLOCK + 1, 2 * selection.BLOCK + 7])
def test_scores_are_the_correlations_of_scipy(generator, samples):
    patterns, reference = uneven(generator, samples, 3, 5), uneven(generator, 3, 5)
    scores = selection.correlation_scores(patterns, reference)
    assert scores.dtype == np.float64 and scores.shape == (samples,)
    wanted = [pearsonr(one.ravel().astype(float), reference.ravel().astype(float))[0] for one in patterns]
    np.testing.assert_allclose(scores, wanted, rtol=0, atol=1e-12)


def test_nearest_is_the_largest_of_all_pairs(generator):
    patterns, references = uneven(generator, selection.BLOCK + 9, 4, 3), uneven(generator, 6, 4, 3)
    pairs = np.array(
        [
            [pearsonr(one.ravel(), other.ravel())[0] for other in references.astype(float)]
            for one in patterns.astype(float)
        ]
    )
    assert len(set(pairs.argmax(axis=1))) == 6  # every reference is the nearest of some sample
    scores = selection.nearest_scores(patterns, references)
    np.testing.assert_allclose(scores, pairs.max(axis=1), rtol=0, atol=1e-12)


def test_a_copy_correlates_fully_and_never_above_one(generator):
    patterns = uneven(generator, 40, 6, 6)
    scores = selection.correlation_scores(3 * patterns.astype(float) + 1, patterns[7])
    assert scores[7] == pytest.approx(1, abs=1e-9) and scores.max() <= 1
    assert selection.correlation_scores(-patterns, patterns[7])[7] == pytest.approx(-1, abs=1e-12)
    nearest = selection.nearest_scores(patterns, patterns)
    np.testing.assert_allclose(nearest, 1, atol=1e-12)
    assert nearest.max() <= 1


def test_constant_patterns_have_no_score(generator):
    patterns = uneven(generator, 5, 3, 4)
    patterns[1], patterns[3] = 0, 0.1
    references = patterns.copy()
    for scores in (
        selection.correlation_scores(patterns, references[0]),
        selection.nearest_scores(patterns, references),
        selection.nearest_scores(patterns, references[:2]),
    ):
        assert np.isnan(scores).tolist() == [False, True, False, True, False]
    assert np.isnan(selection.correlation_scores(patterns, references[1])).all()
    assert np.isnan(selection.nearest_scores(patterns, references[[1, 3]])).all()


def test_a_mean_of_rounded_equal_values_counts_as_constant():
    samples = np.repeat(np.array([0.1, 0.2, 0.4], dtype=np.float32), 12).reshape(3, 3, 4)
    assert np.isnan(selection.correlation_scores(samples, np.arange(12.0).reshape(3, 4))).all()
    mean = samples.mean(axis=0, dtype=float)
    mean[0, 0] *= 1 + 1e-15
    assert np.isnan(selection.correlation_scores(np.arange(24.0).reshape(2, 3, 4), mean)).all()


def test_a_mapped_array_gives_the_scores_of_a_loaded_one(generator, tmp_path):
    patterns = uneven(generator, 2 * selection.BLOCK + 5, 2, 6)
    np.save(tmp_path / "pool.npy", patterns)
    mapped = np.load(tmp_path / "pool.npy", mmap_mode="r")
    for scores in (
        lambda array: selection.correlation_scores(array, patterns[0]),
        lambda array: selection.nearest_scores(array, patterns[:9]),
    ):
        np.testing.assert_array_equal(scores(mapped), scores(patterns))


def test_a_score_does_not_depend_on_the_other_samples(generator):
    patterns = uneven(generator, selection.BLOCK + 50, 4, 4)
    scores = selection.correlation_scores(patterns, patterns[0])
    np.testing.assert_array_equal(selection.correlation_scores(patterns[33:], patterns[0]), scores[33:])


def test_ranking_descends_with_ties_in_order_and_undefined_ones_last():
    scores = np.array([0.5, np.nan, -1.0, 0.9, 0.5, np.nan, 0.9 + 1e-13, 0.0])
    ids = ["c", "y", "e", "b", "a", "x", "z", "d"]
    ranked = selection.ranking(scores, ids)
    assert [id for id, _ in ranked] == ["b", "z", "c", "a", "d", "e", "y", "x"]
    assert dict(ranked)["z"] == scores[6]
    assert np.isnan([score for _, score in ranked]).tolist() == [False] * 6 + [True] * 2


def test_ranking_follows_the_digits_that_the_tables_show():
    ids = ["worse", "better"]
    assert [id for id, _ in selection.ranking(np.array([0.123456789, 0.1234567891]), ids)] == ["better", "worse"]
    assert [id for id, _ in selection.ranking(np.array([0.12345678901, 0.12345678902]), ids)] == ids


DOCUMENTS = [
    "The derivative of a polynomial is taken term by term.",
    "Contracts need an offer, an acceptance and a consideration.",
    "A derivative measures how fast a function of one variable changes.",
    "Mitochondria release the energy of glucose in the cell.",
    "The treaty was signed after a war of thirty years.",
    "Supply and demand meet at the price of the market.",
]


def test_related_documents_come_first():
    queries = ["What is the derivative of the polynomial x^3?", "Differentiate this function of a variable."]
    scores = selection.bm25_scores(queries, DOCUMENTS)
    assert {id for id, _ in selection.ranking(scores, list("abcdef"))[:2]} == {"a", "c"}
    biology = selection.bm25_scores(["How do a cell's mitochondria release energy?"], DOCUMENTS)
    assert np.argmax(biology) == 3


def test_scores_are_the_mean_of_the_library_over_the_queries():
    queries = ["the derivative of the derivative", "a price, and a PRICE and a treaty!", "nothing known", ""]
    library = BM25Okapi([selection.tokens(document) for document in DOCUMENTS])
    wanted = np.mean([library.get_scores(selection.tokens(query)) for query in queries], axis=0)
    np.testing.assert_allclose(selection.bm25_scores(queries, DOCUMENTS), wanted, rtol=1e-12)
    assert np.ptp(wanted) > 0.1


def test_documents_without_a_word_score_nothing():
    assert selection.bm25_scores(["price"], ["", "..."]).tolist() == [0, 0]
    assert selection.bm25_scores(["price"], [*DOCUMENTS, ""])[-1] == 0
    assert selection.bm25_scores(["", "?!"], DOCUMENTS).tolist() == [0] * 6


def test_tokens_are_words_or_chinese_characters():
    assert selection.tokens("Don't SHOUT, x_1 = 3.5!") == ["don", "t", "shout", "x_1", "3", "5"]
    assert selection.tokens("小明有3个apple,共12元。") == ["小", "明", "有", "3", "个", "apple", "共", "12", "元"]
    assert selection.tokens("Größe ÉTÉ カナ") == ["größe", "été", "カ", "ナ"]
    assert selection.tokens("𠀀x") == ["𠀀", "x"]


def test_chinese_questions_find_their_kind():
    documents = [
        "一个三角形的面积是多少?",
        "唐朝的首都在哪里?",
        "水的沸点是多少度?",
        "谁写了这首诗?",
        "长江流经哪些省份?",
    ]
    scores = selection.bm25_scores(["求这个三角形的面积。", "三角形的周长"], documents)
    assert np.argmax(scores) == 0
