r"""MATH: competition problems with a boxed answer in the solution; one JSON file each, JSON lines, or hub rows."""

import re
from collections.abc import Mapping
from typing import Any

from headpatterns.data.adapters.adapter import Adapter
from headpatterns.data.records import Instruction, Row, RowError, text, written

BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])\s*")


def convert(row: Row, options: Mapping[str, Any]) -> Instruction:
    """The response is the solution, and the answer the content of its last box; tags are the subject and the level."""
    solution = written(row, "solution")
    tags = (text(row, "type", "subject"), text(row, "level"))
    return Instruction(prompt=text(row, "problem"), response=solution, answer=boxed(solution), tags=tags)


def boxed(solution: str) -> str:
    r"""The content of the last `\boxed{…}` (or `\fbox{…}`), with balanced braces; `\boxed 7` contains the next word.

    Raises:
        RowError: there is no box, it is empty, or its braces are not closed.
    """
    boxes = list(BOX.finditer(solution))
    if not boxes:
        raise RowError("solution without a boxed answer")
    start = boxes[-1].end()
    content = _braced(solution, start) if solution[start : start + 1] == "{" else _word(solution[start:])
    if not content.strip():
        raise RowError("empty box")
    return content.strip()


def _word(rest: str) -> str:
    return re.split(r"[\s$]", rest, maxsplit=1)[0]


def _braced(solution: str, start: int) -> str:
    depth = 0
    escaped = False
    for position in range(start, len(solution)):
        character = solution[position]
        if not escaped:
            depth += {"{": 1, "}": -1}.get(character, 0)
        escaped = character == "\\" and not escaped
        if depth == 0:
            return solution[start + 1 : position]
    raise RowError("box whose braces never close")


ADAPTER = Adapter(convert)
