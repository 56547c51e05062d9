"""Training of some heads only: other weights stay bit by bit, a plain computation, resuming, shares, refusals."""

import csv
from itertools import product

import numpy as np
import pandas as pd
import pytest
import ranked_runs
import scripts
import test_training
import torch
from experiments import PROJECT, checked, config_of, experiment_of
from refusals import refusal
from test_training import changed, options, small, states, terminate, weights, when
from transformers import AutoModelForCausalLM

from headpatterns.data import samples as rows_of
from headpatterns.errors import InputError, Interrupted
from headpatterns.experiment import run_table
from headpatterns.experiment.jobs import Job
from headpatterns.experiment.runs import HeadsSet, Run, TaskSet
from headpatterns.io import write_csv
from headpatterns.models import loading as models
from headpatterns.models.head_slices import change, slices
from headpatterns.planning import courses, disk, estimates, formulas
from headpatterns.planning.sizes import Sizes
from headpatterns.presentation import style
from headpatterns.presentation.results import Results
from headpatterns.studies.trained_heads import analysis, effects, figure, losses, section, settings
from headpatterns.training import callbacks, run_folder, some_heads
from headpatterns.training import train as training
from headpatterns.training.recipe import Lora

prepared, samples = test_training.prepared, test_training.samples
DECAYING = changed(
    weight_decay=0.5, learning_rate=1e-2, lr_scheduler="constant", warmup_ratio=0.0, max_steps=2, checkpoint_steps=(1,)
)


def chosen(*places, shape=(3, 6)):
    heads = np.zeros(shape, dtype=bool)
    for place in places:
        heads[place] = True
    return heads


def trained(model, tokenizer, samples, run, heads, recipe=DECAYING):
    """The weights of every checkpoint of a run that trains some heads of a model."""
    training.train(model, tokenizer, samples, recipe, "identity", run, heads=heads)
    run_folder.publish(run)
    folders = models.checkpoints(run).values()
    return [dict(AutoModelForCausalLM.from_pretrained(folder).named_parameters()) for folder in folders]


def taken(model, heads):
    """For every parameter, a mask of the values that belong to some heads."""
    found = {name: torch.zeros_like(value, dtype=torch.bool) for name, value in model.named_parameters()}
    for one in slices(model):
        for place in one.taken(heads):
            found[one.name].movedim(one.axis, 0)[place] = True
    return found


# Training ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "places", "names"),
    [
        # Heads 0 to 2 share a key head and a value head, which are trained when all three are trained.
        (
            "llama-grouped-query",
            [(1, 0), (1, 1), (1, 2), (2, 5)],
            {
                f"model.layers.{one}_proj.weight"
                for one in (
                    "1.self_attn.q",
                    "1.self_attn.k",
                    "1.self_attn.v",
                    "1.self_attn.o",
                    "2.self_attn.q",
                    "2.self_attn.o",
                )
            },
        ),
        (
            "gpt2",
            [(0, 3)],
            {f"transformer.h.0.attn.{one}" for one in ("c_attn.weight", "c_attn.bias", "c_proj.weight")},
        ),
        ("phi3", [(2, 1)], {f"model.layers.2.self_attn.{one}_proj.weight" for one in ("qkv", "o")}),
    ],
)
def test_all_other_weights_stay_bit_by_bit_in_spite_of_weight_decay(tokenizer, samples, tmp_path, name, places, names):
    before = {key: value.detach().clone() for key, value in small(name).named_parameters()}
    heads = chosen(*places)
    of_heads = taken(small(name), heads)
    found = trained(small(name), tokenizer, samples, tmp_path / "run", heads)
    assert len(found) == 2
    for after in found:
        moved = {key for key, value in after.items() if not torch.equal(value, before[key])}
        assert moved == names
        for key, value in after.items():
            assert torch.equal(value[~of_heads[key]], before[key][~of_heads[key]]), key
            # The bias of keys adds the same to all scores of a query, so its gradient is only rounding: it may stay.
            most = 0.6 if key.endswith("c_attn.bias") else 0.99
            assert key not in names or (value != before[key])[of_heads[key]].float().mean() > most, key


def test_with_all_heads_their_slices_and_nothing_else_are_trained(tokenizer, samples, tmp_path):
    before = dict(small().named_parameters())
    [_, after] = trained(small(), tokenizer, samples, tmp_path / "run", np.ones((3, 6), dtype=bool))
    moved = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert moved == {one.name for one in slices(small())}
    assert all((after[key] != before[key]).float().mean() > 0.99 for key in moved)


def test_a_plain_computation_gives_the_same_weights(tokenizer, samples, tmp_path):
    """Head 4 of layer 1 consists of separate tensors that are put into the model. AdamW sees only these tensors."""
    recipe = changed(
        learning_rate=1e-2, lr_scheduler="constant", warmup_ratio=0.0, weight_decay=0.5, max_grad_norm=0.01,
        max_steps=None, epochs=3.0, checkpoint_steps=(), optimizer="adamw",
    )  # fmt: skip
    [after] = trained(small(), tokenizer, samples[:4], tmp_path / "run", chosen((1, 4)), recipe)
    model = small().eval()
    prefix, rows = "model.layers.1.self_attn", slice(16, 20)
    before = {name: value.detach() for name, value in model.named_parameters()}
    queries = before[f"{prefix}.q_proj.weight"][rows].clone().requires_grad_()
    outputs = before[f"{prefix}.o_proj.weight"][:, rows].clone().requires_grad_()
    optimizer = torch.optim.AdamW([queries, outputs], lr=1e-2, weight_decay=0.5)
    count = sum(label != -100 for one in samples[:4] for label in one["labels"])
    for _ in range(3):
        q, o = before[f"{prefix}.q_proj.weight"], before[f"{prefix}.o_proj.weight"]
        put_in = {
            f"{prefix}.q_proj.weight": torch.cat([q[:16], queries, q[20:]]),
            f"{prefix}.o_proj.weight": torch.cat([o[:, :16], outputs, o[:, 20:]], dim=1),
        }
        total = torch.zeros(())
        for one in samples[:4]:
            ids, labels = (torch.tensor([one[key]]) for key in ("input_ids", "labels"))
            logits = torch.func.functional_call(model, {**before, **put_in}, (ids,)).logits[0, :-1]
            total = total + torch.nn.functional.cross_entropy(logits, labels[0, 1:], reduction="sum")
        optimizer.zero_grad()
        (total / count).backward()
        torch.nn.utils.clip_grad_norm_([queries, outputs], 0.01)
        optimizer.step()
    torch.testing.assert_close(after[f"{prefix}.q_proj.weight"][rows], queries, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(after[f"{prefix}.o_proj.weight"][:, rows], outputs, rtol=1e-4, atol=1e-6)
    assert (queries - before[f"{prefix}.q_proj.weight"][rows]).abs().max() > 1e-2


def test_micro_batches_and_checkpointed_gradients_change_nothing(tokenizer, samples, tmp_path):
    heads = chosen((0, 1), (2, 3))
    parts = {"per_device_batch_size": 2, "gradient_accumulation_steps": 2}
    one, *others = (
        trained(small(), tokenizer, samples, tmp_path / str(n), heads, changed(max_steps=2, checkpoint_steps=(), **how))
        for n, how in enumerate([{}, parts, {"gradient_checkpointing": True}])
    )
    for other in others:
        for name, value in one[0].items():
            torch.testing.assert_close(other[0][name], value, rtol=1e-4, atol=2e-6)


def write_heads(path, heads):
    write_csv(path, some_heads.COLUMNS, np.argwhere(heads).tolist())
    return path


def test_an_interrupted_run_goes_on_to_the_same_bytes(prepared, tmp_path, monkeypatch):
    """OPT has dropout and biases. One job trains two runs with different heads."""
    files = [write_heads(tmp_path / f"{n}.csv", chosen((n, 2), (2, 4))) for n in range(2)]

    def given(name):
        runs = [tmp_path / name / "run", tmp_path / name / "other"]
        return runs, options(prepared, runs, training_set=[prepared / "set.csv"] * 2, heads=files, max_steps=6,
                             checkpoint_steps=[], weight_decay=0.1, resume_every=2)  # fmt: skip

    whole, values = given("whole")
    scripts.run("finetune", **values)
    parts, values = given("parts")
    monkeypatch.setattr(callbacks, "print", when("step 3/", terminate), raising=False)
    with pytest.raises(Interrupted, match="interrupted by SIGTERM at step 4"):
        scripts.run("finetune", **values)
    assert states(parts[0])[-1] == 4
    monkeypatch.undo()
    scripts.run("finetune", **values)
    assert [weights(run) for run in parts] == [weights(run) for run in whole]
    assert weights(whole[0]) != weights(whole[1])
    base = dict(models.load_model(prepared / "model").named_parameters())
    for run, heads in zip(parts, (chosen((0, 2), (2, 4)), chosen((1, 2), (2, 4))), strict=True):
        model = models.load_model(run / "final")
        for name, value in taken(model, heads).items():
            after = dict(model.named_parameters())[name]
            assert torch.equal(after[~value], base[name][~value])


def test_heads_of_another_choice_are_another_run(prepared, tmp_path, monkeypatch, capfd):
    """A run that was interrupted with other heads does not continue with these."""
    one, other = (write_heads(tmp_path / f"{n}.csv", chosen((n, 2))) for n in range(2))
    given = {"max_steps": 4, "checkpoint_steps": []}
    monkeypatch.setattr(callbacks, "print", when("step 1/", terminate), raising=False)
    with pytest.raises(Interrupted):
        scripts.run("finetune", **options(prepared, tmp_path / "run", heads=[one], **given))
    monkeypatch.undo()
    capfd.readouterr()
    scripts.run("finetune", **options(prepared, tmp_path / "run", heads=[other], **given))
    assert "step 1/4" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("recipe", "hint"),
    [
        ({"lora": Lora()}, "cannot be trained alone with adapters: leave recipe.lora out"),
        ({"engine": "deepspeed"}, "set recipe.engine to pytorch and recipe.devices to 1"),
        ({"devices": 2, "global_batch_size": 8}, "engine pytorch and 2 devices"),
    ],
)
def test_recipes_that_train_no_single_weights_are_refused(recipe, hint):
    with pytest.raises(InputError, match=hint):
        some_heads.Restriction(small(), chosen((0, 0)), changed(**recipe))


def test_a_model_of_undivided_weights_is_refused(tokenizer, samples, tmp_path):
    with pytest.raises(InputError, match="it is unknown how BloomForCausalLM divides"):
        train_some = small("bloom")
        training.train(train_some, tokenizer, samples, DECAYING, "identity", tmp_path / "run", heads=chosen((0, 0)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("named", "hint"),
    [
        ([], "names no head"),
        ([(0, 6)], "row 1 names head 6 of layer 0, but the model has 3 layers of 6 heads"),
        ([(0, 1), (3, 0)], "row 2 names head 0 of layer 3"),
        ([(0, 1), (0, 1)], "row 2 names head 1 of layer 0 a second time"),
        ([("first", 1)], "row 1 is no layer and head"),
    ],
)
def test_faulty_files_of_heads_are_refused(prepared, tmp_path, named, hint):
    write_csv(tmp_path / "heads.csv", some_heads.COLUMNS, named)
    with pytest.raises(InputError, match=hint):
        scripts.run("finetune", **options(prepared, tmp_path / "run", heads=[tmp_path / "heads.csv"]))
    assert not (tmp_path / "run").exists()


def test_as_many_files_of_heads_as_runs(prepared, tmp_path):
    file = write_heads(tmp_path / "heads.csv", chosen((0, 0)))
    with pytest.raises(InputError, match="2 --heads do not fit 1 --output"):
        scripts.run("finetune", **options(prepared, tmp_path / "run", heads=[file, file]))


# Choices and losses --------------------------------------------------------------------------------------------------


@pytest.fixture
def given(tmp_path, model_folder, rows):
    """A run with patterns and ablations, and the options of choose_heads."""
    files = {"output": [tmp_path / "whole.csv"], "heads_output": [tmp_path / "heads/of-{choice}.csv"]}
    return ranked_runs.options(tmp_path, model_folder, rows) | files | {"size": [2, 18]}


def loss_of(model, sample):
    with torch.no_grad():
        return float(model(input_ids=torch.tensor([sample.input_ids]), labels=torch.tensor([sample.labels])).loss)


def places_in(path):
    with path.open(newline="", encoding="utf-8") as file:
        return {(int(row["layer"]), int(row["head"])) for row in csv.DictReader(file)}


def test_heads_are_chosen_on_other_samples_than_the_measured_ones(given, rows):
    scripts.run("choose_heads", **given)
    table = pd.read_csv(given["output"][0])
    assert list(table.columns) == ["id", "before", "after"] and len(table) == 4
    others = np.array([row["id"] not in set(table["id"]) for row in rows])
    old, new = (models.load_model(folder) for folder in (given["model"], given["run"][0] / "final"))
    patterns = [np.load(given["patterns"][0] / f"step-{step}.samples.npy")[others].mean(axis=0) for step in (0, 3)]
    effect = np.abs(np.load(given["ablations"][0] / "after.changes.npy")[others].mean(axis=0))
    scores = {"change": np.abs(patterns[1] - patterns[0]), "pattern": patterns[1], "effect": effect,
              "weights": change(*(dict(model.named_parameters()) for model in (old, new)), slices(old), 6)}  # fmt: skip
    folder = given["heads_output"][0].parent
    for ranking, score in scores.items():
        expected = {divmod(int(place), 6) for place in np.argsort(-score.ravel())[:2]}
        assert places_in(folder / f"of-{ranking}-2.csv") == expected
    drawn = [places_in(folder / f"of-random{draw}-2.csv") for draw in range(2)]
    assert all(len(places) == 2 for places in drawn) and drawn[0] != drawn[1]
    every = set(product(range(3), range(6)))
    assert all(places_in(folder / f"of-{name}.csv") == every for name in ("all", "change-18", "random1-18"))
    assert len(list(folder.iterdir())) == 6 * 2 + 1
    made, _ = rows_of.tokenized(models.load_tokenizer(given["model"]), rows, 256, "rows", skip=False)
    measured = [sample for sample in made if sample.id in set(table["id"])]
    np.testing.assert_allclose(table["before"], [loss_of(old, one) for one in measured], rtol=1e-5)
    np.testing.assert_allclose(table["after"], [loss_of(new, one) for one in measured], rtol=1e-5)
    # The losses of a run that trained some heads are of the same samples too.
    output = given["output"][0].with_name("alone.csv")
    same = {key: given[key] for key in ("model", "run", "data", "samples", "max_length")}
    scripts.run("trained_losses", **same, output=[output])
    alone = pd.read_csv(output)
    assert list(alone["id"]) == list(table["id"]) and set(alone["heads"]) == {18}
    np.testing.assert_allclose(alone["loss"], table["after"], rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"size": [2, 19]}, "--size has 19, but .* has 3 layers of 6 heads: give at most 18"),
        ({"ablations": None}, "give as many --ablations as --run if --ranking has effect"),
        ({"output": ["a", "b"]}, "give as many --data, --patterns and --output as --run"),
        ({"heads_output": ["heads.csv"]}, r"--heads-output is heads.csv, without \{choice\}"),
        ({"samples": 0}, "--samples is 0: give 1 or more"),
    ],
)
def test_options_that_cannot_be(given, change, hint):
    with pytest.raises(InputError, match=hint):
        scripts.run("choose_heads", **{**given, **change})


def test_losses_of_as_many_runs_as_outputs(given):
    some = {key: given[key] for key in ("model", "run", "data", "max_length")}
    with pytest.raises(InputError, match="give as many --data and --output as --run"):
        scripts.run("trained_losses", **some, output=["a", "b"])


# Shares --------------------------------------------------------------------------------------------------------------

CHOICES = [["change", 0, 2], ["random", 0, 2], ["random", 1, 2], ["all", 0, 0]]


def write_tables(folder, name, before, after, shares):
    """Write the tables of a run and of its choices of heads, with the given shares of the gain."""
    ids = [f"s{n}" for n in range(len(before))]
    whole = folder / f"{name}.csv"
    write_csv(whole, losses.WHOLE, list(zip(ids, before, after, strict=True)))
    paths = []
    for n, share in enumerate(shares):
        paths.append(folder / f"{name}-{n}.csv")
        write_csv(paths[-1], losses.ALONE, [
            (8, id, one - share * (one - other)) for id, one, other in zip(ids, before, after, strict=True)
        ])  # fmt: skip
    return whole, paths


@pytest.fixture
def experiment(tmp_path):
    """Two tasks of a model with two seeds; two heads have the shares 0.4 and 0.6, and all heads 0.7 and 0.9."""
    named, whole, alone, table = [], [], [], []
    for n, (task, seed) in enumerate(product(("gsm8k", "arc"), (0, 1))):
        before = 3 + np.random.default_rng(n).random(12)
        after = before - 1 - np.random.default_rng(9 + n).random(12)
        shares = (0.4, 0.1, 0.3, 0.7) if task == "gsm8k" else (0.6, 0.1, 0.3, 0.9)
        path, paths = write_tables(tmp_path, f"{task}{seed}", before, after, shares)
        whole.append(path)
        alone += paths
        named.append(["big", task, seed])
        run = f"nlp.{task}.seed{seed}"
        table.append(("adaptation", "nlp", "big", "Big & co", task, task.upper(), "", "basic", seed, run, "patterns"))
    write_csv(tmp_path / "runs.csv", run_table.COLUMNS, table)
    return tmp_path, {"whole": whole, "alone": alone, "named": named, "choices": CHOICES, "resamples": 50, "seed": 0}


def test_shares_by_hand(experiment):
    _, given = experiment
    found = analysis.compute(**given)["shares"]
    rows = pd.DataFrame(list(found.rows), columns=list(found.columns)).set_index(["task", "ranking", "seed"])
    assert len(rows) == 3 * (4 + 2 + 1)
    one = rows.loc[("gsm8k", "change", 0)]
    assert (one["value"], one["low"], one["high"], one["k"]) == pytest.approx((0.4, 0.4, 0.4, 2))
    assert rows.loc[("*", "change", "*"), "value"] == pytest.approx(0.5)
    assert rows.loc[("*", "all heads", "*"), "value"] == pytest.approx(0.8)
    random = rows.loc[("arc", "random", "*")]
    assert (random["value"], random["least_draw"], random["largest_draw"]) == pytest.approx((0.2, 0.1, 0.3))
    first = pd.read_csv(given["whole"][0])
    assert rows.loc[("gsm8k", "change", 0), "gain"] == pytest.approx((first["before"] - first["after"]).mean())


def test_effects_by_hand(experiment):
    folder, given = experiment
    found = {one.name: one.effect for one in effects.measure(folder / "runs.csv", **given)}
    assert set(found) == {"trained_heads_carry", "trained_changed_beat_random"}  # effects were not ranked
    assert found["trained_heads_carry"].plain == pytest.approx(0.8)
    assert found["trained_changed_beat_random"].plain == pytest.approx(0.5 - 0.2)
    draws = next(one for one in found["trained_changed_beat_random"].components if one.source == "draws")
    assert draws.variance == pytest.approx(np.var([0.1, 0.3], ddof=1) / 2) and draws.df == 1


def test_figure_and_section(experiment):
    folder, given = experiment
    for name in ("analysis", "figures"):
        (folder / name).mkdir()
    table = analysis.compute(**given)["shares"]
    write_csv(folder / "analysis/trained_heads.csv", table.columns, table.rows)
    with style.applied():
        drawn = figure.figures(folder / "runs.csv", folder / "analysis/trained_heads.csv")["figure_trained_heads"]
        style.save(drawn, folder / "figures/figure_trained_heads")
    curve = next(line for line in drawn.axes[0].lines if line.get_color() == style.LINE_COLOURS[0])
    assert list(curve.get_xdata()) == [2, 8] and list(curve.get_ydata()) == pytest.approx([0.5, 0.8])
    [page] = section.section(Results(folder))
    assert "Big &amp; co: the mean gain over tasks is" in page.body
    assert "Training all 8 heads and nothing else reaches 0.80" in page.body and "GSM8K" in page.body


@pytest.mark.parametrize(
    ("which", "spoil", "hint"),
    [
        ("whole", lambda rows: rows[:0], "has no losses"),
        ("alone", lambda rows: rows[:-1], "has other samples than"),
        ("alone", lambda rows: rows.assign(loss="much"), "has a loss that is no number"),
        ("whole", lambda rows: rows.assign(after=np.inf), "has a loss that is not finite"),
        ("alone", lambda rows: rows.assign(heads=9), "has another number of heads"),
    ],
)
def test_a_faulty_table_is_refused(tmp_path, which, spoil, hint):
    whole, alone = write_tables(tmp_path, "a", [2.0, 3.0], [1.0, 1.5], (0.4, 0.1, 0.3, 0.7))
    path = whole if which == "whole" else alone[-1]
    spoil(pd.read_csv(path)).to_csv(path, index=False)
    with refusal(str(path), hint):
        losses.read(whole, alone, CHOICES)


# The config, its runs and their plan ---------------------------------------------------------------------------------


def study(**values):
    own = {"models": ["llama"], "rankings": ["change"], "draws": 2, "sizes": [4], **values}
    return {"seeds": [0], "studies": {"trained_heads": own}}


def test_runs_by_name_are_those_of_the_task_but_for_their_heads():
    experiment = experiment_of(study(tasks=["gsm8k"]))
    names = [run.name for run in settings.runs(experiment)]
    choices = ("change-4", "random0-4", "random1-4", "all")
    assert names == ["nlp.gsm8k.seed0", *(f"trained_heads.gsm8k-{choice}.seed0" for choice in choices)]
    whole, *alone = settings.runs(experiment)
    for run in alone:
        assert experiment.paths.training_set(run) == experiment.paths.training_set(whole)
        assert experiment.paths.shards([run]) == experiment.paths.shards([whole])
        assert experiment.recipe(run.group).of_run(False) == experiment.recipe(whole.group).of_run(False)
    batches = [batch for batch in experiment.batches.values() if batch.trains_heads]
    assert [run for batch in batches for run in batch.of("llama", 0)] == alone


@pytest.mark.parametrize(
    ("values", "further", "key", "hint"),
    [
        ({"sizes": [1, 64]}, {}, "studies.trained_heads.sizes", "models.llama has 32 heads"),
        ({"sizes": [32]}, {}, "studies.trained_heads.sizes", "32, all heads of models.llama"),
        ({"tasks": ["arcs"]}, {}, "studies.trained_heads.tasks[0]", "arc"),
        ({"rankings": ["size"]}, {}, "studies.trained_heads.rankings[0]", "change"),
        ({"rankings": ["effect"]}, {"studies": {"validity": {"models": []}}}, "studies.trained_heads.rankings",
         "studies.validity does not ablate"),
        ({}, {"finetuning": {"method": "lora"}}, "studies.trained_heads", "nlp trains adapters (method lora)"),
        ({}, {"task_groups": {"nlp": {"finetuning": {"method": "lora"}}}}, "studies.trained_heads", "method lora"),
        ({}, {"finetuning": {"engine": "deepspeed"}}, "studies.trained_heads", "set engine to pytorch"),
        ({}, {"task_groups": {"trained_heads": {"tasks": ["arc"]}}}, "task_groups.trained_heads", "runs that train"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be(values, further, key, hint):
    with pytest.raises(InputError) as said:
        checked(config_of(study(**values), further))
    assert any(key in line and hint in line for line in str(said.value).splitlines()), said.value


def test_a_model_whose_weights_are_not_divided_is_refused_before_anything_starts():
    config = config_of(study())
    config["pretraining"]["llama"]["architecture"]["model_type"] = "persimmon"
    with pytest.raises(InputError, match=r"studies\.trained_heads\.models takes 'llama' of the type 'persimmon'"):
        checked(config)


def test_hours_and_bytes_by_hand():
    """One task of Llama3-8B on one GPU: a backward pass through activations and the weights of 32 × 32 heads of 128."""
    llama = "llama3-8b"
    own = {"models": [llama], "tasks": ["sgsm"], "rankings": ["change"], "draws": 2, "sizes": [4], "samples": 32}
    recipe = {"engine": "pytorch", "devices": 1, "nodes": 1, "gradient_accumulation_steps": 128,
              "per_device_batch_size": 1, "global_batch_size": 128, "optimizer": "adamw", "runs_per_job": 4,
              "gradient_checkpointing": True, "keep_final_checkpoints": False}  # fmt: skip
    experiment = experiment_of("config/paper.yaml", {"finetuning": recipe, "studies": {"trained_heads": own}})
    sizes, parameters, attention = Sizes(experiment, PROJECT / "nowhere"), 8_030_261_248, 4 * 32 * 4096**2
    [name] = [name for name, batch in experiment.batches.items() if batch.trains_heads]
    where = {"batch": name, "wildcards": {"model": llama, "seed": "0"}}
    jobs = {rule: Job(rule, **where) for rule in ("finetune", "trained_losses")}
    whole = Run(llama, TaskSet("nlp", "sgsm"), 0)
    some = courses.runs_of(experiment, jobs["finetune"])
    assert [run.task for run in some] == ["sgsm-change-4", "sgsm-random0-4", "sgsm-random1-4", "sgsm-all"]
    assert all(sizes.training_set(run) == sizes.training_set(whole) for run in some)
    course, length = courses.course(sizes, some[0], False), sizes.training_set(whole).tokens
    assert course == courses.course(sizes, whole, False)
    forward = 2 * parameters + 2 * 32 * 4096 * length
    found = formulas.training_heads(sizes.model(llama)[0], course.tokens, length, True)
    assert found == pytest.approx(course.tokens * (3 * forward + 2 * attention))
    probed = sizes.samples(llama, "sgsm", "probe").tokens
    passes = 32 * probed * (2 * parameters + 2 * 32 * 4096 * probed)
    speed, stored = 67e12 * 0.5, 4 * parameters
    taken = estimates.seconds(sizes, jobs["trained_losses"])
    assert taken == pytest.approx(60 + 4 * passes / speed + 4 * stored / 1e9)
    choosing = Job("choose_heads", wildcards={"model": llama, "seed": "0"})
    assert estimates.seconds(sizes, choosing) == pytest.approx(
        60 + 2 * passes / speed + (stored + 2 * parameters) / 1e9
    )
    states = formulas.states(course.steps, experiment.recipe("nlp").resume_every)
    at_work = {part.what: part.bytes for part in disk.parts(sizes, [jobs["finetune"]])}["runs at work"]
    assert at_work == 4 * (stored + states * (4 * parameters + 8 * attention))
    waiting = disk.parts(
        sizes, [Job("finetune", batch=batch_of(experiment, whole), wildcards=where["wildcards"]), choosing]
    )
    assert {part.what: part.bytes for part in waiting}["final checkpoints that wait for others"] == stored


def batch_of(experiment, run):
    """The batch that trains a run."""
    return next(name for name, one in experiment.batches.items() if run in one.of(run.model, run.seed))


def test_the_name_of_a_choice():
    task = TaskSet("nlp", "arc")
    named = [HeadsSet(task, "change", None, 4), HeadsSet(task, "random", 0, 4), HeadsSet(task, "all")]
    assert [one.task for one in named] == ["arc-change-4", "arc-random0-4", "arc-all"]
