"""CodeSearchNet, Python part: functions and their docstrings, used as a coding task."""

import ast
import re
import warnings
from collections.abc import Mapping
from typing import Any

from headpatterns.data.adapters.adapter import Adapter, Option
from headpatterns.data.records import Instruction, Row, RowError, Skipped, label, text, written

FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def convert(row: Row, options: Mapping[str, Any]) -> Instruction | Skipped:
    """The instruction asks for the function that a docstring describes; the response is the code without it.

    Option: `direction`, `to_code` (default) or `to_docstring`: the bare code is given, the docstring is the response.
    Rows of one repository form a group. The id is the function's address below github.com, where the row has one.
    """
    language = label(row, "language").lower() or "python"
    if language != "python":
        return Skipped(f"its language is {language}")
    docstring = text(row, "docstring", "func_documentation_string")
    name = text(row, "func_name")
    code = written(row, "code", "func_code_string")
    bare = without_docstring(code, docstring)
    # The gold answer of a text is the text itself.
    prompt, response = f"Write the Python function {name} that this docstring describes.\n\n{docstring}", bare
    if options["direction"] == "to_docstring":
        prompt, response = f"Write the docstring of the Python function {name}.\n\n{bare}", docstring
    return Instruction(
        prompt=prompt,
        response=response,
        answer=response,
        id=label(row, "url", "func_code_url").removeprefix("https://github.com/"),
        group=text(row, "repo", "repository_name"),
    )


def without_docstring(code: str, docstring: str) -> str:
    """`code`, one Python function, with its docstring removed and nothing else changed.

    Code that this Python cannot parse (much of the set is Python 2) is searched for the text of `docstring` instead.

    Raises:
        RowError: the docstring cannot be removed, or nothing would be left of the function.
    """
    code = code.replace("\r\n", "\n").replace("\r", "\n")
    statements = _body(code)
    if statements is None:
        return _without_literal(code, docstring)
    if not statements or not _is_text(statements[0]):
        return code
    if len(statements) == 1:
        raise RowError("function that has only a docstring")
    shorter = _without_statement(code, statements[0])
    left = _body(shorter)
    if left is None or list(map(ast.dump, left)) != list(map(ast.dump, statements[1:])):
        raise RowError("docstring that cannot be removed from the code")
    return shorter


def _body(code: str) -> list[ast.stmt] | None:
    """The statements of the function `code`; None if it does not parse."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's strings
            parsed = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if len(parsed) != 1 or not isinstance(parsed[0], FUNCTION):
        raise RowError("code is not one function")
    return parsed[0].body


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _without_statement(code: str, statement: ast.stmt) -> str:
    lines = code.split("\n")
    first, last = statement.lineno - 1, (statement.end_lineno or statement.lineno) - 1
    # ast counts columns in bytes of UTF-8.
    before = lines[first].encode()[: statement.col_offset].decode()
    after = lines[last].encode()[statement.end_col_offset :].decode().lstrip(" \t;")
    if before.strip() or (after and not after.startswith("#")):
        return "\n".join([*lines[:first], before + after, *lines[last + 1 :]])
    rest = lines[last + 1 :]
    while rest and not rest[0].strip():
        rest.pop(0)
    return "\n".join([*lines[:first], *rest])


def _without_literal(code: str, docstring: str) -> str:
    words = r"\s+".join(map(re.escape, docstring.split()))
    literal = re.compile(
        # The literal on its own lines, the empty lines that follow, and more code after it.
        rf"^[ \t]*[uUrRbB]{{0,2}}(\"\"\"|'''|\"|')\s*{words}\s*\1[ \t]*(?:#[^\n]*)?\n(?:[ \t]*\n)*(?=[ \t]*\S)",
        re.MULTILINE,
    )
    shorter, times = literal.subn("", code, count=1)
    if not times:
        raise RowError("code that cannot be parsed and does not show its docstring")
    return shorter


ADAPTER = Adapter(convert, options={"direction": Option("to_code", str, ("to_code", "to_docstring"))})
