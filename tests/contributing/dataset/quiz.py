"""QUIZ: short questions with one-word answers; raw and hub rows are the same."""

from collections.abc import Mapping
from typing import Any

from headpatterns.data.adapters.adapter import Adapter, Option
from headpatterns.data.records import Instruction, Row, Skipped, text


def convert(row: Row, options: Mapping[str, Any]) -> Instruction | Skipped:
    """The response is what is told, which is also the gold answer."""
    if text(row, "language") != options["language"]:
        return Skipped("another language")
    answer = text(row, "tell")
    return Instruction(prompt=text(row, "ask", "question"), response=answer, answer=answer)


ADAPTER = Adapter(convert, options={"language": Option("en", str)})
