"""docs/architectures.csv has the result of a tiny random model for every causal language model of transformers."""

import dataclasses
import json
import re

import architectures_table as table
import numpy as np
import pattern_files
import pytest
import scripts
import tiny_models
from experiments import config_of
from project import PROJECT
from test_experiment import complaint
from test_extract_patterns import write_jsonl

from headpatterns.errors import InputError
from headpatterns.experiment.run_table import RunRow
from headpatterns.models import families, load_model
from headpatterns.presentation import style
from headpatterns.studies.adaptation import distribution, figure1

ROWS = {row.model_type: row for row in table.read()}


def test_the_table_has_every_causal_language_model():
    """Fails if transformers adds or drops a type; `python tests/support/architectures_table.py` renews the table."""
    assert list(ROWS) == list(table.MODELS)
    assert sum(row.result in table.TAKEN for row in ROWS.values()) >= 60
    assert all(row.reason for row in ROWS.values() if row.result not in table.TAKEN)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind, row in ROWS.items() if row.result != table.NOT_TRIED])
def test_a_row(kind):
    row, worst = table.measure(kind)
    known = ROWS[kind]
    assert dataclasses.replace(row, error=known.error) == known
    if known.result in table.TAKEN:
        assert worst < float(known.error.removeprefix("< ")) <= table.LIMIT
        assert known.ablation == "works"
        assert known.packed in ("equal", "refused")


def test_families_with_an_adapter():
    assert {kind for kind, row in ROWS.items() if row.result == table.ADAPTED} == families.BY_THEMSELVES


@pytest.mark.parametrize(
    "kind", ["jamba", "bamba", "granitemoehybrid", "lfm2", "qwen3_next", "nemotron_h", "olmo_hybrid"]
)
def test_hybrids_have_patterns_of_their_attention_layers(kind):
    assert ROWS[kind].result == table.HYBRID


def test_the_readme_and_the_documentation_count_as_the_table_does():
    taken = sum(row.result in table.TAKEN for row in ROWS.values())
    readme = (PROJECT / "README.md").read_text(encoding="utf-8")
    method = (PROJECT / "docs/method.md").read_text(encoding="utf-8")
    for text in (readme, method):
        stated = re.search(r"on (\d+) of the (\d+) architectures", " ".join(text.split()))
        assert stated and tuple(map(int, stated.groups())) == (taken, len(ROWS))
    documentation = " ".join((PROJECT / "docs/attribution.md").read_text(encoding="utf-8").split())
    for result in (table.ADAPTED, table.HYBRID, table.REFUSED, table.NOT_TRIED):
        count = sum(row.result == result for row in ROWS.values())
        assert f"| {result} | {count} |" in documentation, (result, count)


# Refused by name, before anything runs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"model_type": "mamba"}, "has the type 'mamba', which has no attention and therefore no heads: use a model"),
        ({"model_type": "rwkv"}, "has the type 'rwkv', which has no attention and therefore no heads: use a model"),
        (
            {"model_type": "t5", "is_encoder_decoder": True},
            "has the type 't5', an encoder with a decoder: use a model",
        ),
        (
            {"model_type": "bart"},
            "has the type 'bart', an encoder with a decoder: use a model that is only a decoder",
        ),
        (
            {"model_type": "roberta"},
            "has the type 'roberta', an encoder, in which a token sees the tokens after it: use a",
        ),
        (
            {"model_type": "vit"},
            r"has the type 'vit', which has no causal language model in transformers [\d.]+: use",
        ),
        ({"model_type": "not-yet"}, r"has the type 'not-yet', which has no causal language"),
    ],
)
def test_a_model_without_patterns_is_refused_when_it_is_loaded(tmp_path, config, sentence):
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=rf"the model in {tmp_path} {sentence}"):
        load_model(tmp_path)


def test_what_is_a_decoder_by_its_config_is_none_of_them():
    for config in ({"model_type": "llama"}, {"model_type": "bert", "is_decoder": True}, {}):
        assert families.refusal(config) is None


def test_a_model_without_attention_is_refused_before_any_job(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "mamba2"}')
    (tmp_path / "tokenizer.json").touch()
    config = config_of({"models": {"llama": {"label": "Own", "source": {"path": str(tmp_path)}}}})
    config["models"]["llama"]["source"] = {"path": str(tmp_path)}
    assert (
        "models.llama has the type 'mamba2', which has no attention and therefore no heads: use a model"
        in complaint(config)
    )


# Hybrids: which layer is which ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hybrid(tmp_path_factory, tokenizer):
    """The folder of a model with three layers; only the second layer has attention."""
    folder = tmp_path_factory.mktemp("hybrid")
    tiny_models.build("lfm2-convolutions", vocab_size=tiny_models.VOCABULARY).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_layers_of_a_hybrid_keep_their_numbers(hybrid, rows, tmp_path):
    data = write_jsonl(tmp_path / "rows.jsonl", rows)
    scripts.run("extract_patterns", model=hybrid, data=data, output=tmp_path / "out.npy")
    about = json.loads((tmp_path / "out.json").read_text())
    assert (about["layers"], about["heads"], about["layer_numbers"]) == (1, 6, [1])
    assert np.load(tmp_path / "out.npy").shape == (1, 6)


def test_tables_and_figures_show_the_numbers_of_the_layers(tmp_path):
    folder = tmp_path / "patterns"
    for step in (0, 3):
        pattern_files.save(folder, step, np.ones((2, 2, 3)), layer_numbers=[4, 9])
    fields = {field.name: "x" for field in dataclasses.fields(RunRow)}
    run = RunRow(**{**fields, "patterns": folder})
    found = list(distribution.head_rows(run, np.ones((3, 2, 3)), np.full((3, 2, 3), 2.0)))
    assert sorted({row[distribution.HEAD_COLUMNS.index("layer")] for row in found}) == [4, 9]
    with style.applied():
        figure = style.new_figure(2, 2)
        axes = style.axes_at(figure, 0.5, 0.5, 1, 1)
        figure1.show(axes, np.ones((2, 3)), 1.0, [4, 9], signed=False)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["4", "9"]


def test_numbers_of_other_layers_than_the_patterns_are_refused(tmp_path):
    from headpatterns.attribution import files

    folder = pattern_files.save(tmp_path, 0, np.ones((2, 2, 3)), layer_numbers=[4])
    with pytest.raises(InputError, match=r"has 2 layers, but .*step-0\.json lists 1: remove the folder"):
        files.load_stored(files.about(folder, 0))
