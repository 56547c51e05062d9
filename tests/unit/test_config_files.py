"""Strict reading of config files: valid ones are read as Snakemake reads them; tests/bad_inputs has refused ones."""

import pytest
import scripts
from experiments import config_of, stacks
from project import PROJECT

from headpatterns.experiment import config_files

ANCHORED = """
finetuning: &own
  epochs: 2.0
  max_steps: null
studies:
  mixing: {finetuning: {<<: *own, epochs: 1.0}}
"""


@pytest.mark.parametrize("overlays", [["tests/config/tiny.yaml"], *stacks()], ids=" ".join)
def test_overlays_merge_as_snakemake_merges_them(overlays):
    assert config_files.merged([PROJECT / "config.yaml", *(PROJECT / file for file in overlays)]) == config_of(
        *overlays
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.yaml", b"seeds: [0, 1]\n"),
        ("marked.yaml", b"\xef\xbb\xbfseeds: [0, 1]\n"),
        ("windows.yaml", b"seeds:\r\n  - 0\r\n  - 1\r\n"),
        ("plain.json", b'{\n\t"seeds": [0, 1]\n}'),
        ("json.yaml", b'{\n\t"seeds": [0, 1]\n}'),
    ],
)
def test_every_way_to_write_a_sound_file(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert config_files.read(tmp_path / name) == {"seeds": [0, 1]}


def test_anchors_are_read_as_what_they_stand_for(tmp_path):
    (tmp_path / "over.yaml").write_text(ANCHORED)
    read = config_files.read(tmp_path / "over.yaml")
    assert read["studies"]["mixing"]["finetuning"] == {"epochs": 1.0, "max_steps": None}


def test_a_sound_config_is_said_to_be_sound(capfd):
    scripts.run("check_config", positional=[PROJECT / "tests/config/tiny.yaml"])
    assert "The config of tiny is valid" in capfd.readouterr().out
