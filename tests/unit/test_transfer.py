"""Every model on every task: losses of plain transformers, the matrix, rows and form by hand, the report, refusals."""

import json
from itertools import product

import analysis_tables
import numpy as np
import pandas as pd
import pattern_files
import pytest
import scipy.stats
import scripts
import torch
import trained_models
from experiments import checked, config_of, meaning
from refusals import refusal
from transformers import AutoModelForCausalLM

from headpatterns.errors import InputError
from headpatterns.experiment import run_table
from headpatterns.io import write_csv
from headpatterns.presentation import grids, style
from headpatterns.presentation.results import Results
from headpatterns.statistics.mantel import INTERACTION, PEARSON
from headpatterns.studies.reading import PLAIN
from headpatterns.studies.transfer import analysis, effects, figure, forms, losses, section, table
from headpatterns.studies.transfer.relations import gathered, held_against

TASKS = ("gsm8k", "code", "arc", "sgsm")
SAMPLES, SHAPE = 12, (2, 3)


# Losses of the samples of every task ---------------------------------------------------------------------------------


def mean_loss(model, tokenizer, row):
    """The loss of a row in plain transformers: it reads prompt, response and EOS, and only the last two have a loss."""
    # The blank at the end of the prompt is the beginning of the response's first token.
    texts = (row["prompt"].rstrip(), row["prompt"] + row["response"])
    prompt, whole = (tokenizer(text)["input_ids"] for text in texts)
    ids = [*whole, tokenizer.eos_token_id]
    labels = [-100] * len(prompt) + ids[len(prompt) :]
    with torch.no_grad():
        return float(model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss)


def test_losses_are_those_of_plain_transformers(tmp_path, model_folder, tokenizer, rows):
    runs = [trained_models.write(tmp_path / name, model_folder, seed) for seed, name in enumerate(("one", "two"))]
    tasks = {"sums": rows[:5], "more": [{**row, "response": f"{row['response']} Yes."} for row in rows[5:]]}
    for name, of_task in tasks.items():
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, of_task)), encoding="utf-8")
    outputs = [tmp_path / "out" / f"{run.name}.csv" for run in runs]
    given = [f"{name}={tmp_path}/{name}.jsonl" for name in tasks]
    scripts.run("transfer_losses", model=model_folder, run=runs, output=outputs, task=given, max_length=256)
    base = AutoModelForCausalLM.from_pretrained(model_folder)
    for run, output in zip(runs, outputs, strict=True):
        found = losses.read(output)
        assert list(found) == list(tasks)
        trained = AutoModelForCausalLM.from_pretrained(run / "final")
        for name, of_task in tasks.items():
            assert found[name].ids == tuple(row["id"] for row in of_task)
            for model, ours in ((base, found[name].before), (trained, found[name].after)):
                np.testing.assert_allclose(ours, [mean_loss(model, tokenizer, row) for row in of_task], rtol=1e-4)
    first, second = (pd.read_csv(output) for output in outputs)
    assert (first["before"] == second["before"]).all() and (first["after"] != second["after"]).all()


def test_a_broken_run_is_refused(tmp_path, model_folder, rows, capfd, monkeypatch):
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    given = {"model": model_folder, "run": [tmp_path / "none"], "output": [tmp_path / "a.csv"]}
    task = f"sums={tmp_path}/rows.jsonl"
    said = scripts.refused(capfd, monkeypatch, "transfer_losses", **given, task=[task])
    assert "none has no run.json: give the folder of a finished run" in said
    said = scripts.refused(capfd, monkeypatch, "transfer_losses", **{**given, "output": [1, 2]}, task=[task])
    assert said.endswith("give as many --output as --run.")


# The matrix and what it is compared with -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """Two seeds of a model with patterns and losses of four tasks: the folder, the tables, and each table's run."""
    folder = tmp_path_factory.mktemp("transfer")
    random = np.random.default_rng(0)
    table_rows, named, paths = [], [], []
    for task, seed in product(TASKS, (0, 1)):
        own = folder / "patterns" / f"{task}{seed}"
        for step in (0, 5):
            pattern_files.save(own, step, random.lognormal(size=(SAMPLES, *SHAPE)) * (1 + step * random.random(SHAPE)))
        run = f"nlp.{task}.seed{seed}"
        table_rows.append(("adaptation", "nlp", "big", "Big & co", task, task.upper(), "", "basic", seed, run, own))
        named.append(["big", task, seed])
        paths.append(folder / f"{task}{seed}.csv")
        write_csv(paths[-1], losses.COLUMNS, [
            (other, f"s{n}", 3, 4 + random.random(), 3 + random.random()) for other in TASKS for n in range(SAMPLES)
        ])  # fmt: skip
    write_csv(folder / "runs.csv", run_table.COLUMNS, table_rows)
    return folder, paths, named


def computed(experiment, variants=None):
    folder, paths, named = experiment
    found = analysis.compute(folder / "runs.csv", paths, named, variants or {}, 50, 0)
    return {name: pd.DataFrame(list(one.rows), columns=list(one.columns)) for name, one in found.items()}


def test_gains_are_means_over_samples_and_seeds(experiment):
    found = computed(experiment)["transfer"]
    assert len(found) == 4 * 4 * 3
    written = [pd.read_csv(experiment[0] / f"arc{seed}.csv") for seed in (0, 1)]
    falls = [(one["before"] - one["after"])[one["task"] == "code"] for one in written]
    own = found[(found["trained_on"] == "arc") & (found["task"] == "code")].set_index("seed")
    for seed in (0, 1):
        assert own.loc[seed, "gain"] == pytest.approx(falls[seed].mean())
        assert own.loc[seed, "before"] - own.loc[seed, "after"] == pytest.approx(falls[seed].mean())
        # For a mean, the bootstrap interval is about the interval of its standard error.
        assert own.loc[seed, "high"] - own.loc[seed, "low"] == pytest.approx(2 * 2.2 * falls[seed].sem(), rel=0.4)
    assert own.loc["*", "gain"] == pytest.approx(np.mean([fall.mean() for fall in falls]))
    assert set(found["samples"]) == {SAMPLES}


def test_similarity_is_held_against_the_gains(experiment):
    folder, paths, named = experiment
    tables = computed(experiment)
    rows = tables["mantel"].set_index(["matrix", "design", "statistic"])
    assert len(rows) == 4 * 3 * 2 and tables["forms"].empty
    gains = tables["transfer"]
    gains = gains[gains["seed"] == "*"].pivot(index="trained_on", columns="task", values="gain").loc[[*TASKS], [*TASKS]]
    patterns = {}
    for step in (0, 5):
        levels = [[np.load(folder / f"patterns/{task}{seed}/step-{step}.samples.npy").astype(float) for task in TASKS]
                  for seed in (0, 1)]  # fmt: skip
        patterns[step] = np.array(levels).mean(axis=2).reshape(2, 4, -1)
    rates = patterns[5] / patterns[0] - 1
    pairs = np.triu_indices(4, 1)
    for name, values in (("before", patterns[0]), ("after", patterns[5]), ("change_rate", rates)):
        similarity = np.mean([np.corrcoef(one) for one in values], axis=0)
        both = (gains.to_numpy() + gains.to_numpy().T) / 2
        for statistic, scipys in (("pearson", scipy.stats.pearsonr), ("spearman", scipy.stats.spearmanr)):
            expected = scipys(similarity[pairs], both[pairs]).statistic
            row = rows.loc[(name, "symmetrised", statistic)]
            assert row["plain"] == pytest.approx(expected, abs=1e-6)
            assert row["p"] == pytest.approx(min(1, 2 * min(row["p_above"], row["p_below"]))) and row["p"] >= 2 / 24
            assert row["tasks"] == 4 and row["p_least"] == 1 / 24
    one = rows.xs(("symmetrised", "spearman"), level=("design", "statistic"))
    assert one["p_adjusted"].min() == pytest.approx(min(1, 4 * one["p"].min()))
    models_, _ = gathered(folder / "runs.csv", paths, named, 50, 0, PLAIN)
    effect, test = held_against(models_["big"], "after", INTERACTION, PEARSON)
    assert effect.plain == pytest.approx(test.r) and set(effect.varies) == {"seeds", "tasks"}


# Rows and form -------------------------------------------------------------------------------------------------------

PAIRS = np.array([[0, 1], [2, 3], [4, 5]])


def test_rows_and_form_by_hand():
    rows, form = np.repeat(range(3), 2), np.tile([0, 1], 3)
    same_rows, same_form = rows[:, None] == rows, form[:, None] == form
    matrix = 0.1 + 0.5 * (same_rows & ~same_form) + 0.2 * (~same_rows & same_form)
    assert forms.rows_contrast(matrix, PAIRS) == pytest.approx(0.5)
    assert forms.form_contrast(matrix, PAIRS) == pytest.approx(0.2)
    assert forms.rows_contrast(np.stack([matrix, 2 * matrix]), PAIRS) == pytest.approx([0.5, 1.0])
    # There are 6 ways to deal the second forms, and 4 ways to swap forms. No other way gives as large a contrast.
    assert forms.permutation_p(matrix, PAIRS, "rows") == pytest.approx((1 / 6, 1, 1 / 6))
    assert forms.permutation_p(matrix, PAIRS, "form") == pytest.approx((1 / 4, 1, 1 / 4))
    assert forms.permutation_p(-matrix, PAIRS, "form") == pytest.approx((1, 1 / 4, 1 / 4))


def test_contrasts_are_differences_of_means_of_a_matrix_that_is_not_symmetric():
    matrix = np.random.default_rng(0).normal(size=(6, 6))
    rows, form = np.repeat(range(3), 2), np.tile([0, 1], 3)
    same_rows, same_form = rows[:, None] == rows, form[:, None] == form
    neither = matrix[~same_rows & ~same_form].mean()
    assert forms.rows_contrast(matrix, PAIRS) == pytest.approx(matrix[same_rows & ~same_form].mean() - neither)
    assert forms.form_contrast(matrix, PAIRS) == pytest.approx(matrix[~same_rows & same_form].mean() - neither)


def test_a_contrast_that_does_not_exist_has_no_p():
    """A task without a change has no similarity. The share of permutations that are at least NaN would be 0."""
    matrix = np.random.default_rng(0).normal(size=(6, 6))
    matrix[0], matrix[:, 0] = np.nan, np.nan
    for shared, least in (("rows", 1 / 6), ("form", 1 / 4)):
        found = forms.permutation_p(matrix, PAIRS, shared)
        assert np.isnan(found[:2]).all() and found[2] == pytest.approx(least)
    rows = list(analysis.corrected([(("a",), (np.nan, np.nan, 1 / 6)), (("b",), (0.02, 1.0, 1 / 6))]))
    assert np.isnan(rows[0][-2:]).all() and rows[1][-2:] == (0.04, 0.04)


def test_variants_are_told_apart(experiment):
    folder, paths, named = experiment
    variants = {"gsm8k": "code", "arc": "sgsm"}
    found = computed(experiment, variants)["forms"]
    assert len(found) == 5 * 2 and set(found["sets"]) == {2} and set(found["p_least"]) == {1 / 2}
    measured = effects.measure(folder / "runs.csv", paths, named, variants, 50, 0)
    assert [one.about for one in measured] == 3 * ["before", "after", "change rates"]
    by_name = {(one.name, one.about): one.effect for one in measured}
    row = found[(found["matrix"] == "after") & (found["shared"] == "form")].iloc[0]
    assert by_name["same_form_is_similar", "after"].plain == row["plain"]
    assert by_name["same_form_is_similar", "after"].p_least == 1 / 2
    assert {one.name for one in effects.measure(folder / "runs.csv", paths, named, {}, 50, 0)} == {
        "transfer_follows_similarity"
    }


# Files that cannot be used -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ("task,id,tokens,before,after\n", "has no losses"),
        ("task,id,tokens,before,after\narc,s0,1,2.0,much\n", "not a number"),
        ("task,id,tokens,before,after\narc,s0,1,2.0,inf\n", "not finite"),
        ("task,id,before\narc,s0,1\n", "tokens"),
    ],
)
def test_a_faulty_table_of_losses_is_refused(tmp_path, content, hint):
    (tmp_path / "a.csv").write_text(content)
    with refusal(str(tmp_path / "a.csv"), hint):
        losses.read(tmp_path / "a.csv")


def test_runs_on_other_samples_are_refused(tmp_path):
    for name, sample in (("a", "s0"), ("b", "s1")):
        write_csv(tmp_path / f"{name}.csv", losses.COLUMNS, [("arc", sample, 2, 1.0, 0.5)])
    named = [["big", "arc", 0], ["big", "arc", 1]]
    with refusal(str(tmp_path / "b.csv"), "different tasks or samples"):
        losses.read_all([tmp_path / "a.csv", tmp_path / "b.csv"], named)


# The config ----------------------------------------------------------------------------------------------------------


def with_forms(**changed):
    config = config_of("config/forms.yaml")
    config["studies"]["transfer"] |= changed
    return config


def test_the_overlay_of_forms_is_accepted():
    made = checked(with_forms())
    assert len(made.settings("transfer").variants) >= 3


@pytest.mark.parametrize(
    ("change", "key", "hint"),
    [
        ({"variants": {"arc": "arc-lettr"}}, "studies.transfer.variants", "arc-letter"),
        ({"variants": {"arc": "arc-letter"}}, "studies.transfer.variants", "2 to 7 pairs"),
        ({"variants": {"arc": "mmlu-letter", "mmlu": "arc-letter"}}, "studies.transfer.variants.arc", "same rows"),
        ({"variants": {"arc": "arc-letter", "mmlu": "arc-letter"}}, "studies.transfer.variants", "twice"),
        ({"variants": {"arc": "arc", "mmlu": "mmlu-letter"}}, "studies.transfer.variants.arc", "another form"),
        ({"variants": {}, "tasks": ["arc", "mmlu"]}, "studies.transfer.tasks", "3 or more"),
        ({"models": ["opt"]}, "studies.transfer.models[0]", "llama"),
    ],
)
def test_settings_that_cannot_be(change, key, hint):
    with pytest.raises(InputError) as said:
        checked(with_forms(**change))
    assert any(key in line and hint in line for line in str(said.value).splitlines()), said.value


def test_nothing_is_asked_for_by_default():
    made = meaning(config_of())
    assert not next(one for one in made.studies if one.name == "transfer").selected(made)


# What readers see ----------------------------------------------------------------------------------------------------


def test_figure_table_and_section(experiment, tmp_path):
    folder = tmp_path / "results"
    for name in ("analysis", "figures", "tables"):
        (folder / name).mkdir(parents=True)
    variants = {"gsm8k": "code", "arc": "sgsm"}
    tables = computed(experiment, variants)
    for name, one in tables.items():
        one.to_csv(folder / f"analysis/transfer{'' if name == 'transfer' else f'_{name}'}.csv", index=False)
    (folder / "runs.csv").write_bytes((experiment[0] / "runs.csv").read_bytes())
    similarity = [analysis_tables.matrix("big", 0, name, list(TASKS), np.random.default_rng(0).random((4, 6)))
                  for name in ("before", "after", "change_rate")]  # fmt: skip
    columns = ("model", "seed", "matrix", "task_a", "task_b", "value", "low", "high")
    write_csv(folder / "analysis/similarity.csv", columns, [row for one in similarity for row in one])
    paths = [folder / f"analysis/{name}.csv" for name in ("similarity", "transfer", "transfer_mantel")]
    with style.applied():
        drawn = figure.figures(folder / "runs.csv", *paths)["figure_transfer"]
        style.save(drawn, folder / "figures/figure_transfer")
    assert len(drawn.axes) == 4 + 2
    gains = tables["transfer"]
    own = gains[(gains["seed"] == "*") & (gains["trained_on"] == "arc") & (gains["task"] == "code")]["gain"].iloc[0]
    texts = [text.get_text() for text in drawn.axes[0].texts]
    assert texts[2 * 4 + 1] in (style.fixed(own, 1), style.compact(own)) and len(texts) == 16
    made, shown = table.tabulate(folder / "runs.csv", paths[2], folder / "analysis/transfer_forms.csv")
    grids.write(made, shown, folder / "tables/transfer")
    assert len(made) == 24 + 10 and [len(one.rows) for one in shown] == [24, 10]
    [page] = section.section(Results(folder))
    assert "no two-sided p is below 0.083, and no rank correlation over pairs of tasks has a p of 5 %" in page.body
    rows = made.assign(critical=np.where(made["design"] != "", 0.6, np.nan))
    assert "a rank correlation over pairs of tasks must be 0.60 or more for a p of 5 %" in section.power(rows)
    assert "Big &amp; co: training on one task lowers the loss on another in" in page.body
    assert "Sharing the same form with other rows" in page.body
