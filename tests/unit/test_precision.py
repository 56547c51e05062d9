"""Precision of rankings: numbers by hand, chance by counting all rankings, intervals, table, figure and refusals."""

import itertools
import json
import math

import evaluation_tables as made
import numpy as np
import pytest
import scripts
from matplotlib.colors import to_hex
from matplotlib.text import Text
from scipy.special import comb

from headpatterns.errors import InputError
from headpatterns.evaluation.intervals import wilson
from headpatterns.experiment.variants import read_variants
from headpatterns.io import read_csv, write_csv
from headpatterns.presentation import inputs, style
from headpatterns.statistics import probe_weights, retrieval
from headpatterns.studies.selection import figure as drawing
from headpatterns.studies.selection import precision

COLUMNS = "model,domain,seed,method,statistic,n,pool,related,value,low,high,expected,chance_low,chance_high,p_value"


def test_precision_and_average_precision_by_hand():
    relevance = np.array([1.0, 0, 1, 1, 0])
    np.testing.assert_allclose(retrieval.precisions(relevance), [1, 1 / 2, 2 / 3, 3 / 4, 3 / 5])
    assert retrieval.average_precision(relevance) == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    both = np.stack([relevance, relevance[::-1]])
    assert retrieval.average_precision(both)[1] == pytest.approx((1 / 2 + 2 / 3 + 3 / 5) / 3)
    assert math.isnan(retrieval.average_precision(np.zeros(4)))


def test_what_is_drawn_twice_stands_there_twice():
    relevance = np.array([1.0, 0, 1, 0])
    weights = np.array([[1, 1, 1, 1], [2, 0, 0, 2], [0, 3, 1, 0]]) / 4
    np.testing.assert_array_equal(retrieval.redrawn(relevance, weights), [[1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1]])


def test_an_interval_is_about_the_plain_value_and_stays_a_share():
    relevance = (np.arange(60) % 3 == 0).astype(float)
    drawn = retrieval.redrawn(relevance, probe_weights(60, "pool", 400, 0))
    replicates = retrieval.average_precision(drawn)
    value, low, high = retrieval.value_and_interval(replicates)
    assert value == retrieval.average_precision(relevance)
    assert high - value == pytest.approx(value - low) == pytest.approx(1.959964 * 1.08 * replicates[1:].std(ddof=1))
    value, low, high = retrieval.value_and_interval(retrieval.precisions(drawn)[:, 0])
    assert (value, high) == (1, 1) and low < 1


@pytest.mark.parametrize(("items", "relevant", "first"), [(6, 2, 3), (7, 3, 2), (5, 5, 4), (6, 1, 1)])
def test_chance_is_what_all_rankings_have_on_average(items, relevant, first):
    rankings = [np.isin(np.arange(items), places) for places in itertools.combinations(range(items), relevant)]
    relevance = np.array(rankings, dtype=float)
    hits = relevance[:, :first].sum(axis=1)
    for reached in range(min(first, relevant) + 1):
        expected, low, high, p = retrieval.chance_of_precision(items, relevant, first, reached)
        assert expected == pytest.approx((hits / first).mean())
        assert p == pytest.approx((hits >= reached).mean())
        assert (hits / first >= low - 1e-12).mean() >= 0.975 and (hits / first <= high + 1e-12).mean() >= 0.975
    averages = retrieval.average_precision(relevance)
    best = float(averages.max())
    expected, low, high, p = retrieval.chance_of_average_precision(items, relevant, best, 4000, 0)
    assert expected == pytest.approx(averages.mean())
    assert p == pytest.approx((averages >= best - 1e-12).mean(), abs=0.03)
    assert averages.min() <= low <= high <= best + 1e-12


def test_p_of_a_perfect_choice_by_counting():
    *_, p = retrieval.chance_of_precision(40, 12, 10, 10)
    assert p == pytest.approx(comb(12, 10) / comb(40, 10))


# The analysis


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("precision")
    made.write_variants(folder / "variants.csv", made.variants(budgets=(10, 20)))
    made.precision(folder, made.write_rankings(folder))
    return folder


def rows_of(folder, **wanted):
    rows = read_csv(folder / "precision.csv", ())
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def test_every_ranking_has_its_precisions_beside_chance(found):
    rows = rows_of(found)
    assert ",".join(rows[0]) == COLUMNS
    # Two models, domains and seeds; four methods at two budgets and with an average, random draws without an average.
    assert len(rows) == 2 * 2 * 2 * (4 * 3 + 2)
    assert {(row["pool"], row["related"], row["expected"]) for row in rows if row["statistic"] == "precision"} == {
        ("40", "12", "0.3")
    }
    for method, values in {"bm25": ("1", "0.6", "1"), "pattern": ("0", "0", None)}.items():
        own = rows_of(found, model="llama", domain="law", seed="0", method=method)
        assert [(row["statistic"], row["n"]) for row in own] == [
            ("precision", "10"), ("precision", "20"), ("average_precision", ""),
        ]  # fmt: skip
        assert [row["value"] for row in own][: 3 if values[2] else 2] == [one for one in values if one]
        ends = [float(row[name]) for row in own[:2] for name in ("low", "high")]
        assert ends == pytest.approx(
            [*wilson(round(10 * float(values[0])), 10), *wilson(round(20 * float(values[1])), 20)]
        )
        for row in own:
            assert float(row["low"]) <= float(row["value"]) <= float(row["high"])
            assert float(row["chance_low"]) <= float(row["expected"]) <= float(row["chance_high"])
    perfect, last = (rows_of(found, model="gemma", domain="maths", seed="1", method=m)[2] for m in ("bm25", "pattern"))
    assert float(last["value"]) == pytest.approx(np.mean([k / (28 + k) for k in range(1, 13)]))
    assert (float(perfect["p_value"]), float(last["p_value"])) == (pytest.approx(1 / 101), pytest.approx(1))


def test_random_choices_are_the_mean_over_their_draws(found):
    for one in made.write_rankings(found)[:3]:
        draws = [[row["id"] for row in read_csv(path, ("id",))] for path in one["drawn"]]
        for n in (10, 20):
            shares = [sum(int(id[1:]) < 12 for id in ids[:n]) / n for ids in draws]
            (row,) = rows_of(
                found, model=one["model"], domain=one["domain"], seed=str(one["seed"]), method="random", n=str(n)
            )
            assert float(row["value"]) == pytest.approx(np.mean(shares))
            reach = 12.706204736 * np.std(shares, ddof=1) / math.sqrt(2)
            assert float(row["low"]) == pytest.approx(max(np.mean(shares) - reach, 0))
            assert row["p_value"] == "nan"


def test_a_curve_begins_with_one_sample_and_ends_with_the_pool(found):
    rows = read_csv(found / "precision_curve.csv", ())
    own = [row for row in rows if (row["model"], row["domain"], row["seed"]) == ("llama", "maths", "0")]
    assert {row["method"] for row in own} == {"pattern", "bm25", "base-pattern", "nearest"}
    bm25 = [row for row in own if row["method"] == "bm25"]
    places = [int(row["n"]) for row in bm25]
    assert places == sorted(set(places)) and (places[0], places[-1]) == (1, 40)
    for row in bm25:
        assert float(row["value"]) == pytest.approx(min(1, 12 / int(row["n"])))
    assert bm25[-1]["chance_low"] == bm25[-1]["chance_high"] == bm25[-1]["value"] == "0.3"


def test_without_known_relations_the_tables_are_empty(tmp_path):
    made.precision(tmp_path, [])
    assert (tmp_path / "precision.csv").read_text() == COLUMNS + "\n"
    assert read_csv(tmp_path / "precision_curve.csv", ("method", "n")) == []


@pytest.mark.parametrize(
    ("rows", "related", "sentence"),
    [
        ([("a", "bm25", 1), ("b", "bm25", 2), ("a", "pattern", 1)], ["a"], "only one of bm25 and pattern ranks b"),
        ([("a", "bm25", "first")], ["a"], "row 1: rank is 'first', which is not a whole number"),
        ([], ["a"], "has no ranking: select again"),
        ([("a", "bm25", 1)], ["z"], "ranks no sample of"),
    ],
)
def test_rankings_that_cannot_be_judged_are_refused(tmp_path, rows, related, sentence):
    write_csv(tmp_path / "scores.csv", ("id", "method", "rank"), rows)
    write_csv(tmp_path / "related.csv", ("dataset", "id"), [("x", id) for id in related])
    given = {"model": "m", "domain": "d", "seed": 0, "drawn": []}
    given |= {name: str(tmp_path / f"{name}.csv") for name in ("scores", "related")}
    with pytest.raises(InputError, match=sentence):
        precision.compute([given], [1], 10, 0)


# The figure


def drawn(folder):
    variants = read_variants(folder / "variants.csv", "selection")
    curve = inputs.read_table(folder / "precision_curve.csv", drawing.TEXT, drawing.NUMBERS)
    with style.applied():
        figure = drawing.draw(variants, curve, [10, 20])
        figure.canvas.draw()
    return figure


def test_a_panel_for_each_model_and_domain_with_a_line_for_each_method(found):
    figure = drawn(found)
    titles = [axes.get_title().replace("\n", " ") for axes in figure.axes]
    assert titles == [f"{model}: {domain}" for model in made.MODELS.values() for domain in made.DOMAINS.values()]
    shown = [text.get_text() for text in figure.legends[0].get_texts()]
    assert shown[0] == "selected by patterns" and shown[-1].startswith("by chance") and len(shown) == 5
    by_colour = {to_hex(line.get_color()).upper(): line for line in figure.axes[0].lines if len(line.get_xdata()) > 2}
    bm25 = by_colour[style.LINE_COLOURS[3].upper()]
    np.testing.assert_allclose(bm25.get_ydata(), np.minimum(1, 12 / bm25.get_xdata()), rtol=1e-9)
    dividers = [line.get_xdata()[0] for line in figure.axes[0].lines if len(line.get_xdata()) == 2]
    assert dividers == [10, 20]


def test_no_text_of_the_figure_is_clipped_or_on_another(found):
    figure = drawn(found)
    found_texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in found_texts]
    width, height = figure.bbox.size
    for i, (text, box) in enumerate(boxes):
        assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1, text
        for other, other_box in boxes[i + 1 :]:
            assert not box.padded(-1).overlaps(other_box.padded(-1)), (text, other)


def test_the_figure_is_written_from_its_tables(found, tmp_path):
    tables = {"variants": "variants.csv", "curve": "precision_curve.csv", "precision": "precision.csv"}
    given = {"inputs": json.dumps({name: str(found / file) for name, file in tables.items()}), "settings": "{}"}
    scripts.run("draw", positional=["precision"], output=tmp_path, **given)
    assert (tmp_path / "precision.pdf").read_bytes().startswith(b"%PDF")
    assert {path.suffix for path in tmp_path.iterdir()} == {".pdf", ".svg", ".png"}
