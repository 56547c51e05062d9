"""The keys of a config as editors and readers see them: the schema, the page, and what is printed."""

import json
import re

import jsonschema
import pytest
import scripts
from project import PROJECT, config_in

from headpatterns.cluster import resources
from headpatterns.errors import InputError
from headpatterns.experiment import document
from headpatterns.studies import load_studies


def test_the_schema_and_the_table_of_keys_are_those_of_the_models():
    """`make docs` writes them."""
    studies, config = load_studies(), config_in("config.yaml")
    made = {"config/schema.json": document.json_schema(studies), "docs/config.md": document.key_table(studies, config)}
    for file, text in made.items():
        assert (PROJECT / file).read_text(encoding="utf-8") == text, f"run `make docs`: {file} is old"


def test_every_key_of_the_config_is_in_the_table_with_its_meaning():
    config = config_in("config.yaml")
    meanings = {key.name: key.meaning for key in document.keys(load_studies(), config)}
    for key in config:
        assert key in meanings, key
    for key in config["finetuning"]:
        assert meanings[f"finetuning.{key}"].strip(), key
    for study, settings in config["studies"].items():
        for key in settings:
            assert meanings[f"studies.{study}.{key}"].strip(), (study, key)


def test_an_editor_is_told_what_a_config_may_say():
    schema = json.loads(document.json_schema(load_studies()))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    overlays = [str(file.relative_to(PROJECT)) for file in sorted((PROJECT / "config").glob("*.yaml"))]
    assert "config/paper.yaml" in overlays
    for overlay in ("config.yaml", *overlays, "tests/config/tiny.yaml", "tests/config/real.yaml"):
        assert not list(validator.iter_errors(config_in(overlay))), overlay
    for overlay in ("config.yaml", *overlays):
        first = (PROJECT / overlay).read_text(encoding="utf-8").splitlines()[0]
        named = first.removeprefix("# yaml-language-server: $schema=")
        assert (PROJECT / overlay).parent / named == PROJECT / "config/schema.json", f"{overlay}: {first}"
    assert list(validator.iter_errors({"finetuning": {"learning_rat": 1.0}}))
    assert list(validator.iter_errors({"device": "gpu"}))


def test_the_rules_that_read_a_key_are_rules():
    """Rules of studies are made from their descriptions; the others are in rules/ and in the Snakefile."""
    files = "".join(
        path.read_text(encoding="utf-8") for path in [*(PROJECT / "rules").glob("*.smk"), PROJECT / "Snakefile"]
    )
    rules = {
        *re.findall(r"^ *rule (\w+):", files, re.MULTILINE),
        *resources.SEVERAL_RUNS,
        "plan",
        "costs",
        document.EVERY,
    }
    sections = {key.section for key in document.keys(load_studies(), {}) if not key.section.startswith("studies")}
    assert sections == set(document.READERS)
    for section, names in document.READERS.items():
        assert not {name for name in names if not name.endswith("_*")} - rules, section
    assert "analyse_level" in document.readers_of("studies.dynamics", load_studies())


def test_the_reference_is_printed_for_a_key_and_those_below_it(capsys):
    scripts.run("document_config", config=PROJECT / "config.yaml", show="finetuning.lora")
    text = capsys.readouterr().out
    assert text.startswith("finetuning.lora\n    the adapters; used if method is lora\n")
    assert (
        "finetuning.lora.rank\n    rank of the product B A: columns of B, rows of A\n    value: integer ≥ 1\n" in text
    )
    assert "    in config.yaml: 16\n    read by: finetune\n" in text and "finetuning.learning_rate" not in text
    whole = document.key_text(load_studies(), config_in("config.yaml"))
    assert whole.startswith("experiment\n") and text in whole
    with pytest.raises(InputError, match=r"key=finetuning\.lor is no key of a config; did you mean 'finetuning\.lora'"):
        scripts.run("document_config", config=PROJECT / "config.yaml", show="finetuning.lor")
