"""What the code says to people: its strings that are prose, and the texts of rules, captions, templates and claims.

A string is prose if it has three words or more and is not code. Docstrings are left out: they are for readers of the
code. A value that is filled in is written `…` and is one word.
"""

import ast
import functools
import re
from collections.abc import Iterator
from typing import NamedTuple

import yaml
from project import PROJECT

PACKAGE = PROJECT / "workflow_scripts"
WORLD = PACKAGE / "headpatterns/data/embedded"
"""Its texts are training data."""

VALUE = "…"
FEWEST_WORDS = 3
CODE = re.compile(
    r"^\w+\[.*\]( \| .*)?$"  # types
    r"|datum\.|indexof\(|\[k\]|toNumber|isValid|labels\.|titles\."  # expressions of Vega
    r"|^(python|srun|env|exec|default-src) |^\\|^\n?(import|def) |<[a-z/]"
)
DATA = {"attribution/check.py": "Nobody knows who wrote it", "data/templates.py": "Below is an instruction"}
"""Texts that a model reads, by module: we must not change their words."""


class Text(NamedTuple):
    """A text with its place: the path below the project, and the line."""

    path: str
    line: int
    words: str


@functools.cache
def said() -> tuple[Text, ...]:
    """Every text of the code, in the order of the files."""
    found = []
    for path in sorted([*PACKAGE.rglob("*"), *(PROJECT / "rules").iterdir()]):
        read = READERS.get(path.suffix)
        if read and not path.is_relative_to(WORLD) and not path.name.endswith(".css.j2"):
            name = str(path.relative_to(PROJECT))
            for line, words in read(path.read_text(encoding="utf-8")):
                if is_prose(words) and not any(name.endswith(end) and text in words for end, text in DATA.items()):
                    found.append(Text(name, line, " ".join(words.split())))
    return tuple(found)


def is_prose(text: str) -> bool:
    """Whether a string is words for people."""
    return len(re.findall(r"[^\W\d_]{2,}", text)) >= FEWEST_WORDS and " " in text.strip() and not CODE.search(text)


def of_code(source: str) -> Iterator[tuple[int, str]]:
    """The strings of a module that are neither docstrings nor in a type's brackets, with their lines."""
    tree = ast.parse(source)
    left_out: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            left_out.add(id(node.value))
        elif isinstance(node, ast.JoinedStr):  # its parts are read with it
            left_out.update(id(part) for part in node.values)
        elif isinstance(node, ast.Subscript):
            left_out.update(id(part) for part in ast.walk(node.slice))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in left_out:
            yield node.lineno, _flat(node)


def _flat(node: ast.expr) -> str:
    """The text of a string, with `VALUE` for each value that is filled in; for anything else, `VALUE`."""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_flat, node.values))
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else VALUE


def of_rules(source: str) -> Iterator[tuple[int, str]]:
    """The strings of a file of rules, read line by line, without commands and docstrings."""
    for number, line in enumerate(source.splitlines(), start=1):
        if '"""' not in line and "--" not in line and not line.lstrip().startswith("#"):
            yield from ((number, re.sub(r"\{[^{}]*\}", VALUE, text)) for text in re.findall(r'"([^"\n]*)"', line))


def of_caption(source: str) -> Iterator[tuple[int, str]]:
    """The text of a caption, without the marks of reStructuredText."""
    yield 1, re.sub(r"`([^`<]*) <[^>]*>`_", r"\1", source).replace("*", "").replace("``", "")


def of_template(source: str) -> Iterator[tuple[int, str]]:
    """The text between the tags of a template, with `VALUE` for each value that is filled in."""
    for number, line in enumerate(source.splitlines(), start=1):
        text = re.sub(r"\{%.*?%\}|</?(strong|em|code|a|span)\b[^>]*>", "", line)
        text = re.sub(r"\{\{.*?\}\}", VALUE, text).replace("&nbsp;", " ")
        for part in re.split(r"<[^>]*>", text):
            yield number, part


def of_claims(source: str) -> Iterator[tuple[int, str]]:
    """Statements and reasons. The key `computed` is left out: it must stay as it is in the tables of published/."""
    for claim in yaml.compose(source).value:
        for key, value in claim.value:
            if key.value in ("statement", "chosen"):
                yield value.start_mark.line + 1, value.value


READERS = {".py": of_code, ".smk": of_rules, ".rst": of_caption, ".j2": of_template, ".yaml": of_claims}
