"""Runs that were trained elsewhere: their keys in a config, the refusals, and how their files are linked."""

import json
import shutil
from pathlib import Path

import pytest
import tokenizers_of_all_kinds as kinds
from experiments import checked, config_of, meaning
from refusals import assert_refusal, refusal
from tiny_models import build

from headpatterns.errors import InputError
from headpatterns.evaluation import targets
from headpatterns.experiment import arguments, missing, needed, own, runs, tables
from headpatterns.models import elsewhere, load_model, loading
from headpatterns.studies.checkpoints import settings as checkpoints

CHAINS = {
    "finetuned": {
        "sft": {"label": "SFT", "base": "llama", "source": {"path": "/given/sft"}, "obtain": "ask for it."},
        "dpo": {"label": "DPO", "base": "llama", "source": {"hub": "some/dpo", "revision": "abc"}},
        "tuned": {"label": "Tuned", "base": "opt", "source": {"lora": {"hub": "some/lora", "revision": "def"}}},
    },
    "studies": {
        "checkpoints": {
            "chains": {
                "llama": {"label": "Llama", "models": ["llama", "sft", "dpo"]},
                "opt": {"label": "OPT", "models": ["opt", "tuned"]},
            },
            "tasks": ["gsm8k", "arc"],
            "validity": True,
        }
    },
}


OPT = "studies.checkpoints.chains.opt.models"


def after(run):
    """A model that starts from a run of the OPT."""
    return {"label": "A", "source": {"model": "opt", "run": run}}


@pytest.fixture
def config():
    return config_of(CHAINS)


def complaint(config):
    with pytest.raises(InputError) as refused:
        checked(config)
    return str(refused.value)


def test_a_run_has_its_name_below_its_base_and_patterns_on_every_probe_set(config):
    experiment = checked(config)
    found = [run for run in experiment.runs if not run.is_trained]
    assert [(run.model, run.name) for run in found] == [
        ("llama", "finetuned.sft"),
        ("llama", "finetuned.dpo"),
        ("opt", "finetuned.tuned"),
    ]
    assert set(found).isdisjoint(experiment.trained_runs)
    assert experiment.paths.patterns(found[0], "arc") == "results/mini/patterns/llama/finetuned.sft/arc"
    assert experiment.evaluated("llama", "finetuned.dpo") == "results/mini/checkpoints/llama/finetuned.dpo/final"
    assert {"gsm8k", "arc"} <= set(experiment.datasets)
    rows = [row for row in tables.run_rows(experiment) if row["study"] == "checkpoints"]
    assert [(row["run"], row["task"]) for row in rows[:3]] == [
        ("finetuned.sft", "gsm8k"),
        ("finetuned.sft", "arc"),
        ("finetuned.dpo", "gsm8k"),
    ]


def test_it_shares_no_job_with_runs_that_are_trained(config):
    experiment = checked(config)
    given = {name: batch for name, batch in experiment.batches.items() if not batch.is_trained}
    assert {name: batch.models for name, batch in given.items()} == {
        "finetuned_sft_and_1_more": ("llama",),
        "finetuned_tuned": ("opt",),
    }


def test_the_last_of_a_chain_is_ablated_on_every_probe_set(config):
    experiment = checked(config)
    last = [run for run in checkpoints.ablated(experiment) if not run.is_trained]
    assert [run.task for run in last] == ["dpo", "tuned"]
    assert experiment.paths.ablations(last[0], "gsm8k") == "results/mini/ablations/llama/finetuned.dpo/gsm8k"
    told = arguments.ablation(experiment, last[:1])
    assert "--output-folder results/mini/ablations/llama/finetuned.dpo/gsm8k results/mini/ablations" in told
    config["studies"]["checkpoints"]["validity"] = False
    assert all(run.is_trained for run in checkpoints.ablated(checked(config)))


def test_what_is_fetched_is_asked_of_the_hub(config):
    asked = {source["output"]: source["hub"] for source in arguments.hub_sources(checked(config))}
    assert asked["results/mini/models/dpo"] == "some/dpo"
    assert asked["results/mini/adapters/tuned"] == "some/lora"


def test_where_it_comes_from_is_in_the_provenance(config):
    told = arguments.provenance(checked(config))["finetuned"]
    assert set(told) == {"llama/finetuned.sft", "llama/finetuned.dpo", "opt/finetuned.tuned"}
    assert "/given/sft" in told["llama/finetuned.sft"]
    assert "finetuned" not in arguments.provenance(meaning(config_of()))


def test_a_model_may_go_on_from_it_and_it_may_be_evaluated(config):
    config["models"]["after"] = {"label": "After", "source": {"model": "llama", "run": "finetuned.sft"}}
    config["models"]["later"] = {"label": "Later", "source": {"model": "after", "run": "nlp.gsm8k.seed0"}}
    config["studies"]["adaptation"]["models"] = ["after"]
    config["studies"]["composition"]["models"] = ["after"]
    config["studies"]["dynamics"] |= {"models": ["after"], "changes_most": None}
    config["studies"]["benchmarks"] = {
        "checkpoints": [{"model": "llama", "run": "finetuned.dpo"}],
        "sets": ["gsm8k"],
    }
    config["evaluation"]["sets"] = {"gsm8k": {"dataset": "gsm8k"}}
    experiment = checked(config)
    assert experiment.paths.model("after", 0) == "results/mini/checkpoints/llama/finetuned.sft/final"
    final = "results/mini/checkpoints/llama/finetuned.sft/final"
    assert experiment.paths.model_input("after", 0) == [final]
    # The run brings its own tokenizer, whose template or EOS may differ from those of the base.
    for later in ("after", "later"):
        assert needed.tokenizer_of(experiment.config, later) == "after"
    assert (experiment.paths.tokenizer("after"), experiment.paths.tokenizer_input("after")) == (final, [final])
    assert {tokenizer for tokenizer, *_ in arguments.readers(experiment)} == {"embedded"}
    assert needed.elsewhere(experiment.config, "sft") in experiment.runs
    assert [("finetuned.dpo", "gsm8k")] in experiment.evaluation_batches.values()


def test_it_may_lend_its_chat_template(config, tmp_path):
    """An adapter of the same model, which is merged into it, can lend one too: its folder has the template."""
    config["prompt_template"] = "chat"
    config["finetuned"]["own"] = {"label": "Own", "base": "llama", "source": {"lora": {"path": str(tmp_path)}}}
    own = [tmp_path / name for name in ("adapter_config.json", "chat_template.jinja", "tokenizer.json")]
    for file in own:
        file.write_text("{}")
    lent = {
        "sft": ("/given/sft", ["/given/sft"]),
        "dpo": ("results/mini/models/dpo", ["results/mini/models/dpo"]),
        "tuned": ("results/mini/adapters/tuned", ["results/mini/adapters/tuned"]),
        "own": (str(tmp_path), list(map(str, own))),
    }
    for name, known in lent.items():
        for model in config["models"].values():
            model["chat_template"] = name
        experiment = checked(config)
        assert (experiment.paths.template("llama"), experiment.paths.template_input("llama")) == known
        assert experiment.paths.model("llama", 0) == "results/mini/templated/llama/model"
    before = experiment.paths.template_content("llama")
    (tmp_path / "adapter_config.json").write_text("{ }")
    assert before not in ("", checked(config).paths.template_content("llama"))


@pytest.mark.parametrize(
    ("path", "value", "key", "hint"),
    [
        ("finetuned.sft.base", "lama", "finetuned.sft.base", "did you mean 'llama'?"),
        ("finetuned.sft.source", {}, "finetuned.sft.source", "exactly one of path, gguf, hub and lora"),
        ("finetuned.sft.source", {"model": "opt", "run": "nlp.arc.seed0"}, "finetuned.sft.source", "exactly one of"),
        ("finetuned.sft.source", {"lora": {}}, "finetuned.sft.source.lora", "exactly one of path and hub"),
        ("finetuned.sft.source", {"lora": {"hub": "a/b"}}, "finetuned.sft.source.lora", "lacks 'revision'"),
        ("finetuned.sft.source", {"lora": {"pth": "x", "path": "y"}}, "finetuned.sft.source.lora.pth", "'path'?"),
        ("finetuned.llama", CHAINS["finetuned"]["sft"], "finetuned.llama", "the name of a model"),
        ("task_groups.finetuned", {"tasks": ["arc"], "samples": None}, "task_groups.finetuned", "trained elsewhere"),
        ("studies.checkpoints.tasks", [], "studies.checkpoints.tasks", "name the datasets"),
        ("studies.checkpoints.tasks", ["ark"], "studies.checkpoints.tasks[0]", "did you mean 'arc'?"),
        ("studies.checkpoints.chains.opt.models", ["opt"], "studies.checkpoints.chains.opt.models", "too short"),
        ("studies.checkpoints.chains.opt.models", ["opt", "tune"], f"{OPT}[1]", "did you mean 'tuned'?"),
        ("studies.checkpoints.chains.opt.models", ["tuned", "opt"], f"{OPT}[0]", "unknown model 'tuned'"),
        (
            "studies.checkpoints.chains.opt.models",
            ["opt", "tuned", "sft"],
            f"{OPT}[2]",
            "which has the base llama and not opt",
        ),
        ("models.a", after("finetuned.sft"), "models.a.source.run", "trained from llama and not from opt"),
        ("models.a", after("finetuned.x"), "models.a.source.run", "unknown run below finetuned 'x'"),
        ("studies.validity.top", [2, 99], "studies.validity.top", "models.llama has 32 heads"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(config, path, value, key, hint):
    *parents, last = path.split(".")
    place = config
    for one in parents:
        place = place[one]
    place[last] = value
    assert_refusal(complaint(config), key, hint)


def test_what_is_away_is_said_once_a_job_reads_it(config):
    experiment = checked(config)
    [sentence] = missing.sentences(experiment, {"/given/sft"}, set())
    assert_refusal(sentence, "finetuned.sft.source.path", ("no model (no config.json)", "To get it: ask for it."))


@pytest.fixture
def base(tmp_path):
    """A folder of a random Llama with the tokenizer of GPT-2."""
    return saved(llama(), tmp_path / "base")


def llama(**changed):
    """A random Llama of 3 layers with 6 heads each."""
    return build("llama-grouped-query", **{"vocab_size": len(kinds.fast("gpt2")), **changed})


def saved(model, folder, tokenizer=None):
    model.save_pretrained(folder)
    (tokenizer or kinds.fast("gpt2")).save_pretrained(folder)
    return folder


def given(config, base, folder, **source):
    """The config with a model of your own and a run that was trained from it elsewhere."""
    config["tokenization"]["max_length"] = 64
    config["evaluation"]["max_new_tokens"] = 8
    config["models"]["own"] = {"label": "Own", "source": {"path": str(base)}}
    config["finetuned"] = {"sft": {"label": "SFT", "base": "own", "source": source or {"path": str(folder)}}}
    config["studies"]["checkpoints"]["chains"] = {"own": {"label": "Own", "models": ["own", "sft"]}}
    return config


def test_other_layers_are_refused_before_any_job(config, base, tmp_path):
    checked(given(config, base, base))
    other = saved(llama(num_hidden_layers=2), tmp_path / "other")
    said = complaint(given(config, base, other))
    assert_refusal(
        said, "finetuned.sft.source.path", ("2 layers, but its base, models.own, has 3", "set base to the model")
    )


def test_an_adapter_and_a_model_are_told_apart(config, base, tmp_path):
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter/adapter_config.json").write_text("{}")
    path, lora = {"path": str(tmp_path / "adapter")}, {"lora": {"path": str(base)}}
    own = checked(given(config, base, base)).paths.own
    assert_refusal(own.problem("model", path["path"]), "adapter", ("merge it", "source.lora"))
    assert_refusal(own.problem("adapter", lora["lora"]["path"]), str(base), ("a whole model", "without lora"))
    assert own.problem("adapter", path["path"]) == ""
    assert_refusal(own.problem("adapter", str(tmp_path)), str(tmp_path), "no adapter")


def test_it_is_taken_as_links_and_nothing_is_written_beside_it(base, tmp_path, monkeypatch):
    finetuned = tmp_path / "given"
    shutil.copytree(base, finetuned)
    before = {path: path.stat().st_mtime_ns for path in finetuned.rglob("*")}
    elsewhere.take(base, finetuned, tmp_path / "run")
    [(step, final)] = loading.checkpoints(tmp_path / "run").items()
    assert (step, final) == (elsewhere.STEP, tmp_path / "run/final")
    assert all(path.is_symlink() and path.samefile(finetuned / path.name) for path in final.iterdir())
    assert load_model(final).num_parameters() == load_model(base).num_parameters()
    assert {path: path.stat().st_mtime_ns for path in finetuned.rglob("*")} == before
    monkeypatch.chdir(tmp_path)
    elsewhere.take(base, finetuned.relative_to(tmp_path), tmp_path / "moved/run")
    assert not (tmp_path / "moved/run/final/config.json").readlink().is_absolute()
    assert (tmp_path / "moved/run/final/config.json").samefile(finetuned / "config.json")


def test_it_keeps_its_chat_template(base, tmp_path):
    """transformers writes the template into a separate file; another template makes another run."""
    made = kinds.fast("gpt2")
    for name in ("one", "two"):
        made.chat_template = f"{{{{ messages }}}} {name}"
        finetuned = saved(llama(), tmp_path / f"given-{name}", made)
        elsewhere.take(base, finetuned, tmp_path / name)
        assert loading.load_tokenizer(tmp_path / name / "final").chat_template == made.chat_template
    contents = [json.loads((tmp_path / name / "run.json").read_text())["contents"] for name in ("one", "two")]
    assert contents[0] != contents[1]
    digests = [targets.digest_of_tokenizer(tmp_path / name / "final") for name in ("one", "two")]
    assert digests[0] != digests[1]


def test_it_keeps_its_templates_that_have_names(base, tmp_path, monkeypatch):
    """They are in a separate folder; another text of one makes another run, and another content of a model."""
    made, contents, states = kinds.fast("gpt2"), [], []
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        made.chat_template = {"default": "{{ messages }}", "tool_use": f"{{{{ messages }}}} {name}"}
        saved(llama(), tmp_path / name, made)
        elsewhere.take(base, Path(name), tmp_path / f"runs/{name}")
        final = tmp_path / f"runs/{name}/final"
        assert loading.load_tokenizer(final).chat_template == made.chat_template
        link = final / "additional_chat_templates/tool_use.jinja"
        assert link.is_symlink() and not link.readlink().is_absolute()
        contents.append(json.loads((tmp_path / f"runs/{name}/run.json").read_text())["contents"])
        states.append([own.OwnFiles({}).state(part, name) for part in ("model", "tokenizer")])
    assert contents[0] != contents[1]
    assert targets.digest_of_tokenizer(tmp_path / "one") == targets.digest_of_tokenizer(tmp_path / "runs/one/final")
    assert targets.digest_of_tokenizer(tmp_path / "one") != targets.digest_of_tokenizer(tmp_path / "two")
    listed = own.OwnFiles({}).files("model", "one")
    assert "one/additional_chat_templates/tool_use.jinja" in listed
    (tmp_path / "one/additional_chat_templates/tool_use.jinja").write_text("{{ messages }} two")
    again = [own.OwnFiles({}).state(part, "one") for part in ("model", "tokenizer")]
    assert all(now != before for now, before in zip(again, states[0], strict=True))


def test_other_weights_are_another_run(base, tmp_path):
    """A job that continues compares `run.json`, so that it does not continue with work for other weights."""
    finetuned = saved(llama(seed=1), tmp_path / "given")
    elsewhere.take(base, base, tmp_path / "one")
    elsewhere.take(base, finetuned, tmp_path / "two")
    contents = [json.loads((tmp_path / name / "run.json").read_text())["contents"] for name in ("one", "two")]
    assert contents[0] != contents[1]


def test_tokens_may_come_behind_those_of_the_base(base, tmp_path):
    tokenizer = kinds.fast("gpt2")
    tokenizer.add_tokens(["<|im_start|>", "<|im_end|>"])
    model = load_model(base)
    model.resize_token_embeddings(len(tokenizer))
    elsewhere.take(base, saved(model, tmp_path / "chat", tokenizer), tmp_path / "run")


@pytest.mark.parametrize(
    ("changed", "hint"),
    [
        ({"num_hidden_layers": 2}, ("2 layers", "3 layers", "was not trained from that model")),
        (
            {"num_attention_heads": 3, "num_key_value_heads": 3},
            ("3 query heads", "6 query heads", "set base to the model"),
        ),
    ],
)
def test_a_model_of_other_heads_is_refused(base, tmp_path, changed, hint):
    other = saved(llama(**changed), tmp_path / "other")
    with refusal(str(other), hint):
        elsewhere.take(base, other, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_model_of_other_tokens_is_refused(base, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(base, other)
    content = json.loads((other / "tokenizer.json").read_text())
    vocabulary = content["model"]["vocab"]
    first, second = sorted(vocabulary, key=vocabulary.get)[10:12]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    (other / "tokenizer.json").write_text(json.dumps(content))
    with refusal(str(other), (f"{first!r} as", "vocabularies differ", "set base to the model")):
        elsewhere.take(base, other, tmp_path / "run")


def test_the_name_of_a_run():
    assert runs.finetuned("finetuned.sft") == "sft"
    assert runs.finetuned("nlp.arc.seed0") is None
