"""Selecting training samples: the methods on planted patterns, budgets, samples without a pattern, errors, bytes."""

import csv
import json

import numpy as np
import pattern_files
import pyarrow
import pyarrow.parquet
import pytest
import scripts
from scipy.stats import pearsonr

from headpatterns.errors import InputError
from headpatterns.studies.selection import costs

METHODS = ["pattern", "base-pattern", "nearest", "bm25"]
BUDGETS = [3, 6, 10]
LAYERS, HEADS = 3, 4


def instructions(path, prompts):
    rows = [{"id": id, "prompt": prompt, "response": "A", "tags": ["x"], "choices": []} for id, prompt in prompts]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def patterns(folder, ids, base, probe, step=7):
    # Neither the signs nor the checkpoint between the two others may count.
    sign = np.where(np.arange(base.size).reshape(base.shape) % 3, -1, 1)
    for number, array in {0: base, 3: np.zeros_like(base), step: probe}.items():
        pattern_files.save(folder, number, sign * array, ids=ids)
    return folder


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def case(tmp_path):
    """A pool of 20 samples, p0 without a pattern, among 26 probe rows; 4 pseudo-private samples among 6 train rows."""
    generator = np.random.default_rng(2)
    probe_ids = [f"p{n}" for n in range(26)]
    pool = [f"p{n}" for n in range(0, 20)]
    kept = [id for id in reversed(probe_ids) if id != "p0"]
    base, probe = generator.lognormal(0, 1, (2, len(kept), LAYERS, HEADS)).astype(np.float32)
    private = generator.lognormal(0, 1, (2, 4, LAYERS, HEADS)).astype(np.float32)
    (tmp_path / "pool.csv").write_text("dataset,id\n" + "".join(f"mmlu,{id}\n" for id in pool))
    words = ["law", "river", "market", "war", "poem"]
    return {
        "dataset": "mmlu",
        "domain": "maths",
        "seed": 0,
        "pool": tmp_path / "pool.csv",
        "pool_patterns": patterns(tmp_path / "patterns" / "mmlu", kept, base, probe),
        "pseudo_private_patterns": patterns(tmp_path / "patterns" / "training", ["t5", "t1", "t0", "t3"], *private),
        "instructions": instructions(
            tmp_path / "probe.parquet", [(f"p{n}", f"Question {n} on {words[n % 5]}") for n in range(26)]
        ),
        "pseudo_private": instructions(
            tmp_path / "train.parquet",
            [(f"t{n}", "poem" if n in (2, 4) else f"On the river number {n}") for n in range(6)],
        ),
        "budgets": BUDGETS,
        "random_draws": 2,
        "output": tmp_path / "selection",
    }


def selected(case, method, n):
    return [row["id"] for row in table(case["output"] / f"{method}-{n}.csv")]


def loaded(folder, step):
    ids = json.loads((folder / f"step-{step}.json").read_text())["ids"]
    return dict(zip(ids, np.abs(np.load(folder / f"step-{step}.samples.npy").astype(float)), strict=True))


def with_signs(folder):
    ids = json.loads((folder / "step-7.json").read_text())["ids"]
    return dict(zip(ids, np.load(folder / "step-7.samples.npy").astype(float), strict=True))


def within_layers(pattern):
    return np.abs(pattern) / np.abs(pattern).sum(axis=1, keepdims=True)


def refused(capfd, monkeypatch, case, **changed):
    return scripts.refused(capfd, monkeypatch, "select_samples", **{**case, **changed})


def test_every_method_ranks_the_pool(case):
    scripts.run("select_samples", **case)
    rows = table(case["output"] / "scores.csv")
    ids = [f"p{n}" for n in range(1, 20)]
    assert list(rows[0]) == ["id", "method", "score", "rank"]
    assert list(dict.fromkeys(row["method"] for row in rows)) == METHODS
    for method in METHODS:
        own = [row for row in rows if row["method"] == method]
        assert sorted(row["id"] for row in own) == sorted(ids)
        assert [int(row["rank"]) for row in own] == list(range(1, 20))
        scores = [float(row["score"]) for row in own]
        assert scores == sorted(scores, reverse=True)
        for n in BUDGETS:
            chosen = table(case["output"] / f"{method}-{n}.csv")
            assert chosen == [{"dataset": "mmlu", "id": row["id"], "score": row["score"]} for row in own[:n]]


def test_scores_belong_to_their_samples(case):
    """Ids in patterns, pool and instructions are in different orders."""
    scripts.run("select_samples", **case)
    scores = {(row["method"], row["id"]): float(row["score"]) for row in table(case["output"] / "scores.csv")}
    for method, step in (("pattern", 7), ("base-pattern", 0)):
        pool, private = loaded(case["pool_patterns"], step), loaded(case["pseudo_private_patterns"], step)
        mean = np.mean(list(private.values()), axis=0)
        for n in range(1, 20):
            wanted = pearsonr(pool[f"p{n}"].ravel(), mean.ravel())[0]
            assert scores[method, f"p{n}"] == pytest.approx(wanted, abs=1e-9)
    pool, private = loaded(case["pool_patterns"], 7), loaded(case["pseudo_private_patterns"], 7)
    for n in range(1, 20):
        wanted = max(pearsonr(pool[f"p{n}"].ravel(), one.ravel())[0] for one in private.values())
        assert scores["nearest", f"p{n}"] == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("normalisation", ["sum", "loss"])
def test_normalisation_weighs_the_pseudo_private_patterns_in_their_mean(case, normalisation):
    losses = {"t5": 0.1, "t1": 4.0, "t0": 1.0, "t3": 2.0}
    for folder in (case["pool_patterns"], case["pseudo_private_patterns"]):
        for path in folder.glob("*.json"):
            about = json.loads(path.read_text())
            path.write_text(json.dumps(about | {"losses": [losses.get(id, 3.0) for id in about["ids"]]}))
    scripts.run("select_samples", **{**case, "reading": json.dumps({"normalisation": normalisation})})
    rows = table(case["output"] / "scores.csv")
    for method, step in (("pattern", 7), ("base-pattern", 0)):
        pool, private = loaded(case["pool_patterns"], step), loaded(case["pseudo_private_patterns"], step)
        divisor = {id: losses[id] if normalisation == "loss" else one.sum() for id, one in private.items()}
        mean = sum(one / divisor[id] for id, one in private.items())
        for row in rows:
            if row["method"] == method:
                wanted = pearsonr(pool[row["id"]].ravel(), mean.ravel())[0]
                assert float(row["score"]) == pytest.approx(wanted, abs=1e-6)


def test_further_methods_rank_by_what_their_names_say(case):
    """They use signs, shares within layers, losses of the base model, and its other features of the samples."""
    generator = np.random.default_rng(4)
    for folder in (case["pool_patterns"], case["pseudo_private_patterns"]):
        path = folder / "step-0.json"
        about = json.loads(path.read_text())
        path.write_text(json.dumps(about | {"losses": generator.uniform(1, 3, len(about["ids"])).tolist()}))
    made = case["output"].with_name("candidates")
    made.mkdir()
    for name, count in (("probe", 26), ("train", 6)):
        (made / f"{name}.json").write_text(json.dumps({"ids": [f"{name[0]}{n}" for n in range(count)]}))
        np.save(made / f"{name}.states.npy", generator.normal(size=(count, 5)).astype(np.float32))
        np.save(made / f"{name}.alone.npy", np.full(count, 2.5))
    methods = ["rds", "signed", "by-layer", "mid-perplexity", "top-perplexity", "ifd"]
    scripts.run("select_samples", **case, methods=methods, candidates=made)
    rows = table(case["output"] / "scores.csv")
    assert list(dict.fromkeys(row["method"] for row in rows)) == methods
    found = {(row["method"], row["id"]): float(row["score"]) for row in rows}
    ids = [f"p{n}" for n in range(1, 20)]
    about = json.loads((case["pool_patterns"] / "step-0.json").read_text())
    losses = dict(zip(about["ids"], about["losses"], strict=True))
    ranks = {id: place for place, id in enumerate(sorted(ids, key=losses.__getitem__), start=1)}
    signed, private = (with_signs(case[name]) for name in ("pool_patterns", "pseudo_private_patterns"))
    for id in ids:
        assert found["top-perplexity", id] == pytest.approx(losses[id])
        assert found["mid-perplexity", id] == -abs(ranks[id] - (len(ids) + 1) / 2)
        if losses[id] <= 2.5:
            assert found["ifd", id] == pytest.approx(losses[id] / 2.5)
        else:
            assert np.isnan(found["ifd", id])
        mean = np.mean(list(private.values()), axis=0)
        assert found["signed", id] == pytest.approx(pearsonr(signed[id].ravel(), mean.ravel())[0], abs=1e-6)
        mean = np.mean([within_layers(one) for one in private.values()], axis=0)
        assert found["by-layer", id] == pytest.approx(
            pearsonr(within_layers(signed[id]).ravel(), mean.ravel())[0], abs=1e-6
        )
    states, own = (np.load(made / f"{name}.states.npy") for name in ("probe", "train"))
    states, own = states[1:20], own[[5, 1, 0, 3]]  # the pool's, and those of the pseudo-private samples in their order
    cosine = states @ own.T / np.linalg.norm(states, axis=1)[:, None] / np.linalg.norm(own, axis=1)
    first = next(row["id"] for row in rows if row["method"] == "rds")
    assert first == ids[int(cosine[:, 0].argmax())]


def test_less_ranks_by_the_gradients_of_its_checkpoints(case, capfd, monkeypatch):
    generator = np.random.default_rng(5)
    made = case["output"].with_name("candidates")
    made.mkdir()
    ids, values = {}, {}
    for name, count in (("probe", 26), ("train", 6)):
        ids[name] = [f"{name[0]}{n}" for n in range(count)]
        found = generator.normal(size=(2, count, 8))
        values[name] = (found / np.linalg.norm(found, axis=2, keepdims=True)).astype(np.float32)
        np.save(made / f"{name}.less.npy", values[name])
    told = {"ids": ids, "learning_rates": [3.0, 1.0], "seconds": {"probe": 2.6, "warm_up": 1.3}}
    (made / "less.json").write_text(json.dumps(told))
    scripts.run("select_samples", **case, methods=["less"], candidates=made, tags=["x", "never"])
    own = values["train"][:, [5, 1, 0, 3]]
    for row in table(case["output"] / "scores.csv"):
        cosines = (own @ values["probe"][:, int(row["id"][1:]), :, None])[..., 0].mean(axis=1)
        assert float(row["score"]) == pytest.approx(0.75 * cosines[0] + 0.25 * cosines[1], abs=1e-6)
    costs_of = {row["part"]: row for row in table(case["output"] / "costs.csv")}
    assert (costs_of["read"]["bytes"], costs_of["read"]["seconds"]) == ("64", "0.1")
    again = {**case, "output": case["output"].with_name("other"), "methods": ["less"], "candidates": made}
    assert "t5 has none of the tags of --tags: split the domain again." in refused(
        capfd, monkeypatch, again, tags=["y"]
    )


def test_what_the_base_model_makes_of_the_samples_is_asked_for(case, capfd, monkeypatch):
    said = refused(capfd, monkeypatch, case, methods=["pattern", "rds"])
    assert "--candidates is missing: the methods ifd, rds, less need it." in said


def test_words_of_the_pseudo_private_prompts_alone_find_their_like(case):
    """The prompts are on a river, one of five kinds. Training rows without patterns, on a poem, do not count."""
    scripts.run("select_samples", **case)
    assert set(selected(case, "bm25", 3)) < {"p1", "p6", "p11", "p16"}
    scores = {row["id"]: float(row["score"]) for row in table(case["output"] / "scores.csv") if row["method"] == "bm25"}
    assert scores["p6"] > scores["p7"] == pytest.approx(scores["p9"])


def test_planted_samples_are_selected(case):
    """Three pool samples resemble the pseudo-private samples under the probe model, but not under the base model."""
    private = loaded(case["pseudo_private_patterns"], 7)
    mean = np.mean(list(private.values()), axis=0)
    path = case["pool_patterns"] / "step-7.samples.npy"
    ids, array = list(loaded(case["pool_patterns"], 7)), np.load(path)
    for n in (4, 11, 17):
        array[ids.index(f"p{n}")] = mean * n + 0.01 * array[ids.index(f"p{n}")]
    np.save(path, array)
    scripts.run("select_samples", **case)
    assert set(selected(case, "pattern", 3)) == {"p4", "p11", "p17"}
    assert set(selected(case, "base-pattern", 3)) != {"p4", "p11", "p17"}


def test_random_draws_are_nested_and_differ(case):
    scripts.run("select_samples", **case)
    draws = [selected(case, f"random{k}", 10) for k in range(2)]
    assert draws[0] != draws[1] and set(draws[0]) != set(draws[1])
    for k, draw in enumerate(draws):
        assert len(set(draw)) == 10
        assert [selected(case, f"random{k}", n) for n in (3, 6)] == [draw[:3], draw[:6]]
        assert {row["score"] for row in table(case["output"] / f"random{k}-10.csv")} == {""}
    assert not (case["output"] / "random2-3.csv").exists()
    for changed in ({"seed": 1}, {"domain": "physics"}):
        scripts.run("select_samples", **{**case, **changed})
        assert selected(case, "random0", 10) != draws[0]
    scripts.run("select_samples", **{**case, "random_draws": 5, "budgets": [10]})
    assert [selected(case, f"random{k}", 10) for k in range(2)] == draws


def related_of(case, ids):
    path = case["pool"].with_name("related.csv")
    path.write_text("dataset,id\n" + "".join(f"mmlu,{id}\n" for id in ids))
    return {**case, "related": path}


def test_the_oracle_draws_among_the_related_samples_with_a_pattern(case):
    scripts.run("select_samples", **case)
    random = {k: selected(case, f"random{k}", 10) for k in range(2)}
    assert not list(case["output"].glob("oracle-*"))
    related = related_of({**case, "budgets": [3, 6]}, [f"p{n}" for n in range(14)])  # p0 has no pattern
    scripts.run("select_samples", **related)
    few, many = (selected(case, "oracle", n) for n in (3, 6))
    assert few == many[:3] and len(set(many)) == 6 and set(many) <= {f"p{n}" for n in range(1, 14)}
    assert {row["score"] for row in table(case["output"] / "oracle-6.csv")} == {""}
    assert json.loads((case["output"] / "report.json").read_text())["related"] == 13
    for k, draw in random.items():
        assert selected(case, f"random{k}", 6) == draw[:6]
    scripts.run("select_samples", **{**related, "seed": 1})
    assert selected(case, "oracle", 6) != many


def test_too_few_related_samples_are_named(case, capfd, monkeypatch):
    said = refused(capfd, monkeypatch, related_of(case, [f"p{n}" for n in range(10)]))
    assert "The budget 10 is larger than the related part of the pool" in said and "which has 9 samples with" in said
    assert said.endswith("or add tags to studies.selection.related.maths.")
    said = refused(capfd, monkeypatch, related_of(case, ["p1", "p25"]))
    assert "names p25, but" in said and "pool.csv does not have it: split the domain again" in said


def test_random_draws_do_not_depend_on_the_model(case, tmp_path):
    """Another model lacks other patterns: the draw is the same except for their samples."""
    scripts.run("select_samples", **{**case, "budgets": [19]})
    draw = selected(case, "random0", 19)
    ids = [id for id in loaded(case["pool_patterns"], 7) if id not in ("p3", "p8")]
    arrays = np.random.default_rng(3).random((2, len(ids), LAYERS, HEADS))
    others = patterns(tmp_path / "others", ids, *arrays)
    scripts.run("select_samples", **{**case, "pool_patterns": others, "budgets": [17]})
    assert selected(case, "random0", 17) == [id for id in draw if id not in ("p3", "p8")]


def test_the_report_names_what_has_no_pattern(case, capfd):
    scripts.run("select_samples", **case)
    report = json.loads((case["output"] / "report.json").read_text())
    assert report == {
        "dataset": "mmlu",
        "domain": "maths",
        "seed": 0,
        "pool": 20,
        "ranked": 19,
        "without_pattern": ["p0"],
        "pseudo_private": 4,
        "probe_step": 7,
        "budgets": BUDGETS,
        "random_draws": 2,
        "constant_patterns": {"probe": {"ids": [], "taken": {}}, "base": {"ids": [], "taken": {}}},
        "related": None,
    }
    assert capfd.readouterr().out == "maths: 19 of the pool's 20 samples have a pattern and were ranked.\n"
    for path in case["output"].glob("*-*.csv"):
        assert "p0" not in [row["id"] for row in table(path)]


def test_constant_patterns_come_last_and_are_named(case, capfd):
    path = case["pool_patterns"] / "step-7.samples.npy"
    ids, array = list(loaded(case["pool_patterns"], 7)), np.load(path)
    for id in ("p2", "p5", "p25"):  # p25 is not in the pool
        array[ids.index(id)] = 0.1
    np.save(path, array)
    scripts.run("select_samples", **{**case, "budgets": [17, 18, 19]})
    report = json.loads((case["output"] / "report.json").read_text())
    assert report["constant_patterns"] == {
        "probe": {"ids": ["p2", "p5"], "taken": {"18": 1, "19": 2}},
        "base": {"ids": [], "taken": {}},
    }
    for method in ("pattern", "nearest"):
        assert selected(case, method, 19)[-2:] == ["p2", "p5"]
        assert [row["score"] for row in table(case["output"] / f"{method}-19.csv")][-2:] == ["nan", "nan"]
        own = [row for row in table(case["output"] / "scores.csv") if row["method"] == method]
        assert [(row["id"], row["rank"]) for row in own if row["score"] == "nan"] == [("p2", "18"), ("p5", "19")]
        assert not {"p2", "p5"} & set(selected(case, method, 17))
    assert {row["score"] for row in table(case["output"] / "base-pattern-19.csv")}.isdisjoint({"nan"})
    assert capfd.readouterr().out.splitlines()[1:] == [
        "2 pool samples have a constant pattern under the probe model and rank last by pattern and nearest (p2, p5); "
        "the budget 18 has to take 1 of them; the budget 19 has to take 2 of them."
    ]


@pytest.mark.slow
def test_the_same_input_gives_the_same_bytes(case, tmp_path):
    scripts.run("select_samples", **case)
    first = {name: content for name, content in scripts.contents(case["output"]).items() if name != "costs.csv"}
    assert len(first) == 2 + (len(METHODS) + 2) * len(BUDGETS)
    answer = scripts.launch("select_samples", tmp_path / "home", **{**case, "output": tmp_path / "again"})
    assert answer.returncode == 0, answer.stderr
    again = scripts.contents(tmp_path / "again")
    assert again.pop("costs.csv") and again == first  # times differ


def test_budgets_that_the_pool_cannot_meet(case, capfd, monkeypatch):
    said = refused(capfd, monkeypatch, case, budgets=[3, 20])
    assert "The budget 20 is larger than the pool" in said and "which has 19 samples with a pattern" in said
    assert said.endswith("lower it in studies.selection.budgets.")
    assert "studies.selection.budgets" in refused(capfd, monkeypatch, case, budgets=[0])
    assert "--random-draws is -1" in refused(capfd, monkeypatch, case, random_draws=-1)
    assert not case["output"].exists()


def test_samples_without_a_text(case, tmp_path, capfd, monkeypatch):
    short = instructions(tmp_path / "short.parquet", [(f"p{n}", "x") for n in range(12)])
    assert f"pool.csv names the sample p12, but {short} does not have it" in refused(
        capfd, monkeypatch, case, instructions=short
    )
    assert f"training names the sample t5, but {short} does not have it" in refused(
        capfd, monkeypatch, case, pseudo_private=short
    )


def test_patterns_that_do_not_fit_together(case, tmp_path, capfd, monkeypatch):
    def other(name, *shape, **options):
        arrays = np.random.default_rng(1).random((2, 4, *shape))
        return patterns(tmp_path / name, ["t0", "t1", "t2", "t3"], *arrays, **options)

    said = refused(capfd, monkeypatch, case, pseudo_private_patterns=other("wide", LAYERS, 2 * HEADS))
    assert "mmlu has patterns of 3 layers x 4 heads but" in said and "wide of 3 x 8" in said
    said = refused(capfd, monkeypatch, case, pseudo_private_patterns=other("long", LAYERS, HEADS, step=9))
    assert "ends at step 7 but" in said and "long at step 9" in said
    one_head = other("single", 1, 1)
    said = refused(capfd, monkeypatch, case, pseudo_private_patterns=one_head, pool_patterns=one_head)
    assert "single under the base model is the same for all 1 heads" in said


def test_pattern_folders_that_are_not_whole(case, tmp_path, capfd, monkeypatch):
    folder = case["pool_patterns"]
    assert "has no activation pattern" in refused(capfd, monkeypatch, case, pool_patterns=tmp_path / "nowhere")
    array = np.load(folder / "step-7.samples.npy")

    def with_array(changed):
        np.save(folder / "step-7.samples.npy", changed)
        return refused(capfd, monkeypatch, case)

    assert "not 25 samples x layers x heads" in with_array(array[1:])
    assert "not 25 samples x layers x heads" in with_array(array.reshape(25, -1))
    assert "differ in their samples, layers or heads" in with_array(array[:, :2])
    broken = array.copy()
    broken[3, 1, 1] = np.nan
    assert "step-7.samples.npy has a value that is not finite, at the sample p22" in with_array(broken)
    np.save(folder / "step-7.samples.npy", array)
    (folder / "step-7.json").write_text("{}")
    assert "step-7.json does not say what its patterns are" in refused(capfd, monkeypatch, case)
    (folder / "step-7.json").unlink()
    assert "step-7.json does not say what its patterns are" in refused(capfd, monkeypatch, case)
    for step in (3, 7):
        (folder / f"step-{step}.samples.npy").unlink()
    assert "lacks the patterns before fine-tuning (step 0) or after" in refused(capfd, monkeypatch, case)


def test_pools_that_cannot_be_used(case, tmp_path, capfd, monkeypatch):
    def with_pool(text):
        (tmp_path / "bad.csv").write_text(text)
        return refused(capfd, monkeypatch, case, pool=tmp_path / "bad.csv")

    assert "bad.csv lacks the column 'id'" in with_pool("dataset\nmmlu\n")
    assert "bad.csv, row 2 has the dataset 'arc', not 'mmlu'" in with_pool("dataset,id\nmmlu,p1\narc,p2\n")
    assert "bad.csv: rows 1 and 3 have the same id p1" in with_pool("dataset,id\nmmlu,p1\nmmlu,p2\nmmlu,p1\n")
    assert "which has 0 samples with a pattern" in with_pool("dataset,id\n")


def test_costs_are_told_by_method_and_part(case):
    """A pattern of 3 x 4 heads takes 48 bytes. No model reads words, and the times of old patterns are not known."""
    scripts.run("select_samples", **case)
    rows = table(case["output"] / "costs.csv")
    assert [(row["method"], row["part"], row["bytes"]) for row in rows] == [
        (method, part, {"read": kept, "rank": "0"}[part])
        for method, kept in zip(METHODS, ("48", "48", "48", "0"), strict=True)
        for part in ("read", "rank")
    ]
    assert all(float(row["seconds"]) > 0 for row in rows if row["part"] == "rank")
    noted = case["pool_patterns"] / "step-7.json"
    noted.write_text(json.dumps(json.loads(noted.read_text()) | {"seconds": 50.0}))
    scripts.run("select_samples", **case | {"output": case["output"].with_name("again")})
    again = table(case["output"].with_name("again") / "costs.csv")
    assert [float(row["seconds"]) for row in again if row["part"] == "read"] == pytest.approx(
        [2.0, np.nan, 2.0, 0.0], nan_ok=True
    )


def test_costs_of_what_reads_more_than_patterns(case, tmp_path):
    features = tmp_path / "features"
    features.mkdir()
    np.save(features / "probe.states.npy", np.zeros((10, 5), dtype=np.float32))
    np.save(features / "probe.alone.npy", np.zeros(10))
    (features / "probe.json").write_text(json.dumps({"seconds": {"states": 3.0, "alone": 1.0}}))
    np.save(features / "probe.less.npy", np.zeros((2, 4, 8), dtype=np.float32))
    told = {"ids": {"probe": list("abcd")}, "learning_rates": [2, 1], "seconds": {"probe": 6.0, "warm_up": 2.0}}
    (features / "less.json").write_text(json.dumps(told))
    ranking = dict.fromkeys(("rds", "ifd", "less", "mid-perplexity"), 5.0)
    found = list(costs.rows(ranking, 10, case["pool_patterns"], 7, 12, features))
    assert [one[:3] for one in found if one[1] != "rank"] == [
        ("rds", "read", 20), ("ifd", "read", 16), ("less", "read", 64), ("less", "warm_up", 0),
        ("mid-perplexity", "read", 8),
    ]  # fmt: skip
    seconds = {one[:2]: one[3] for one in found}
    assert seconds["rds", "read"] == pytest.approx(0.3) and seconds["rds", "rank"] == 0.5
    assert (seconds["less", "read"], seconds["less", "warm_up"]) == (1.5, 0.5)


def test_costs_of_all_selections_make_one_table(case):
    scripts.run("select_samples", **case)
    found = costs.compute([case["output"] / "costs.csv"], [("llama", "maths", 0)])["costs"]
    assert found.columns == ("model", "domain", "seed", "method", "part", "bytes", "seconds")
    assert len(list(found.rows)) == 8
    with pytest.raises(InputError, match="there are 1 tables of costs for 2 selections"):
        costs.compute([case["output"] / "costs.csv"], [("llama", "maths", 0)] * 2)
