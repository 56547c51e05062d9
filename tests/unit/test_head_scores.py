"""The benchmark of head scores: its numbers by hand, its tables, its figure, and what it refuses."""

import json

import ablations
import numpy as np
import pandas as pd
import pytest
import scipy.stats
import scripts
from experiments import checked, config_of
from test_experiment import assign, complaint

from headpatterns.attribution import boole
from headpatterns.attribution import scores as registry
from headpatterns.errors import InputError
from headpatterns.experiment import run_table
from headpatterns.planning import courses
from headpatterns.presentation.results import Results
from headpatterns.studies.head_scores import analysis, effects, files, measures, section
from headpatterns.studies.head_scores import figure as drawing
from headpatterns.studies.validity import measures as validity
from headpatterns.studies.validity.ablations import PHASES

NAMES = ["abs_of_sum", "signed_sum", "gradient_norm", "output_norm", "norm_product", "weight_change"]
RUNS = [["llama", "math", 0], ["llama", "arc", 0]]
SAMPLES, PATTERNED, SHAPE = 12, 10, (3, 4)


def write(folder, seed=0, scores=NAMES, kinds=("zero", "mean", "resample", "scale")):
    """Write the files of ablate_heads, with signed scores that predict the signed effects up to noise."""
    ablations.write(folder, seed)
    for phase in PHASES:
        random = np.random.default_rng([seed, len(phase)])
        changes = np.load(folder / f"{phase}.changes.npy")
        of_heads = changes.mean(axis=0)
        names = [name for name in scores if name != "weight_change" or phase == "after"]
        for name in names:
            values = of_heads + 0.3 * of_heads.std() * random.normal(size=(PATTERNED, *SHAPE))
            values = values if name == "signed_sum" else np.abs(values)
            values = np.abs(random.normal(size=SHAPE)) if name == "weight_change" else values
            np.save(folder / f"{phase}.score.{name}.npy", values.astype(np.float32))
        np.save(folder / f"{phase}.mean.npy", (0.8 * changes).astype(np.float32))
        resampled = changes + 0.2 * changes.std() * random.normal(size=(2, *changes.shape))
        np.save(folder / f"{phase}.resample.npy", resampled.astype(np.float32))
        doses = np.array(boole.DOSES).reshape(-1, 1, 1, 1)
        np.save(folder / f"{phase}.doses.npy", ((1 - doses**2) * changes).astype(np.float32))
        np.save(folder / f"{phase}.slopes.npy", (-2 * doses * changes).astype(np.float32))
        about = json.loads((folder / f"{phase}.json").read_text())
        about |= {"scores": names, "scores_left_out": {}, "ablations": list(kinds), "resample_draws": 2}
        (folder / f"{phase}.json").write_text(json.dumps(about))
    return folder


@pytest.fixture
def folders(tmp_path):
    return [write(tmp_path / task, seed) for seed, (_, task, _) in enumerate(RUNS)]


def computed(folders, **settings):
    given = {"runs": RUNS, "resamples": 30, "seed": 0, "top": 3, "splits": 20, **settings}
    return {name: pd.DataFrame(list(table.rows), columns=table.columns)
            for name, table in analysis.compute(folders, **given).items()}  # fmt: skip


# Numbers --------------------------------------------------------------------------------------------------------------


def test_recall_counts_the_heads_that_both_put_first():
    score = np.array([[[5.0, 4, 3], [2, 1, 0]]])
    effect = np.array([[[0.0, 4, 5], [2, 1, 3]]])
    assert measures.recall(score, effect, 1) == pytest.approx([0])
    assert measures.recall(score, effect, 2) == pytest.approx([0.5])  # {0, 1} and {2, 1}
    assert measures.recall(score, effect, 3) == pytest.approx([2 / 3])  # {0, 1, 2} and {2, 1, 5}


def test_slope_and_r2_are_those_of_a_regression():
    x, y = np.random.default_rng(0).normal(size=(2, 4, 3, 5))
    slope, r2 = measures.line(x, y)
    for n in range(4):
        found = scipy.stats.linregress(x[n].ravel(), y[n].ravel())
        assert (slope[n], r2[n]) == (pytest.approx(found.slope), pytest.approx(found.rvalue**2))
    slope, r2 = measures.line(np.ones((1, 2, 3)), y[:1, :2, :3])
    assert np.isnan(slope).all() and np.isnan(r2).all()


def test_reliability_is_that_of_spearman_and_brown():
    samples = np.random.default_rng(1).normal(size=(6, 3, 4)) + 2 * np.random.default_rng(2).normal(size=(3, 4))
    halves = np.zeros((2, 1, 6))
    halves[0, 0, [0, 2, 5]] = halves[1, 0, [1, 3, 4]] = 1 / 3
    r = scipy.stats.spearmanr(
        samples[[0, 2, 5]].mean(axis=0).ravel(), samples[[1, 3, 4]].mean(axis=0).ravel()
    ).statistic
    assert measures.reliability(samples, halves) == pytest.approx([2 * r / (1 + r)])
    exact = np.repeat(samples[:1], 6, axis=0)
    assert measures.reliability(exact, halves) == pytest.approx([1])


def test_correlations_are_those_of_means_over_samples_and_of_their_differences(folders):
    run = files.read_runs(folders[:1], RUNS[:1], 30, 0)["llama", "math", "0"]
    found = measures.of_run(run, 3)
    score = {phase: np.load(folders[0] / f"{phase}.score.signed_sum.npy").mean(axis=0).ravel() for phase in PHASES}
    effect = {phase: np.load(folders[0] / f"{phase}.resample.npy").mean(axis=(0, 1)).ravel() for phase in PHASES}
    of = ("signed_sum", "resample", "signed", "spearman")
    for phase in PHASES:
        assert found[phase][of][0] == pytest.approx(scipy.stats.spearmanr(score[phase], effect[phase]).statistic)
        slope = scipy.stats.linregress(score[phase], effect[phase]).slope
        assert found[phase][*of[:3], "slope"][0] == pytest.approx(slope, rel=1e-5)
    moved, changed = score["after"] - score["before"], effect["after"] - effect["before"]
    difference = found[validity.DIFFERENCE]
    assert difference[of][0] == pytest.approx(scipy.stats.spearmanr(moved, changed).statistic)
    magnitudes = scipy.stats.spearmanr(np.abs(moved), np.abs(changed)).statistic
    assert difference["signed_sum", "resample", "moved", "spearman"][0] == pytest.approx(magnitudes)
    # A score that compares two models is itself a change, and the model before has no such score.
    weights = np.load(folders[0] / "after.score.weight_change.npy").ravel()
    expected = scipy.stats.spearmanr(weights, np.abs(changed)).statistic
    assert difference["weight_change", "resample", "moved", "spearman"][0] == pytest.approx(expected)
    assert not any(kind[0] == "weight_change" for kind in found["before"])
    # An estimate of the signed effect has slope and R² only for that effect.
    assert ("signed_sum", "zero", "absolute", "slope") not in found["after"]
    assert ("abs_of_sum", "zero", "absolute", "r2") in found["after"]
    assert not any(kind[0] == "output_norm" and kind[3] in ("slope", "r2") for kind in found["after"])


# Tables ---------------------------------------------------------------------------------------------------------------


def test_the_tables_hold_every_run_and_their_means(folders):
    found = computed(folders)
    rows = found["scores"]
    assert tuple(rows.columns) == analysis.COLUMNS
    assert set(rows["ablation"]) == {"zero", "mean", "resample"} and set(rows["score"]) == set(NAMES)
    one = rows[(rows["score"] == "abs_of_sum") & (rows["ablation"] == "mean") & (rows["change"] == "absolute")
               & (rows["measure"] == "spearman") & (rows["phase"] == "after")]  # fmt: skip
    assert list(zip(one["task"], one["seed"], strict=True)) == [
        ("math", "0"), ("arc", "0"), ("math", "*"), ("arc", "*"), ("*", "*")
    ]  # fmt: skip
    assert one["plain"].iloc[-1] == pytest.approx(one["plain"].iloc[:2].mean())
    shown = rows[rows["value"].notna()]
    assert (shown["low"] <= shown["value"]).all() and (shown["value"] <= shown["high"]).all()
    every = found["effects"]
    magnitudes = every[(every["change"] == "moved") | ((every["change"] == "absolute") & (every["phase"] == "after"))]
    assert (magnitudes["low"] >= 0).all()
    assert set(every["change"]) == {"absolute", "signed", "moved"}
    assert (every["ceiling"] ** 2).to_numpy() == pytest.approx(every["reliability"].clip(lower=0).to_numpy())
    assert every[every["ablation"] == "resample"]["draws_agree"].notna().all()
    assert every[every["ablation"] != "resample"]["draws_agree"].isna().all()
    # The change falls with the square of the dose: 75 % is left at half the dose. The slope predicts twice the change.
    doses = found["doses"].query("phase == 'after' and task == 'math' and seed == '0'").set_index(["dose", "measure"])
    assert doses.loc[("0.5", "change"), "plain"] == pytest.approx(0.75 * doses.loc[("0.0", "change"), "plain"])
    assert doses.loc[("0.0", "slope"), "plain"] == pytest.approx(0.5) and doses.loc[("0.0", "r2"), "plain"] > 0.999
    assert doses.loc[("0.0", "integral_gap"), "plain"] < 1e-6
    assert (doses.xs("integral_gap", level="measure")["low"] >= 0).all()


def test_without_doses_and_other_ablations_there_is_what_there_is(tmp_path):
    folder = write(tmp_path / "run", kinds=())
    found = computed([folder], runs=RUNS[:1])
    assert set(found["scores"]["ablation"]) == {"zero"} and found["doses"].empty


def test_a_score_that_one_run_lacks_has_no_mean_over_tasks(tmp_path):
    folders = [write(tmp_path / "math"), write(tmp_path / "arc", 1, [name for name in NAMES if name != "output_norm"])]
    rows = computed(folders)["scores"].query("score == 'output_norm' and phase != 'after_minus_before'")
    assert set(rows["task"]) == {"math"} and set(rows["seed"]) == {"0"}


def test_a_score_of_the_change_may_stand_alone(tmp_path):
    """No head has such a score before fine-tuning."""
    found = computed([write(tmp_path / task, seed, ["weight_change"]) for seed, (_, task, _) in enumerate(RUNS)])
    assert set(found["scores"]["phase"]) == {"after", "after_minus_before"}
    assert set(found["effects"]["phase"]) == {"before", "after", "after_minus_before"}


def test_samples_are_those_of_the_task_and_draws_agree_in_each_way(tmp_path):
    folders = [write(tmp_path / task, seed) for seed, (_, task, _) in enumerate(RUNS)]
    for phase in PHASES:
        about = json.loads((folders[1] / f"{phase}.json").read_text())
        (folders[1] / f"{phase}.json").write_text(json.dumps(about | {"ids": about["ids"][:8]}))
        for name, axis in (("changes", 0), ("mean", 0), ("resample", 1), ("doses", 1), ("slopes", 1), ("groups", 2)):
            path = folders[1] / f"{phase}.{name}.npy"
            np.save(path, np.take(np.load(path), range(8), axis=axis))
    rows = computed(folders)["effects"]
    assert dict(zip(rows["task"], rows["samples"], strict=True)) == {"math": 12, "arc": 8, "*": 8}
    before, after = (np.load(folders[0] / f"{phase}.resample.npy").astype(float) for phase in PHASES)
    wanted = {
        ("after", "absolute"): np.abs(after).mean(axis=1),
        ("after", "signed"): after.mean(axis=1),
        ("after_minus_before", "absolute"): (np.abs(after) - np.abs(before)).mean(axis=1),
        ("after_minus_before", "signed"): (after - before).mean(axis=1),
        ("after_minus_before", "moved"): np.abs((after - before).mean(axis=1)),
    }
    own = rows.query("task == 'math' and seed == '0' and ablation == 'resample'").set_index(["phase", "change"])
    for of, (one, other) in wanted.items():
        correlation = scipy.stats.spearmanr(one.ravel(), other.ravel()).statistic
        assert own.loc[of, "draws_agree"] == pytest.approx(correlation)


@pytest.mark.parametrize(
    ("break_it", "sentence"),
    [
        (lambda folder: (folder / "after.mean.npy").unlink(), r"after\.mean\.npy is not a complete NumPy array"),
        (lambda folder: np.save(folder / "after.score.output_norm.npy", np.ones((4, 3))),
         r"output_norm\.npy has the shape \[4, 3\], but \[3, 4\] or \[10, 3, 4\] is expected"),
        (lambda folder: np.save(folder / "before.resample.npy", np.full((2, 12, 3, 4), np.nan)), "is not finite"),
        (lambda folder: without_scores(folder), "has no scores of heads: ablate the heads again with --scores"),
    ],
)  # fmt: skip
def test_broken_files_are_one_sentence(folders, break_it, sentence):
    break_it(folders[1])
    with pytest.raises(InputError, match=sentence):
        computed(folders)


def without_scores(folder):
    about = json.loads((folder / "before.json").read_text())
    (folder / "before.json").write_text(json.dumps({key: about[key] for key in about if key != "scores"}))


def test_more_heads_in_the_top_than_there_are_is_refused(folders):
    with pytest.raises(InputError, match=r"'top' is 12, but llama has 12 heads in all"):
        computed(folders, top=12)


def test_what_is_claimed_is_measured_of_every_ablation(folders):
    found = effects.measure(folders, RUNS, 30, 0)
    assert [(one.name, one.about) for one in found][:4] == [
        (name, "zero") for name in ("pattern_ranks_heads", "pattern_beats_norms", "change_follows_change",
                                    "estimate_explains")]  # fmt: skip
    assert {one.about for one in found} == {"zero", "mean", "resample"}
    of_runs = [measures.of_run(run, 3)["after"]["abs_of_sum", "zero", "absolute", "spearman"][0]
               for run in files.read_runs(folders, RUNS, 30, 0).values()]  # fmt: skip
    assert found[0].effect.plain == pytest.approx(np.mean(of_runs))
    assert [part.source for part in found[0].effect.components] == ["tasks"]
    [alone] = [one for one in effects.measure(folders[:1], RUNS[:1], 30, 0) if (one.name, one.about) ==
               ("estimate_explains", "mean")]  # fmt: skip
    assert [part.source for part in alone.effect.components] == ["samples"]


# Figure, table and section --------------------------------------------------------------------------------------------


def test_the_figure_the_table_and_the_section_show_them(folders, tmp_path):
    results = tmp_path / "results"
    for name in ("analysis", "tables", "figures"):
        (results / name).mkdir(parents=True)
    rows = [("adaptation", "nlp", "llama", "Llama_mini & co", task, task.upper(), "", "basic", 0, f"nlp.{task}.seed0",
             "none") for task in ("math", "arc")]  # fmt: skip
    pd.DataFrame(rows, columns=run_table.COLUMNS).to_csv(results / "runs.csv", index=False)
    for name, table in zip(("head_scores", "head_effects", "dose_response"), computed(folders).values(), strict=True):
        table.to_csv(results / f"analysis/{name}.csv", index=False)
    inputs = {"runs": results / "runs.csv", "scores": results / "analysis/head_scores.csv"}
    made = drawing.figures(**inputs, effects=results / "analysis/head_effects.csv")["figure_head_scores"]
    assert [axes.get_title().split("\n")[1] for axes in made.axes] == ["zero ablation", "mean ablation",
                                                                       "resample ablation"]  # fmt: skip
    scripts.run(
        "write_table", positional=["head_scores"], output=results / "tables/head_scores",
        inputs=json.dumps({key: str(path) for key, path in inputs.items()}),
    )  # fmt: skip
    (results / "figures/figure_head_scores.svg").write_text("<svg/>")
    [found] = section.section(Results(results))
    text = (results / "tables/head_scores.md").read_text()
    assert "| pattern, \\|Σ A G\\| |" in text and "resample, change" in text and "signed change of the loss" in text
    assert found.anchor == "head-scores" and "the score with the largest rank correlation is" in found.body
    assert "explains (R²)" in found.body and "has no abs_per_position, attention_entropy" in found.body


# Config ---------------------------------------------------------------------------------------------------------------


def test_the_embedded_experiment_is_asked_for_nothing_more():
    from headpatterns.studies.head_scores import settings
    from headpatterns.studies.validity import settings as of_validity

    plain = checked(config_of())
    assert settings.runs(plain) == [] and settings.asked(plain, "llama") == {"scores": []}
    assert set(of_validity.ablation(plain)) == {"samples", "draws", "top", "seed"}
    assert len(boole.DOSES) == courses.DOSES


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("studies.head_scores.models", ["lama"], "studies.head_scores.models"),
        ("studies.head_scores.scores", ["entropy"], "studies.head_scores.scores"),
        ("studies.validity.ablations", ["mean"], "studies.validity.ablations lacks zero"),
        ("studies.validity.ablations", ["zero", "median"], "studies.validity.ablations"),
        ("studies.head_scores", {"models": None, "top": 32}, "studies.head_scores.top is 32, but models.llama has 32"),
    ],
)  # fmt: skip
def test_mistakes_in_the_config_are_one_sentence(path, value, sentence):
    config = config_of()
    assign(config, path, value)
    assert sentence in complaint(config)


def test_scores_within_layers_that_cannot_be_looked_into_are_refused_from_the_config(tmp_path):
    """Your own BLOOM model is refused for these scores by its config.json, and accepted for the others."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bloom", "num_hidden_layers": 8}))
    config = config_of()
    assign(config, "studies.validity.models", ["llama"])
    assign(config, "studies.head_scores.models", None)
    checked(config)
    config["models"]["llama"]["source"] = {"path": str(tmp_path)}
    said = complaint(config)
    assert "models.llama has the type 'bloom', whose layers compute their attention by themselves" in said
    assert "The scores attention_entropy, gradient_norm, norm_product, output_norm, retrieval cannot" in said
    assert "leave the model out of studies.head_scores.models, or these scores out of" in said
    assign(config, "studies.head_scores.scores", ["signed_sum", "integrated_gate", "weight_change"])
    checked(config)


def test_scores_are_taken_of_the_models_of_the_study_alone():
    """With null, only the models of the validity study have scores; a model that only a chain ablates has none."""
    from headpatterns.studies.head_scores import settings

    config = config_of()
    config["studies"]["validity"]["models"] = ["llama"]
    config["studies"]["head_scores"]["models"] = None
    found = checked(config)
    assert settings.asked(found, "llama") == {"scores": registry.names()}
    assert settings.asked(found, "gemma") == {"scores": []}


def test_every_registered_score_may_be_named_in_the_config():
    config = config_of()
    assign(config, "studies.head_scores", {"models": None, "scores": registry.names()})
    checked(config)
