"""SGSM and EGSM (MATHWELL): word problems solved by a commented Python function."""

import re
from collections.abc import Mapping
from typing import Any

from headpatterns.data import programs
from headpatterns.data.adapters.adapter import Adapter
from headpatterns.data.records import Instruction, MissingFieldError, Row, RowError, label, text, written
from headpatterns.data.texts import trimmed

QUESTION_AND_SOLUTION = re.compile(r"\s*Question:\s*(.+?)\s*\n\s*Solution:[^\S\n]*(?=\S|\n)(.+)", re.S)


def convert(row: Row, options: Mapping[str, Any]) -> Instruction:
    """Rows have `question` and `solution` (and `answer`), or both in `output`; the response is the program."""
    if "question" in row.fields:
        question, program = text(row, "question"), written(row, "solution")
    elif "output" in row.fields:
        parts = QUESTION_AND_SOLUTION.fullmatch(text(row, "output"))
        if not parts:
            raise RowError("output without Question: and Solution:")
        question, program = parts[1], trimmed(parts[2])
    else:
        raise MissingFieldError(("question", "output"))
    if "def solution" not in program:
        raise RowError("solution without a function solution()")
    return Instruction(
        prompt=f"Write a Python function solution() that solves this problem.\n\n{question}",
        response=program,
        answer=label(row, "answer") or _returned(program),
    )


def _returned(program: str) -> str:
    """The gold answer: what a program returns, or the program itself if that cannot be computed."""
    found = programs.value(program)
    return program if found is None else str(found)


ADAPTER = Adapter(convert)
