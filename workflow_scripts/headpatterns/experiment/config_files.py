"""The files of a config, read strictly: YAML accepts some errors silently, and Snakemake gives no file and line."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from headpatterns.errors import InputError, first_line, refused_by_system

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(path: Path) -> dict[str, Any]:
    """The keys of a config file, YAML or JSON.

    Raises:
        InputError: it cannot be read, is not UTF-8, YAML or JSON, has no keys, has a key twice or one that is not
            text, or an anchor that contains itself; the message names the file and the line.
    """
    text = _text(path)
    if path.suffix == ".json" or _is_json(text):
        return _json(path, text)
    try:
        root = yaml.compose(text, Loader=LOADER)
    except yaml.YAMLError as error:
        raise InputError(_malformed(path, text, error)) from error
    except RecursionError as error:
        raise InputError(f"{path} is nested too deeply: write it flat.") from error
    if root is None:
        raise InputError(f"{path} has no key: write the keys that differ from config.yaml, or leave the file out.")
    if not isinstance(root, yaml.MappingNode):
        line = root.start_mark.line + 1
        raise InputError(f"{path}:{line} is not a key with a value: write `key: value` at the left margin.")
    for said in _problems(root, str(path)):
        raise InputError(said)
    try:
        found: dict[str, Any] = LOADER("").construct_document(root)
    except yaml.YAMLError as error:
        raise InputError(_malformed(path, text, error)) from error
    except ValueError as error:  # such as a text that is a date or a number for YAML but not for Python
        raise InputError(
            f"{path} has a value that cannot be read ({first_line(error)}): write it in quotes."
        ) from error
    return found


def check(paths: Iterable[Path]) -> None:
    """Read config files and refuse the first one that cannot be used.

    Raises:
        InputError: as `read`.
    """
    for path in paths:
        read(path)


def merged(paths: Iterable[Path]) -> dict[str, Any]:
    """The config from several files, where each overrides those before it, as in Snakemake.

    Raises:
        InputError: as `read`.
    """
    config: dict[str, Any] = {}
    for path in paths:
        _lay_over(config, read(path))
    return config


def _lay_over(config: dict[str, Any], overlay: Mapping[str, Any]) -> None:
    """Merge an overlay into a config: mappings are merged, lists and values are replaced."""
    for key, value in overlay.items():
        below = config.get(key)
        if isinstance(value, dict):
            config[key] = dict(below) if isinstance(below, dict) else {}
            _lay_over(config[key], value)
        else:
            config[key] = value


def _text(path: Path) -> str:
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}:{line} is not UTF-8 text ({error.reason}): save the file as UTF-8.") from error
    except OSError as error:
        raise InputError(refused_by_system(error)) from error


def _json(path: Path, text: str) -> dict[str, Any]:
    """The keys of a config file in JSON."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        if repeated := next((name for place, name in enumerate(names) if name in names[:place]), None):
            raise InputError(f"{path} has the key {repeated!r} twice in one object: keep one of them.")
        return dict(pairs)

    try:
        found = json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise InputError(f"{path}:{error.lineno} is not valid JSON ({error.msg}): fix it.") from error
    except RecursionError as error:
        raise InputError(f"{path} is nested too deeply: write it flat.") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} is not a JSON object: write the keys in braces.")
    return found


def _is_json(text: str) -> bool:
    """Whether a text is JSON, which allows tabs where YAML does not."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _malformed(path: Path, text: str, error: yaml.YAMLError) -> str:
    """What is wrong with a text that is not YAML, and the fix."""
    mark = getattr(error, "problem_mark", None)
    lines = text.splitlines()
    place = min(mark.line, len(lines) - 1) if mark else 0  # the error for an unclosed item is after the last line
    where, line = (f"{path}:{place + 1}", lines[place]) if mark and lines else (f"{path}", "")
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return f"{where} is indented with a tab: use spaces."
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or first_line(error)
    return f"{where} is not valid YAML ({problem}): check indentation, quotes, brackets and colons there."


def _problems(root: yaml.MappingNode, path: str) -> Iterator[str]:
    """Keys that occur twice or are not text, and anchors that contain themselves, in the order of the file."""
    pending: list[tuple[yaml.Node, str, frozenset[int]]] = [(root, "", frozenset())]
    seen: set[int] = set()
    while pending:
        node, key, above = pending.pop()
        if id(node) in above:
            yield (
                f"{path}:{node.start_mark.line + 1} has an anchor that contains itself, at {key}: write out the value."
            )
            return
        if id(node) in seen:
            continue
        seen.add(id(node))
        around = above | {id(node)}
        if isinstance(node, yaml.SequenceNode):
            pending += [(one, f"{key}[{place}]", around) for place, one in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            yield from _keys(node, key, path)
            pending += [(value, _joined(key, name.value), around) for name, value in node.value]


def _keys(node: yaml.MappingNode, above: str, path: str) -> Iterator[str]:
    """What is wrong with the keys of one mapping."""
    lines: dict[Any, int] = {}
    for name, _ in node.value:
        line = name.start_mark.line + 1
        if name.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"):
            yield f"{path}:{line} has a key that is not text, below {above or 'nothing'}: write it in quotes."
            return
        if name.value in lines:
            key = _joined(above, name.value)
            yield f"{path}:{line} has {key} again, which line {lines[name.value]} has already: keep one of them."
        lines[name.value] = line


def _joined(above: str, name: Any) -> str:
    return f"{above}.{name}" if above else str(name)
