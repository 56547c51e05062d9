"""Sentences about missing models and data of the user, and the state of both once a run has recorded it."""

import json
import shutil

import pytest
import tokenizers_of_all_kinds as kinds
from experiments import config_of, meaning
from gguf import GGMLQuantizationType as GgufType
from gguf_files import model_of, write
from refusals import assert_refusal

from headpatterns.experiment import checks, missing, written
from headpatterns.experiment.experiment import OWN_FILES, Experiment
from headpatterns.experiment.values import positions
from headpatterns.studies import load_studies

PAPER = "config/paper.yaml"
EVERY_READER = frozenset.union(*missing.READERS.values())
BUILTIN = {
    "evaluation": {"sets": {"x": {"opencompass": "ARC_c/ARC_c_gen_1e0de5"}}, "opencompass_data": "/nowhere"},
    "studies": {"benchmarks": {"checkpoints": [{"model": "opt", "run": "base"}], "sets": ["x"]}},
}


def accepted(config):
    """The experiment of a config that is not refused."""
    experiment = meaning(config)
    checks.check(experiment)
    return experiment


def said(experiment, inputs=None, rules=EVERY_READER):
    """The sentences for jobs that depend on everything that is missing, or on some inputs."""
    return missing.sentences(experiment, missing.away(experiment) if inputs is None else set(inputs), set(rules))


@pytest.mark.parametrize(
    ("overlay", "key", "hint"),
    [
        (
            {"models": {"llama": {"source": {"path": "/nowhere"}}}},
            "models.llama.source.path",
            ("/nowhere", "no model (no config.json)", "fix the path", "hf download"),
        ),
        (
            {"models": {"llama": {"source": {"path": "$NOT_SET/x"}}}},
            "models.llama.source.path",
            ("environment variable NOT_SET, which is not set", "export it"),
        ),
        (
            {"models": {"llama": {"source": {"gguf": "/nowhere/model.gguf"}}}},
            "models.llama.source.gguf",
            ("/nowhere/model.gguf does not exist", "fix the path"),
        ),
        (
            {"models": {"llama": {"source": {"gguf": "$NOT_SET/model.gguf"}}}},
            "models.llama.source.gguf",
            "environment variable NOT_SET, which is not set",
        ),
        (
            {"models": {"llama": {"source": {"gguf": "/nowhere/x.gguf"}, "obtain": "ask them."}}},
            "models.llama.source.gguf",
            ("/nowhere/x.gguf does not exist", "To get it: ask them."),
        ),
        ({"models": {"llama": {"source": {"gguf": __file__}}}}, "models.llama.source.gguf", "is not a GGUF file"),
        (
            {"datasets": {"arc": {"train": [{"path": "/nowhere/*.jsonl"}], "probe": []}}},
            "datasets.arc.train[0].path",
            ("/nowhere/*.jsonl", "does not exist", "fix the path"),
        ),
        (
            {
                "datasets": {
                    "arc": {"train": [{"path": "/usr"}, {"path": "${NOT_SET}/x"}], "probe": [], "obtain": "ask us."}
                }
            },
            "datasets.arc.train[1].path",
            ("environment variable NOT_SET", "export it", "To get it: ask us."),
        ),
        (BUILTIN, "evaluation.opencompass_data", ("/nowhere", "no folder data/", "OpenCompassData-core")),
        ({"evaluation": {"python": "$NOT_SET/python"}}, "evaluation.python", "environment variable NOT_SET"),
    ],
)
def test_what_is_missing_is_one_sentence_and_no_reason_to_refuse_the_config(overlay, key, hint):
    config = config_of(overlay)
    if "models" in overlay:
        config["models"]["llama"]["source"] = overlay["models"]["llama"]["source"]
    lines = said(accepted(config))
    assert len(lines) == 1
    assert_refusal(lines[0], f"config key {key}", hint)


def test_a_model_without_a_tokenizer(tmp_path):
    config = config_of()
    (tmp_path / "config.json").write_text("{}")
    config["models"]["llama"]["source"] = {"path": str(tmp_path)}
    assert_refusal(
        "\n".join(said(accepted(config))), "models.llama.source.path", "has no tokenizer: save the model's tokenizer"
    )


def test_a_model_whose_weights_git_lfs_has_not_fetched(tmp_path):
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / name).write_text("{}")
    config = config_of()
    config["models"]["llama"]["source"] = {"path": str(tmp_path)}
    assert said(accepted(config)) == []
    (tmp_path / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n")
    assert_refusal(
        "\n".join(said(accepted(config))),
        "models.llama.source.path",
        (str(tmp_path), "model.safetensors is a Git LFS pointer", "git lfs pull"),
    )


def test_a_model_whose_weights_are_a_link_to_nowhere(tmp_path):
    """This happens in a cache of the hub when its files were removed."""
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "old.bin").mkdir()
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "blobs" / "gone")
    config = config_of()
    config["models"]["llama"]["source"] = {"path": str(tmp_path)}
    hints = (str(tmp_path), "model.safetensors cannot be read (No such file or directory)", "put a readable file there")
    assert_refusal("\n".join(said(accepted(config))), "models.llama.source.path", hints)


def test_the_paper_lacks_one_dataset(monkeypatch):
    monkeypatch.delenv("HEADPATTERNS_DATA", raising=False)
    [infinity] = said(accepted(config_of(PAPER)))
    assert_refusal(infinity, "datasets.infinity-mathematics.train[0].path", ("HEADPATTERNS_DATA", "hf download BAAI"))
    for name in ("reasoning", "programming", "education", "finance", "law", "reasoning-programming"):
        assert f"datasets.infinity-{name}.train[0].path" in infinity


def test_a_job_is_told_of_what_it_reads(monkeypatch):
    monkeypatch.delenv("HEADPATTERNS_DATA", raising=False)
    own = [f"$HEADPATTERNS_DATA/{name}_cn.jsonl" for name in ("primary/cloze", "middle/single_choice")]
    rows = {"mathbench": {"train": [{"path": path} for path in own]}}
    experiment = accepted(config_of(PAPER, {"evaluation": {"python": "$NOT_SET/python"}, "datasets": rows}))
    read = experiment.paths.rows_input("mathbench", "train")
    assert read == own
    assert [line.split()[2] for line in said(experiment, read[1:], ["prepare_instructions"])] == [
        "datasets.mathbench.train[1].path"
    ]
    assert [line.split()[2] for line in said(experiment, [], ["evaluate"])] == ["evaluation.python"]
    assert said(experiment, [], ["draw_figure1", "finetune"]) == []


def test_the_braces_of_a_variable_are_no_wildcard(monkeypatch):
    monkeypatch.delenv("AWAY", raising=False)
    experiment = accepted(config_of({"datasets": {"arc": {"train": [{"path": "${AWAY}/x.jsonl"}], "probe": []}}}))
    assert experiment.paths.rows_input("arc", "train") == ["$AWAY/x.jsonl"]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A config with the user's own rows, model, data and interpreter. All but the interpreter exist."""
    place = tmp_path / "own"
    (place / "rows/below").mkdir(parents=True)
    (place / "rows/below/a.jsonl").write_text("{}\n")
    (place / "probe.jsonl").write_text("{}\n")
    (place / "probe-labels.lst").write_text("A\n")
    (place / "opencompass/data").mkdir(parents=True)
    (place / "opencompass/data/items.json").write_text("[]")
    (place / "model").mkdir()
    described = {"max_position_embeddings": 200, "num_hidden_layers": 2, "num_attention_heads": 3, "vocab_size": 9}
    (place / "model/config.json").write_text(json.dumps(described))
    (place / "model/tokenizer.json").write_text("{}")
    monkeypatch.setenv("OWN", str(place))
    monkeypatch.chdir(tmp_path)
    config = config_of(BUILTIN)
    config["evaluation"] |= {"opencompass_data": "$OWN/opencompass", "python": "$OWN/python", "max_new_tokens": 20}
    config["models"]["llama"]["source"] = {"path": "$OWN/model"}
    config["datasets"]["arc"] |= {"train": [{"path": "$OWN/rows"}], "probe": [{"path": "${OWN}/p*.jsonl"}]}
    config["tokenization"]["max_length"] = 128
    return config


def recalled(config):
    return Experiment(config, load_studies(), recall=True)


def known(experiment):
    """Everything that jobs take from the user's own files."""
    paths = experiment.paths
    return (
        [paths.rows("arc", split) + paths.rows_input("arc", split) for split in ("train", "probe")],
        [paths.own.state(part, *written) for part, written in missing.parts(experiment)],
        paths.model("llama", 0),
        paths.model_input("llama", 0),
        paths.own.path("python", experiment.config.evaluation.python),
        paths.own.path("data", experiment.config.evaluation.opencompass_data),
        positions(experiment, "llama"),
    )


@pytest.mark.parametrize("goes", ["variable", "files", "both"])
def test_what_was_written_down_is_known_without_it(own, tmp_path, monkeypatch, goes):
    experiment = recalled(own)
    before = known(experiment)
    assert all(before[1]) and len(before[1]) == 4  # rows, model, its tokenizer, OpenCompass's data
    missing.record(experiment, tmp_path / experiment.paths.root / OWN_FILES)
    if goes != "files":
        monkeypatch.delenv("OWN")
    if goes != "variable":
        shutil.move(tmp_path / "own", tmp_path / "elsewhere")
    after = recalled(own)
    assert known(after) == before
    expected = {"models.llama.source.path", "datasets.arc.train[0].path", "datasets.arc.probe[0].path"}
    expected |= {"evaluation.opencompass_data"} | ({"evaluation.python"} if goes != "files" else set())
    assert {line.split()[2] for line in said(after)} == expected
    # It stays known after another record: a run that reads none of these files may record them again.
    missing.record(after, tmp_path / experiment.paths.root / OWN_FILES)
    assert known(recalled(own)) == before


def test_another_path_was_never_seen(own, tmp_path):
    experiment = recalled(own)
    missing.record(experiment, tmp_path / experiment.paths.root / OWN_FILES)
    own["datasets"]["arc"]["train"] = [{"path": "$OWN/other"}]
    changed = recalled(own)
    assert changed.paths.rows_input("arc", "train") == [f"{tmp_path}/own/other"]
    assert changed.paths.own.state("rows", *changed.paths.rows_on_disk("arc")) == ""


def test_files_at_hand_are_taken_as_they_are(own, tmp_path):
    experiment = recalled(own)
    missing.record(experiment, tmp_path / experiment.paths.root / OWN_FILES)
    before = known(experiment)
    (tmp_path / "own/rows/below/b.jsonl").write_text("{}\n")
    (tmp_path / "own/probe2.jsonl").write_text("{}\n")
    after = known(recalled(own))
    assert before[0][1] != after[0][1] and before[1][0] != after[1][0]


def test_nothing_is_written_down_where_nothing_is_ones_own(tmp_path):
    missing.record(accepted(config_of()), tmp_path / OWN_FILES)
    assert not (tmp_path / OWN_FILES).exists()


def test_a_model_that_was_never_here_reads_at_least_a_sample():
    config = config_of()
    config["models"]["llama"]["source"] = {"path": "/nowhere"}
    assert positions(accepted(config), "llama") == config["tokenization"]["max_length"]


def test_a_gguf_file_is_known_once_it_is_away(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tokenizer = kinds.fast("gpt2")
    write(tmp_path / "own.gguf", model_of(len(tokenizer), max_position_embeddings=200), tokenizer, GgufType.F32)
    config = config_of()
    config["models"]["llama"]["source"] = {"gguf": str(tmp_path / "own.gguf")}
    config["tokenization"]["max_length"] = 128
    seen = recalled(config)
    missing.record(seen, tmp_path / seen.paths.root / OWN_FILES)
    assert positions(seen, "llama") == 200
    (tmp_path / "own.gguf").unlink()
    away = recalled(config)
    assert positions(away, "llama") == 200
    assert away.paths.gguf_input("llama") == [str(tmp_path / "own.gguf")]
    assert len(said(away)) == 1


def test_how_to_get_files_decides_no_result():
    config = config_of()
    told = config_of({"models": {"opt": {"obtain": "ask them."}}, "datasets": {"arc": {"obtain": "ask us."}}})
    assert written.decisive(told) == written.decisive(config) and written.digest(told) == written.digest(config)
