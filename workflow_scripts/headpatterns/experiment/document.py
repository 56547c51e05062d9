"""The keys of a config as editors and readers see them: a JSON schema, and a reference for readers."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import groupby
from typing import Any

import yaml

from headpatterns.errors import InputError
from headpatterns.experiment.schema import config_model
from headpatterns.experiment.study import Study

Schema = Mapping[str, Any]

HEAD = """# Config keys

[config.yaml](../config.yaml) states every key. Another experiment is an overlay that states only what differs
([How to use your own models and data](own-models-and-data.md)).

- NAME is a name that you choose, and `[]` an entry of a list.
- The last column is the value in config.yaml, where that is a single value or a short list.
- "Read by" names the rules of Snakemake whose jobs get the values. [Reproducibility](reproducibility.md) says which
  changes make which results again.

`snakemake config_reference --cores 1 --config key=finetuning.lora` prints a key and those below it. `make docs` makes
this page from the models that read a config. It also makes [config/schema.json](../config/schema.json). An editor with
the YAML language server reads that schema and shows these texts: the first line of each config names it.
"""

EVERY = "every rule"
READERS = {
    "experiment": (EVERY,),
    "seeds": ("write_run_table", "finetune", "split_domain"),
    "seed_moves": ("pretrain", "cut_training_set", "finetune"),
    "embedded": ("generate_raw_data", "generate_corpus", "train_tokenizer"),
    "pretraining": ("pretrain",),
    "pretraining_recipe": ("pretrain",),
    "models": ("fetch_model", "convert_gguf", "give_chat_template", "finetune", "extract_patterns", "evaluate"),
    "finetuned": ("take_finetuned", "fetch_adapter", "merge_adapter"),
    "datasets": ("generate_raw_data", "fetch_dataset", "fetch_pinned", "prepare_instructions"),
    "sources": ("fetch_pinned",),
    "prompt_template": ("prepare_instructions",),
    "sampling": ("prepare_instructions",),
    "tokenization": ("tokenize_instructions", "extract_patterns", "ablate_heads", "read_candidates"),
    "finetuning": ("finetune",),
    "patterns": ("extract_patterns", "ablate_heads", "read_candidates"),
    "task_groups": ("cut_training_set", "finetune"),
    "domains": ("split_domain",),
    "analysis": ("mix_basic_tasks", "analyse_*", "measure_*"),
    "evaluation": ("check_opencompass", "check_evaluation_sets", "check_lengths", "check_builtin_sets", "evaluate"),
    "device": ("pretrain", "finetune", "extract_patterns", "ablate_heads", "read_candidates", "evaluate"),
    "tensorboard": ("finetune",),
    "resources": (EVERY,),
    "plan": ("plan", "costs"),
    "cluster": (EVERY,),
}
"""The rules that read each section; the rules that read the settings of a study follow from its description."""

LONGEST_DEFAULT = 40
"""Most characters of a value that the reference shows."""


@dataclass(frozen=True)
class Key:
    """A key of a config.

    Attributes:
        name: its path, with dots.
        value: the possible values.
        meaning: its description, with the unit.
        default: its value in config.yaml; empty if that is a section or long.
    """

    name: str
    value: str
    meaning: str
    default: str

    @property
    def section(self) -> str:
        """The first part of its path, or for a study the first two."""
        return ".".join(self.name.split(".")[: 2 if self.name.startswith("studies.") else 1])


def json_schema(studies: Sequence[Study]) -> str:
    """The JSON schema of an overlay, where every key may be left out, as the text of a file."""
    schema = config_model({study.name: study.settings for study in studies}).model_json_schema()
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **_optional(schema)}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def keys(studies: Sequence[Study], config: Mapping[str, Any]) -> list[Key]:
    """Every key of a config in the order of the models.

    Args:
        studies: all of them.
        config: config.yaml as it is read, for the column of defaults.
    """
    schema = config_model({study.name: study.settings for study in studies}).model_json_schema()
    return [Key(name, value, meaning, _default(config, name)) for name, value, meaning in _keys(schema, schema, "")]


def key_table(studies: Sequence[Study], config: Mapping[str, Any]) -> str:
    """The reference of all keys as a page in Markdown: a table for each section, and for each study."""
    parts = [HEAD]
    for section, found in groupby(keys(studies, config), lambda key: key.section):
        rows = [f"| `{key.name}` | {_cell(key.value)} | {_cell(key.meaning)} | {_code(key.default)} |" for key in found]
        readers = ", ".join(rule if rule == EVERY else f"`{rule}`" for rule in readers_of(section, studies))
        said = f"Read by {readers}.\n\n" if readers else ""
        head = "| key | value | meaning | in config.yaml |\n|---|---|---|---|\n"
        parts.append(f"## {section}\n\n{said}{head}" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def key_text(studies: Sequence[Study], config: Mapping[str, Any], chosen: str = "") -> str:
    """The reference of all keys, or of a key and those below it, as lines for a terminal.

    Raises:
        InputError: no key has that name.
    """
    found = keys(studies, config)
    shown = [key for key in found if not chosen or f"{key.name}.".startswith(f"{chosen}.")]
    if not shown:
        near = get_close_matches(chosen, [key.name for key in found], n=1, cutoff=0)[0]
        raise InputError(f"key={chosen} is no key of a config; did you mean '{near}'?")
    lines = []
    for key in shown:
        rules = ", ".join(readers_of(key.section, studies))
        lines += [key.name, f"    {key.meaning}", f"    value: {key.value}"]
        lines += [f"    in config.yaml: {key.default}"] * bool(key.default) + [f"    read by: {rules}"] * bool(rules)
    return "\n".join(lines) + "\n"


def readers_of(section: str, studies: Sequence[Study]) -> list[str]:
    """The rules that read a section; for a study, the rules that compute, draw and judge it."""
    study = next((study for study in studies if f"studies.{study.name}" == section), None)
    if study is None:
        return list(READERS.get(section, ()))
    return [
        *(f"analyse_{one.name}" for one in study.analyses),
        *(f"draw_{one.name}" for one in study.drawings),
        *(f"write_{one.name}" for one in study.tables),
        *(f"measure_{one.name}" for one in study.effects),
    ]


def _default(config: Mapping[str, Any], name: str) -> str:
    """A value of config.yaml in one line; empty if it is a section or long, or if its path has a chosen name."""
    value: Any = config
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return ""
        value = value[part]
    if isinstance(value, Mapping):
        return ""
    text = yaml.safe_dump(value, default_flow_style=True, width=1000, allow_unicode=True).splitlines()[0]
    return text if len(text) <= LONGEST_DEFAULT else ""


def _code(text: str) -> str:
    return f"`{_cell(text)}`" if text else ""


def _optional(schema: Any) -> Any:
    """A schema without the lists of required keys."""
    if isinstance(schema, dict):
        return {key: _optional(value) for key, value in schema.items()
                if not (key == "required" and isinstance(value, list))}  # fmt: skip
    return [_optional(one) for one in schema] if isinstance(schema, list) else schema


def _resolved(whole: Schema, schema: Schema) -> Schema:
    """The target of a reference, with the other entries of the schema."""
    if "$ref" not in schema:
        return schema
    target = whole["$defs"][schema["$ref"].rpartition("/")[2]]
    return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}


def _keys(whole: Schema, schema: Schema, path: str) -> Iterator[tuple[str, str, str]]:
    """Every key below a section with its value and meaning, in the order of the models."""
    for name, described in schema.get("properties", {}).items():
        found = _resolved(whole, described)
        place = f"{path}.{name}" if path else name
        meaning = found.get("description", "").split("\n")[0]
        yield place, _value(whole, found), meaning
        yield from _below(whole, found, place)


def _below(whole: Schema, schema: Schema, place: str) -> Iterator[tuple[str, str, str]]:
    """The keys of a section, of the entries of a mapping or a list, and of each kind of a source."""
    if "properties" in schema:
        yield from _keys(whole, schema, place)
    for key, entry in (("additionalProperties", "NAME"), ("patternProperties", "NAME"), ("items", "[]")):
        found = schema.get(key)
        if key == "patternProperties" and found:
            found = next(iter(found.values()))
        if isinstance(found, dict):
            inside = _resolved(whole, found)
            yield from _below(whole, inside, f"{place}[]" if entry == "[]" else f"{place}.{entry}")
    seen = set()
    for kind in schema.get("oneOf", []):
        for row in _keys(whole, _resolved(whole, kind), place):
            if row not in seen:
                seen.add(row)
                yield row


def _value(whole: Schema, schema: Schema) -> str:
    """The possible values, in words."""
    schema = _resolved(whole, schema)
    if kinds := schema.get("anyOf"):
        return " or ".join(_value(whole, kind) for kind in kinds)
    if "oneOf" in schema:
        return "mapping, of one kind"
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    names = {"object": "mapping", "array": "list", "null": "null", "boolean": "true or false", "string": "text"}
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_value(whole, schema.get('items', {}))}"
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = " and ".join(f"{sign} {_number(schema[key])}" for key, sign in signs.items() if key in schema)
    return f"{names.get(kind, kind)} {limits}".strip()


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
