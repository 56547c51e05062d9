"""Messages about a config that its schema refuses: one sentence per problem, with the key's path and the fix."""

import difflib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError

from headpatterns.experiment.sources import (
    ADAPTER_KINDS,
    FINETUNED_KINDS,
    MODEL_KINDS,
    ROW_KINDS,
    AdapterSource,
    FinetunedSource,
    ModelSource,
    RowSource,
)

TYPES = {
    "int_type": "integer",
    "int_from_float": "integer",
    "float_type": "number",
    "string_type": "string",
    "list_type": "array",
    "bool_type": "boolean",
    "dict_type": "object",
    "model_type": "object",
    "model_attributes_type": "object",
}
"""Names of YAML and JSON types in messages, by the error that pydantic reports."""

UNIONS: dict[str, Any] = {"models": ModelSource, "finetuned": FinetunedSource}
"""Kinds of sources by the section of the config; in other sections they are rows."""

LARGEST = 2**63 - 1
"""The largest whole number that numpy, torch and Arrow can hold."""

ENDLESS = re.compile(r"(\S{60})\S{140,}")
"""A word that is too long to be shown in full."""

Loc = tuple[str | int, ...]
Error = Mapping[str, Any]


def sentences(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """A sentence for each problem, in the order of the keys; problems of a key that may have two types become one."""
    found: dict[str, None] = {}
    for one in error.errors(include_url=False):
        path, annotation, kind = _resolved(model, one["loc"])
        _, parent, _ = _resolved(model, one["loc"][:-1])
        found.setdefault(_sentence({**one, "valid": _keys(parent)}, path, annotation, kind), None)
    return list(found)


def in_one_line(problem: str) -> str:
    """A sentence without line breaks in its values, and with very long values cut."""
    return ENDLESS.sub(r"\1…", problem).replace("\n", "\\n")


def unusable(value: Any, path: Loc = ()) -> Iterator[str]:
    """A sentence for each value that is invalid for every key: it would fail in a path, a file or a library."""
    place = written(path) or "(top level)"
    if isinstance(value, str):
        if foreign := next(
            (one for one in value if unicodedata.category(one) in ("Cc", "Cs") and one not in "\n\t"), ""
        ):
            yield f"{place} has the character {foreign!a}, which is not text: remove it."
    elif isinstance(value, int) and abs(value) > LARGEST:
        yield f"{place} has {len(str(abs(value)))} digits, which is too many: write a smaller number."
    elif isinstance(value, dict):
        for key, one in value.items():
            if not isinstance(key, str):
                yield f"{place} has the key {key!r}, which is not text: write it in quotes."
            yield from unusable(one, (*path, str(key)))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from unusable(one, (*path, number))


def nearest(name: Any, valid: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the most similar valid one, or all of them."""
    valid = list(valid)
    near = difflib.get_close_matches(str(name), valid, n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; valid are: {', '.join(valid) or 'none'}."


def written(path: Iterable[str | int]) -> str:
    """A key's path as users write it: `models.llama.source`, `seeds[0]`."""
    return re.sub(r"\.\[", "[", ".".join(f"[{part}]" if isinstance(part, int) else str(part) for part in path))


def merged(kinds: list[str]) -> str:
    """Why a source may have several kinds although the user wrote one."""
    return (
        f"; it has {' and '.join(kinds)} (an overlay is merged with the entry of the same name: choose another name)"
    ) * (len(kinds) > 1)


def _resolved(model: type[BaseModel], loc: Loc) -> tuple[Loc, Any, str]:
    """The path as users write it, the annotation of its value, and the kind of source that contains it."""
    path: list[str | int] = []
    annotation: Any = model
    kind = ""
    for part in loc:
        tagged = dict(_tagged(annotation))
        if part in tagged:
            annotation, kind = tagged[str(part)], str(part)
            continue
        if part == "[key]" or _is_variant(annotation):
            break
        annotation = _child(annotation, part)
        path.append(part)
    return tuple(path), annotation, kind


def _plain(annotation: Any) -> Any:
    """An annotation without metadata and without None."""
    while hasattr(annotation, "__metadata__"):
        annotation = annotation.__origin__
    others = [one for one in get_args(annotation) if one is not NoneType]
    return _plain(others[0]) if NoneType in get_args(annotation) and len(others) == 1 else annotation


def _tagged(annotation: Any) -> Iterator[tuple[str, Any]]:
    """The kinds of a source, with their models."""
    for one in get_args(_plain(annotation)):
        for mark in getattr(one, "__metadata__", ()):
            if isinstance(mark, Tag):
                yield mark.tag, _plain(one)


def _is_variant(annotation: Any) -> bool:
    """Whether a value may have two types, such as a number or a word, so that a part of a path names the type."""
    plain = _plain(annotation)
    return not isinstance(plain, type) and len(get_args(plain)) > 1 and get_origin(plain) not in (dict, list, Literal)


def _child(annotation: Any, part: str | int) -> Any:
    """The annotation of the value below a key or at a place of a list."""
    plain = _plain(annotation)
    if isinstance(plain, type) and issubclass(plain, BaseModel):
        field = plain.model_fields.get(str(part))
        return field.annotation if field else Any
    return get_args(plain)[-1] if get_origin(plain) in (dict, list) else Any


def _keys(annotation: Any) -> list[str]:
    """The keys of a section."""
    plain = _plain(annotation)
    return list(plain.model_fields) if isinstance(plain, type) and issubclass(plain, BaseModel) else []


def _sentence(error: Error, path: Loc, annotation: Any, kind: str) -> str:
    """The sentence about one problem."""
    place, value = written(path), error["input"]
    if "[key]" in error["loc"]:
        *where, name = path
        return f"{written(where)} has the name '{name}': use lower-case letters, digits, - and _."
    if error["type"] in SAYINGS:
        return SAYINGS[error["type"]](error, path, annotation, kind)
    if error["type"] in TYPES or _is_variant(annotation):
        wanted = " or ".join(_named(annotation)) or TYPES[error["type"]]
        return f"{place} is {value!r}: it must be of type {wanted}{as_number(value)}."
    if error["type"] == "string_pattern_mismatch" and path[-1] == "run":
        return f"{place} is '{value}': write the name of a run, GROUP.TASK.seedN or finetuned.NAME."
    return f"{place}: {_constraint(error, annotation)}"


def _named(annotation: Any) -> Iterator[str]:
    """The names of the types of a value; allowed words are named as they are."""
    names = {int: "integer", float: "number", str: "string", bool: "boolean", NoneType: "null"}
    while hasattr(annotation, "__metadata__"):
        annotation = annotation.__origin__
    if get_origin(annotation) is Literal:
        yield from map(str, get_args(annotation))
    elif annotation in names:
        yield names[annotation]
    elif get_origin(annotation) is list:
        yield "array"
    elif get_origin(annotation) is dict or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        yield "object"
    else:
        for one in get_args(annotation):
            yield from _named(one)


def as_number(value: Any) -> str:
    """The fix for a number that YAML reads as text: without quotes, and with a point before its exponent."""
    if not isinstance(value, str):
        return ""
    if value.strip().isdecimal():
        return f"; write {int(value)} without quotes"
    try:
        mantissa, exponent = f"{float(value):e}".split("e")
    except ValueError:
        return ""
    return f"; write {float(mantissa)}e{int(exponent):+d}"


def _constraint(error: Error, annotation: Any) -> str:
    """The constraint that a value of the right type violates."""
    value, limits = error["input"], error.get("ctx", {})
    match error["type"]:
        case "greater_than_equal":
            return f"{value} is less than the minimum of {limits['ge']}."
        case "greater_than":
            return f"{value} is less than or equal to the minimum of {limits['gt']}."
        case "less_than_equal":
            return f"{value} is greater than the maximum of {limits['le']}."
        case "less_than":
            return f"{value} is greater than or equal to the maximum of {limits['lt']}."
        case "too_short" | "string_too_short":
            return f"{value!r} is too short." if value else f"{value!r} should be non-empty."
        case "too_long":
            return f"{value!r} is too long."
        case "finite_number":
            return f"{value} is not a finite number: write a finite number."
        case "literal_error":
            return f"{value!r} is not one of {list(get_args(_plain(annotation)))}."
        case "string_pattern_mismatch":
            return f"{value!r} does not match '{limits['pattern']}'."
    return f"{error['msg'].rstrip('.')}."


def _unknown(error: Error, path: Loc, annotation: Any, kind: str) -> str:
    """The sentence about an unknown key; in a source it may belong to another kind."""
    key = str(path[-1])
    union = AdapterSource if "lora" in path[:-1] else UNIONS.get(str(path[0]), RowSource)
    of_kinds = [name for _, model in _tagged(union) for name in model.model_fields] if kind else []
    if key in of_kinds:
        return f"{written(path)} is not a key of a source of the kind {kind}: remove it."
    return f"{written(path)} is unknown{nearest(key, of_kinds or error['valid'])}"


def _missing(error: Error, path: Loc, annotation: Any, kind: str) -> str:
    """The sentence about a missing key."""
    *where, key = path
    if kind:
        return f"{written(where)} lacks '{key}', which a source of the kind {kind} needs: add it."
    return f"{written(where) or '(top level)'} lacks '{key}': add it."


def _kinds(valid: tuple[str, ...]) -> Callable[[Error, Loc, Any, str], str]:
    def said(error: Error, path: Loc, annotation: Any, kind: str) -> str:
        given = error["input"] if isinstance(error["input"], dict) else {}
        kinds = [one for one in valid if one in given]
        listed = f"{', '.join(valid[:-1])} and {valid[-1]}"
        return f"{written(path)} must have exactly one of {listed}{merged(kinds)}."

    return said


def _repeated(error: Error, path: Loc, annotation: Any, kind: str) -> str:
    return f"{written(path)} {error['msg']}"


def _size(error: Error, path: Loc, annotation: Any, kind: str) -> str:
    return f"{written(path)}.{error['msg']}"


SAYINGS: dict[str, Callable[[Error, Loc, Any, str], str]] = {
    "extra_forbidden": _unknown,
    "missing": _missing,
    "kinds_of_models": _kinds(MODEL_KINDS),
    "kinds_of_rows": _kinds(ROW_KINDS),
    "kinds_of_finetuned": _kinds(FINETUNED_KINDS),
    "kinds_of_adapters": _kinds(ADAPTER_KINDS),
    "repeated": _repeated,
    "size": _size,
}
"""Sentences for problems that are not about a value alone, by pydantic's name of the problem."""
