"""How stored patterns are read: reduction, normalisation, weighting and change, each worked out by hand."""

import json

import numpy as np
import pattern_files
import pytest

from headpatterns.attribution import files
from headpatterns.attribution import patterns as stored
from headpatterns.errors import InputError
from headpatterns.experiment.run_table import RunRow
from headpatterns.statistics import log_ratio, probe_weights, replicate_patterns
from headpatterns.statistics.bootstrap import batch_shares
from headpatterns.studies import patterns, reading
from headpatterns.studies.observed import observed
from headpatterns.studies.reading import Reading

SIGNED = np.array([[[1.0, -3.0]], [[-2.0, 0.0]]], dtype=np.float32)  # two samples, a layer of two heads
PAIRS = np.array([[[5.0, 3.0]], [[2.0, 6.0]]], dtype=np.float32)


def run_at(folder, task="arc", model="opt"):
    return RunRow("dynamics", "nlp", model, model, task, task, "", "basic", 0, f"nlp.{task}.seed0", folder)


@pytest.fixture
def run(tmp_path):
    """The losses are 0.5 and 2 before, and 0.25 and 1 after. Training halves every signed sum."""
    also = {"sum_of_abs": PAIRS}
    pattern_files.save(tmp_path / "p", 0, SIGNED, also=also, losses=[0.5, 2.0], response_tokens=[1, 3])
    pattern_files.save(tmp_path / "p", 7, SIGNED / 2, also=also, losses=[0.25, 1.0], response_tokens=[1, 3])
    return run_at(tmp_path / "p")


def test_the_reduction_is_taken_when_patterns_are_read(run):
    np.testing.assert_array_equal(patterns.load(run, 0), np.abs(SIGNED))
    np.testing.assert_array_equal(patterns.load(run, 0, Reading("abs_of_sum")), np.abs(SIGNED))
    np.testing.assert_array_equal(patterns.load(run, 0, Reading("sum_of_abs")), PAIRS)
    np.testing.assert_array_equal(patterns.signed(run, 7), SIGNED / 2)
    np.testing.assert_array_equal(patterns.losses(run, 7), [0.25, 1.0])
    assert patterns.load(run, 0).dtype == patterns.signed(run, 0).dtype == np.float32


def test_the_sign_is_found_where_another_reduction_comes_first(tmp_path):
    run = run_at(pattern_files.save(tmp_path, 0, PAIRS, "sum_of_abs", also={"abs_of_sum": SIGNED}))
    np.testing.assert_array_equal(patterns.load(run, 0), PAIRS)
    np.testing.assert_array_equal(patterns.load(run, 0, Reading("abs_of_sum")), np.abs(SIGNED))
    np.testing.assert_array_equal(patterns.signed(run, 0), SIGNED)


def test_normalisations_by_hand(run):
    by_loss = patterns.load(run, 0, Reading(normalisation="loss"))
    np.testing.assert_allclose(by_loss, [[[2, 6]], [[1, 0]]])
    # Both the level and the loss were halved.
    np.testing.assert_allclose(patterns.load(run, 7, Reading(normalisation="loss")), by_loss)
    np.testing.assert_allclose(patterns.load(run, 0, Reading(normalisation="sum")), [[[0.25, 0.75]], [[1, 0]]])
    by_sum = patterns.load(run, 0, Reading("sum_of_abs", "sum"))
    np.testing.assert_allclose(by_sum, [[[0.625, 0.375]], [[0.25, 0.75]]])
    np.testing.assert_allclose(by_sum.sum(axis=(1, 2)), 1)


def test_what_cannot_be_normalised_is_named(tmp_path):
    run = run_at(pattern_files.save(tmp_path, 0, SIGNED * [[[1]], [[0]]], losses=[0.0, 1.0], ids=["a", "b"]))
    with pytest.raises(InputError, match=r"step-0.json: the loss of the sample a is 0, .* set analysis.normalisation"):
        patterns.load(run, 0, Reading(normalisation="loss"))
    with pytest.raises(
        InputError, match=r"step-0.json: the level of every head of the sample b is 0, so levels cannot"
    ):
        patterns.load(run, 0, Reading(normalisation="sum"))


def test_batches_of_four_by_hand():
    # The mean of two batches: (1·a + 2·b + 3·c + 4·d) / 10 and (5·e + 15·f) / 20.
    expected = [0.05, 0.1, 0.15, 0.2, 0.125, 0.375]
    np.testing.assert_allclose(batch_shares(np.array([1, 2, 3, 4, 5, 15])), expected)
    np.testing.assert_allclose(batch_shares(np.array([7, 7])), [0.5, 0.5])
    np.testing.assert_allclose(batch_shares(np.array([1, 1, 1, 1, 9])), [0.125] * 4 + [0.5])


def test_weights_of_samples_and_of_batches(tmp_path):
    tokens = [1, 2, 3, 4, 5, 15]
    run = run_at(pattern_files.save(tmp_path, 0, np.ones((6, 1, 2)), response_tokens=tokens))
    plain = patterns.weights(run, 50, 3)
    np.testing.assert_array_equal(plain, probe_weights(6, "arc", 50, 3))
    weights = patterns.weights(run, 50, 3, Reading(weighting="batches_of_four"))
    assert weights.shape == (51, 6)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_allclose(weights[0], [0.05, 0.1, 0.15, 0.2, 0.125, 0.375])
    # The draws are the same: a replicate counts each sample as often as it was drawn.
    for replicate in (1, 17, 50):
        counts = np.rint(plain[replicate] * 6)
        assert counts.sum() == 6
        by_hand = counts * [0.05, 0.1, 0.15, 0.2, 0.125, 0.375]
        np.testing.assert_allclose(weights[replicate], by_hand / by_hand.sum())


def test_before_and_after_are_weighted_alike(run):
    before, after = patterns.paired(run, 20, 1)
    weights = probe_weights(len(SIGNED), "arc", 20, 1)
    expected = [replicate_patterns(samples, weights) for samples in (np.abs(SIGNED), np.abs(SIGNED) / 2)]
    np.testing.assert_array_equal(before, expected[0])
    np.testing.assert_array_equal(after, expected[1])
    batches = Reading(weighting="batches_of_four")
    before, after = patterns.paired(run, 20, 1, batches)
    np.testing.assert_allclose(before[0], [[(1 + 3 * 2) / 4, 3 / 4]])
    np.testing.assert_allclose(after, before / 2)


def test_changes_by_hand(run):
    difference, rate, logs = (
        observed(run, 20, 1, Reading(change=change)).change for change in ("difference", "rate", "log_ratio")
    )
    np.testing.assert_array_equal(observed(run, 20, 1, Reading()).change, difference)
    np.testing.assert_allclose(difference[0], [[-0.75, -0.75]])
    np.testing.assert_allclose(rate[0], [[-0.5, -0.5]])
    np.testing.assert_allclose(logs[0], [[-np.log(2), -np.log(2)]])


def test_log_ratio_is_the_logarithm_of_a_rate_and_nothing_where_a_level_is_zero():
    before, after = np.array([[1.0, 0.0, 4.0, 1e-300]]), np.array([[np.e, 1.0, 0.0, 1e300]])
    np.testing.assert_allclose(log_ratio(before, after), [[1, np.nan, np.nan, 600 * np.log(10)]])
    levels = np.random.default_rng(0).gamma(1.0, size=(2, 5, 3, 4))
    np.testing.assert_allclose(log_ratio(*levels), np.log(levels[1] / levels[0]), atol=1e-12)
    np.testing.assert_allclose(log_ratio(*levels), -log_ratio(*levels[::-1]), atol=1e-12)


# What is refused ------------------------------------------------------------------------------------------------------


def test_a_reading_is_made_of_what_the_config_says():
    assert Reading.of(None) == Reading.of({}) == Reading()
    given = {"reduction": "sum_of_abs", "normalisation": "loss", "weighting": "batches_of_four", "change": "rate"}
    assert Reading.of(given | {"intercept": True}) == Reading(*given.values(), True)
    assert reading.REDUCTIONS == stored.REDUCTIONS


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"normalization": "loss"}, "a reading of patterns has no key 'normalization': use reduction, normal"),
        ({"normalisation": "losses"}, "has normalisation 'losses': give one of none, loss, sum"),
        ({"reduction": "mean"}, "has reduction 'mean': give one of null, abs_of_sum, sum_of_abs, abs_per_position"),
        ({"intercept": 1}, "has intercept 1: give one of false, true"),
        ({"change": None}, "has change None: give one of difference, rate, log_ratio"),
    ],
)
def test_a_reading_that_does_not_exist(given, said):
    with pytest.raises(InputError, match=said):
        Reading.of(given)


def test_a_reduction_that_was_not_extracted(run):
    said = (
        r"has no patterns in the reduction abs_per_position \(it has abs_of_sum, sum_of_abs\): add it .*patterns.also"
    )
    for refused in (lambda: patterns.load(run, 0, Reading("abs_per_position")),
                    lambda: patterns.check([run], Reading("abs_per_position"))):  # fmt: skip
        with pytest.raises(InputError, match=said):
            refused()
    patterns.check([run], Reading("sum_of_abs"))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"also": None, "signed": None, "response_tokens": 60},
            "an earlier format of patterns .it lacks also, sign",
        ),
        (
            {"signed": []},
            "an earlier format of patterns .it lacks the signs.: remove the folder and run the rule extra",
        ),
        ({"losses": [1.0]}, "has 2 ids, 1 losses and 2 counts of response tokens: remove the folder and run the rule"),
        ({"response_tokens": 60}, "has 2 ids, 2 losses and 1 counts of response tokens"),
        ({"reduction": None}, "does not say what its patterns are .'reduction'.: remove the folder"),
    ],
)
def test_patterns_of_an_earlier_format_are_not_misread(tmp_path, changed, said):
    for step in (0, 1):
        pattern_files.save(tmp_path, step, SIGNED)
    path, run = tmp_path / "step-0.json", run_at(tmp_path)
    content = {key: value for key, value in (json.loads(path.read_text()) | changed).items() if value is not None}
    path.write_text(json.dumps(content))
    for refused in (lambda: patterns.load(run, 0), lambda: patterns.signed(run, 0), lambda: patterns.check([run])):
        with pytest.raises(InputError, match=said):
            refused()


def test_provenance_that_is_no_mapping(tmp_path):
    pattern_files.save(tmp_path, 0, SIGNED)
    for text in ("[]", "7", "{", json.dumps("also signed losses response_tokens ids")):
        (tmp_path / "step-0.json").write_text(text)
        with pytest.raises(InputError, match=r"step-0.json does not say what its patterns are"):
            files.about(tmp_path, 0)


def test_runs_in_different_reductions_are_not_compared(tmp_path):
    for task, reduction in {"arc": "abs_of_sum", "math": "sum_of_abs"}.items():
        for step in (0, 1):
            pattern_files.save(tmp_path / task, step, PAIRS, reduction)
    runs = [run_at(tmp_path / task, task) for task in ("arc", "math")]
    with pytest.raises(
        InputError, match=r"arc has patterns in the reduction abs_of_sum but .*math in sum_of_abs: extr"
    ):
        patterns.check(runs)
    pattern_files.save(tmp_path / "arc", 1, PAIRS, "sum_of_abs")
    with pytest.raises(InputError, match="arc has steps in the reductions abs_of_sum and sum_of_abs: remove"):
        patterns.check(runs[:1])
