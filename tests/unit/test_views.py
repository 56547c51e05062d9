"""The interactive views: their data equal their inputs, and no text in them can act outside its place on the page."""

import json
import re

import ablations
import analysis_tables
import numpy as np
import pandas as pd
import pytest
import view_files

from headpatterns.claims.competence import COLUMNS
from headpatterns.errors import InputError
from headpatterns.presentation.views import MEAN, Chart, Control, Interactive
from headpatterns.report import views
from headpatterns.studies import commands, load_studies, view_of_scores
from headpatterns.studies.adaptation import view_heads, view_similarity
from headpatterns.studies.competence import view as view_of_competence
from headpatterns.studies.composition import view as view_of_sums

STUDIES = ["adaptation", "dynamics"]
MOST_MB = 15


def heads(folder, **more):
    table = view_files.write(folder, **more)
    return view_heads.show(table, STUDIES, [], [])


def test_the_patterns_of_every_run_and_step_are_in_the_view(tmp_path):
    made = heads(tmp_path)
    records = made.rows["heads"]
    assert [(one["model"], one["task"], one["seed"]) for one in records[:4]] == [
        ("big", "gsm8k", "0"), ("big", "gsm8k", "1"), ("big", "arc", "0"), ("big", "arc", "1")
    ]  # fmt: skip
    assert len(records) == 2 * 3 * 2  # a run of two studies appears once
    for one in records:
        folder = tmp_path / f"patterns/{one['model']}/nlp.{one['task']}.seed{one['seed']}/{one['task']}"
        assert one["steps"] == [0, 1, 4, 9]
        for k, step in enumerate(one["steps"]):
            np.testing.assert_allclose(one["level"][k], np.load(folder / f"step-{step}.npy").ravel(), rtol=1e-3)
            signed = np.load(folder / f"step-{step}.samples.npy").mean(axis=0).ravel()
            np.testing.assert_allclose(one["signed"][k], signed, rtol=1e-3)
            assert one["loss"][k] == pytest.approx((3 + 3 / (1 + step)) / 3, rel=1e-3)


def test_limits_of_the_colours_are_the_largest_magnitudes(tmp_path):
    made = heads(tmp_path)
    [limits] = [one["value"] for one in made.charts[0].spec["params"] if one["name"] == "limits"]
    [record] = [one for one in made.rows["heads"] if (one["model"], one["task"], one["seed"]) == ("small", "arc", "1")]
    level = np.array(record["level"])
    expected = {
        "level": level.max(axis=1),
        "change": np.abs(level - level[0]).max(axis=1),
        "ratio": np.abs(np.log2(level / level[0])).max(axis=1),
        "over_loss": (level / np.array(record["loss"])[:, None]).max(axis=1),
        "signed": np.abs(record["signed"]).max(axis=1),
    }
    for name, values in expected.items():
        # Numbers of the page are rounded, so a difference of two numbers is less exact than each of them.
        np.testing.assert_allclose(limits[name]["own"]["small|arc|1"], values, rtol=2e-2, atol=1e-12)
        assert limits[name]["shared"] == pytest.approx(max(map(max, limits[name]["own"].values())))
        both = [limits[name]["own"][f"small|arc|{seed}"] for seed in (0, 1)]
        assert limits[name]["own"][f"small|arc|{MEAN}"] == np.max(both, axis=0).tolist()


def test_without_samples_there_is_no_signed_sum(tmp_path):
    table = view_files.write(tmp_path)
    for path in tmp_path.rglob("*.samples.npy"):
        path.unlink()
    made = view_heads.show(table, STUDIES, [], [])
    assert all("signed" not in one for one in made.rows["heads"])
    shown = [value for control in made.controls if control.id == "heads-quantity" for value, _ in control.options]
    assert shown == ["level", "over_loss", "change", "ratio"]
    assert "sign" not in json.dumps(made.charts[0].spec["transform"]).replace("is_signed", "")


def test_effects_of_ablations_are_means_over_samples_with_their_intervals(tmp_path):
    table = view_files.write(tmp_path)
    folder = ablations.write(tmp_path / "ablated")
    made = view_heads.show(table, STUDIES, [folder], [["big", "arc", 0]])
    assert made.charts[-1].id == "heads-ablated"
    before, after = made.rows["ablations"]
    assert (before["phase"], after["phase"], before["task"]) == ("before", "after", "arc")
    changes = np.load(folder / "after.changes.npy").reshape(12, -1)
    np.testing.assert_allclose(after["mean"], changes.mean(axis=0), rtol=1e-3)
    error = changes.std(axis=0, ddof=1) / np.sqrt(12)
    np.testing.assert_allclose(after["half"], 2.201 * error, rtol=1e-3)  # Student's t of 11 degrees of freedom


def test_a_published_folder_of_means_has_no_effects_of_ablations(tmp_path):
    table = view_files.write(tmp_path)
    folder = ablations.write(tmp_path / "ablated")
    for path in folder.glob("*.npy"):
        path.unlink()
    made = view_heads.show(table, STUDIES, [folder], [["big", "arc", 0]])
    assert made.rows["ablations"] == [] and "heads-ablated" not in [chart.id for chart in made.charts]


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (lambda folder: (folder / "step-0.json").unlink(), "lacks the patterns before fine-tuning (step 0) or after"),
        (lambda folder: (folder / "step-4.npy").write_bytes(b"x"), "step-4.npy is not a complete NumPy array"),
        (lambda folder: np.save(folder / "step-9.npy", np.full((3, 4), np.nan)), "with finite numbers"),
    ],
)
def test_patterns_that_cannot_be_used_are_named(tmp_path, broken, sentence):
    table = view_files.write(tmp_path)
    broken(tmp_path / "patterns/small/nlp.arc.seed1/arc")
    with pytest.raises(InputError, match=re.escape(sentence)):
        view_heads.show(table, STUDIES, [], [])


def test_a_page_of_the_papers_size_stays_small(tmp_path):
    """3 models × 7 tasks × 10 steps × 1024 heads, with signs."""
    tasks = tuple(analysis_tables.TASKS)
    made = heads(tmp_path, models=("a", "b", "c"), tasks=tasks, seeds=1, steps=tuple(range(10)), shape=(32, 32))
    shown = views.of("heads", made, "", {})
    scripts = views.scripts([shown])
    size = len(shown.data) + len(shown.body) + len(scripts.library)
    assert 3 * 7 * 10 * 1024 * 2 * 4 < size < MOST_MB * 1e6 / 2  # half is left to figures and tables


def test_scaling_finds_distances_that_lie_in_a_plane():
    angles = np.radians([0, 25, 70, 150])
    points = np.column_stack([np.cos(angles), np.sin(angles)])
    found, share = view_similarity.scaled(points @ points.T)  # for unit vectors, r is the cosine
    for i in range(4):
        for j in range(4):
            expected = np.linalg.norm(points[i] - points[j])
            assert np.linalg.norm(found[i] - found[j]) == pytest.approx(expected, abs=1e-9)
    assert share == pytest.approx(1)


def test_scaling_says_how_much_two_dimensions_show():
    _, share = view_similarity.scaled(np.eye(5))  # a simplex: four equal eigenvalues
    assert share == pytest.approx(0.5)


def test_maps_are_turned_to_fit_each_other():
    random = np.random.default_rng(3)
    anchor = random.normal(size=(6, 2))
    turn = np.array([[np.cos(1), -np.sin(1)], [np.sin(1), np.cos(1)]]) @ np.diag([1, -1])
    np.testing.assert_allclose(view_similarity.turned(anchor @ turn, anchor), anchor, atol=1e-12)


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    return analysis_tables.write(tmp_path_factory.mktemp("views"))


def test_similarities_are_those_of_the_table_and_means_over_seeds(analysis):
    made = view_similarity.show(analysis / "runs.csv", analysis / "similarity.csv")
    table = pd.read_csv(analysis / "similarity.csv")
    chosen = table[
        (table.model == "opt") & (table.matrix == "after") & (table.task_a == "arc") & (table.task_b == "math")
    ]
    found = {one["seed"]: one["value"] for one in made.rows["pairs"]
             if (one["model"], one["matrix"], one["a"], one["b"]) == ("opt", "after", "ARC", "MATH")}  # fmt: skip
    assert found["1"] == pytest.approx(chosen[chosen.seed == 1].value.item(), rel=1e-3)
    assert found[MEAN] == pytest.approx(chosen.value.mean(), rel=1e-3)
    assert [value for value, _ in made.controls[1].options] == [MEAN, "0", "1"]
    places = [one for one in made.rows["places"] if (one["model"], one["seed"], one["matrix"]) == ("opt", "1", "after")]
    assert {one["task"] for one in places} == {label for label, _ in analysis_tables.TASKS.values()}


def test_sums_and_their_weights_are_those_of_the_tables(analysis, tmp_path):
    fits = pd.read_csv(analysis / "composition.csv", dtype=str)
    weights = [
        {**row, "task": task, "beta": place, "low": place - 1, "high": place + 1}
        for row in fits[["model", "group", "seed", "complex", "of", "terms"]].to_dict("records")
        for place, task in enumerate(row["terms"].split("+"))
    ]
    pd.DataFrame(weights).to_csv(tmp_path / "coefficients.csv", index=False)
    made = view_of_sums.show(analysis / "runs.csv", analysis / "composition.csv", tmp_path / "coefficients.csv")
    row = fits[fits["size"] == "2"].iloc[0]
    [one] = [
        fit for fit in made.rows["fits"]
        if all(fit[key] == row[key] for key in ("model", "seed", "of", "terms"))
        and fit["complex"] == f"{row['group']}|{row['complex']}"
    ]  # fmt: skip
    assert one["r2"] == pytest.approx(float(row["r2"]), rel=1e-3) and " + " in one["sum"]
    [terms] = [control for control in made.controls if control.id == "sums-terms"]
    assert set(dict(terms.options)) == set(fits["terms"]) and terms.start in dict(terms.options)
    assert len(made.rows["weights"]) == len(weights) * 3 // 2  # two seeds, and their mean


def test_scores_are_rows_of_the_table_with_an_interval_where_there_is_one():
    table = pd.DataFrame(
        [("Tiny", "accuracy", "base", 0.25, 0.1, 0.4, np.nan), ("Tiny", "accuracy", "ours", 0.5, np.nan, np.nan, 0.02)],
        columns=["model_label", "measure", "variant", "value", "low", "high", "spread"],
    )
    made = view_of_scores.show("table2", "Scores", table, {"base": "Base", "sft": "SFT", "ours": "Ours"}, {})
    first, second = made.rows["scores"]
    assert (first["model"], first["variant"], first["spread"]) == ("Tiny", "Base", None)
    assert (first["value"], first["low"], first["high"]) == (25, 10, 40)  # per cent
    assert second["low"] is None and second["spread"] == 2.0
    json.dumps(dict(made.rows), allow_nan=False)


LABEL = '</script><script>alert(1)</script><!--"&\u2028'


def test_competence_is_that_of_the_table_in_per_cent_or_says_why_there_is_none(tmp_path):
    rows = [dict.fromkeys(COLUMNS, "nan") | dict(zip(COLUMNS[:4], key, strict=True)) | {"items": "8", "note": ""} | more
            for key, more in (
                (("small", "arc", "0", "after"), {"accuracy": 0.5, "low": 0.25, "high": 0.75, "chance": 0.3, "nll": 1.5,
                                                  "nll_low": 1.4, "nll_high": 1.6, "likelihood": 0.625}),
                (("small", "arc", "all", "before"), {"accuracy": 0.125, "chance": 0.3, "nll": 2}),
                (("small", "math", "all", "after"), {"note": "no gold answers", "loss_fall": 0.2}),
            )]  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "competence.csv", index=False)
    made = view_of_competence.show(view_files.write(tmp_path), tmp_path / "competence.csv")
    shown = ("task", "seed", "state", "measure", "value", "low", "chance", "note")
    found = [tuple(one[name] for name in shown) for one in made.rows["shares"]]
    assert found == [
        ("ARC", "0", "after", "accuracy", 50, 25, 30, ""),
        ("ARC", "0", "after", "likelihood", 62.5, None, 30, ""),
        ("ARC", "all", "before", "accuracy", 12.5, None, 30, ""),
        ("MATH", "all", "after", "accuracy", None, None, None, "no gold answers"),
    ]
    assert [(one["task"], one["state"], one["value"]) for one in made.rows["losses"]] == [
        ("ARC", "after", 1.5), ("ARC", "before", 2), ("MATH", "fall", 0.2)
    ]  # fmt: skip
    assert [control.options for control in made.controls] == [
        [("small", "Small")], [("all", "0")], [("accuracy", "Accuracy"), ("likelihood", "Accuracy by likelihood")]
    ]  # fmt: skip
    json.dumps(dict(made.rows), allow_nan=False)


def test_a_label_stays_text_in_the_form_and_in_the_data(tmp_path):
    made = heads(tmp_path, label=LABEL)
    shown = views.of("heads", made, "", {})
    assert "</" not in shown.data and "<!--" not in shown.data and "\u2028" not in shown.data
    [labels] = [
        one["value"] for one in json.loads(shown.data)["charts"]["heads-map"]["params"] if one["name"] == "labels"
    ]
    assert labels["model"]["big"] == LABEL
    assert "<script" not in shown.body and "&lt;/script&gt;&lt;script&gt;alert(1)" in shown.body


def test_the_policy_allows_the_scripts_of_the_page_alone(tmp_path):
    shown = views.of("heads", heads(tmp_path), "", {})
    scripts = views.scripts([shown])
    policy = scripts.policy
    assert policy.startswith("default-src 'none'") and "unsafe-eval" not in policy and "http" not in policy
    assert policy.split("script-src ")[1].split() == [
        f"'sha256-{views.digest(text)}'" for text in (scripts.library, scripts.start)
    ]
    assert views.scripts([]).policy == views.NOTHING and "script-src" not in views.NOTHING


def test_a_parameter_follows_its_control_and_the_look_of_one_chart_its_own():
    control = Control("sums-of", "Fit to", "select", [("change", "Changes")], start="change")
    assert control.parameter == {"name": "of", "value": "change", "bind": {"element": "#sums-of"}}
    chart = Chart("sums-fits", "Dots", {"mark": "point", "height": 190, "config": {"axis": {"grid": False}}})
    made = views.of(
        "sums", Interactive("Sums", [control], [chart], {}, ("figure4", "table9")), "", {"figure4": "Figure 4"}
    )
    spec = json.loads(made.data)["charts"]["sums-fits"]
    assert spec["description"] == "Dots" and spec["config"]["axis"]["grid"] is False
    assert spec["config"]["axis"]["domainColor"] and spec["autosize"]["type"] == "fit-x"
    assert made.figures == ["figure4"] and made.body.count("#figure4") == 2 and "table9" not in made.body


def test_vega_lite_is_told_no_height_in_steps(tmp_path):
    """Vega-Lite would warn of each such height, as the page sets the width. The page's script counts the rows."""
    made = heads(tmp_path)
    found = json.loads(views.of("heads", made, "", {}).data)
    stated = {one.id: one.spec["height"] for one in made.charts}
    assert any(isinstance(height, dict) for height in stated.values())
    assert {name: spec["height"] for name, spec in found["charts"].items()} == {
        name: height["step"] if isinstance(height, dict) else height for name, height in stated.items()
    }
    assert found["steps"] == {name: height["step"] for name, height in stated.items() if isinstance(height, dict)}


def test_ids_are_taken_once_and_start_with_the_name_of_their_view(tmp_path, analysis):
    made = {
        "heads": heads(tmp_path),
        "tasks": view_similarity.show(analysis / "runs.csv", analysis / "similarity.csv"),
    }
    for name, view in made.items():
        ids = [one.id for one in (*view.controls, *view.charts)]
        assert len(ids) == len(set(ids)) and all(one.startswith(f"{name}-") for one in ids)


def test_views_are_shown_in_the_order_of_their_studies_where_they_are_asked_for(analysis, tmp_path):
    table = view_files.write(tmp_path)
    asked = {
        "tasks": {
            "inputs": {"runs": f"{analysis}/runs.csv", "similarity": f"{analysis}/similarity.csv"},
            "settings": {},
        },
        "heads": {
            "inputs": {"runs": str(table), "ablations": []},
            "settings": {"studies": STUDIES, "ablated_runs": []},
        },
    }
    found = views.shown(load_studies(), json.dumps(asked), {})
    assert [one.anchor for one in found] == ["view-heads", "view-tasks"]
    assert "<strong>Every head at every saved step.</strong>" in found[0].body
    assert views.shown(commands.selected(["composition"]), json.dumps(asked), {}) == []
    asked["tasks"]["inputs"]["more"] = "x.csv"
    with pytest.raises(InputError, match="of the view tasks: the key 'more' is unknown: use runs, similarity"):
        views.shown(load_studies(), json.dumps(asked), {})
    with pytest.raises(InputError, match="--views is not JSON"):
        views.shown(load_studies(), "{", {})


def test_two_tasks_make_a_matrix_and_no_map(tmp_path):
    tasks = {name: analysis_tables.TASKS[name] for name in ("gsm8k", "arc")}
    folder = analysis_tables.write(tmp_path, tasks=tasks)
    made = view_similarity.show(folder / "runs.csv", folder / "similarity.csv")
    assert [chart.id for chart in made.charts] == ["tasks-matrix-chart"] and made.rows["places"] == []


def test_a_label_stands_under_a_point_with_another_right_above_it():
    points = np.array([[0, 0], [0.1, 0.1], [0.1, 0.9], [-1, 0.1]])
    assert view_similarity.is_crowded(points).tolist() == [True, False, False, False]
