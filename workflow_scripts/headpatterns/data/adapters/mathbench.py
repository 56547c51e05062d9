"""MathBench: school mathematics, as single choice (with options) and as cloze (only with an answer)."""

from collections.abc import Mapping
from typing import Any

from headpatterns.data.adapters.adapter import Adapter
from headpatterns.data.adapters.choices import OPTIONS, multiple_choice, position, resolve
from headpatterns.data.records import Instruction, Row, RowError, label, text, value
from headpatterns.data.texts import missing


def convert(row: Row, options: Mapping[str, Any]) -> Instruction:
    """A row with `options` is a choice with a letter as its answer; otherwise the answer itself is the response."""
    question = text(row, "question")
    topic = label(row, "topic")
    tags = (topic,) if topic else ()
    listed = row.fields.get("options")
    if missing(listed):
        answer = text(row, "answer")
        return Instruction(question, answer, answer=answer, tags=tags)
    if not isinstance(listed, list):
        raise RowError("options is not a list")
    return multiple_choice(question, listed, position(value(row, "answer"), first="A"), options, tags=tags)


ADAPTER = Adapter(convert, options=OPTIONS, resolve=resolve)
