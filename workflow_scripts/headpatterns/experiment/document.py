"""The keys of a config as editors and readers see them: a JSON schema, and a table in Markdown."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headpatterns.experiment.schema import config_model
from headpatterns.experiment.study import Study

Schema = Mapping[str, Any]

HEAD = """# Every key of a config

[config.yaml](../config.yaml) states all of them; another experiment is an overlay that states only what differs. In
this table NAME is a name that you choose and `[]` an entry of a list. It is made from the models that read a config
(`make docs`), as is [config/schema.json](../config/schema.json), which tells an editor the same.
"""


def json_schema(studies: Sequence[Study]) -> str:
    """The JSON schema of an overlay, where every key may be left out, as the text of a file."""
    schema = config_model({study.name: study.settings for study in studies}).model_json_schema()
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **_optional(schema)}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def key_table(studies: Sequence[Study]) -> str:
    """The table of keys, as the text of a file."""
    schema = config_model({study.name: study.settings for study in studies}).model_json_schema()
    lines = ["| key | value | meaning |", "|---|---|---|"]
    lines += [f"| `{key}` | {_cell(value)} | {_cell(meaning)} |" for key, value, meaning in _keys(schema, schema, "")]
    return f"{HEAD}\n" + "\n".join(lines) + "\n"


def _optional(schema: Any) -> Any:
    """A schema without the lists of keys that must be there."""
    if isinstance(schema, dict):
        return {key: _optional(value) for key, value in schema.items()
                if not (key == "required" and isinstance(value, list))}  # fmt: skip
    return [_optional(one) for one in schema] if isinstance(schema, list) else schema


def _resolved(whole: Schema, schema: Schema) -> Schema:
    """What a reference leads to, with what is said beside the reference."""
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
    """What a value may be."""
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
    limits = " and ".join(f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema)
    return f"{names.get(kind, kind)} {limits}".strip()


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
