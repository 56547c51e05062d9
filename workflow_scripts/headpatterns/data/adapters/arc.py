"""ARC: science questions; options are nested in the question (raw) or are lists next to it (hub)."""

from collections.abc import Mapping
from typing import Any

from headpatterns.data.adapters.adapter import Adapter
from headpatterns.data.adapters.choices import OPTIONS, multiple_choice, resolve
from headpatterns.data.records import Instruction, MissingFieldError, Row, RowError, as_text, label, text, value


def convert(row: Row, options: Mapping[str, Any]) -> Instruction:
    """Options labelled A to E or 1 to 5 get letters in their order; the answer is the letter of the correct option."""
    question = value(row, "question")
    if isinstance(question, dict):
        stem, listed = question.get("stem"), question.get("choices")
    else:
        stem, listed = question, value(row, "choices")
    labels, texts = _columns(listed)
    key = text(row, "answerKey")
    if key not in labels:
        raise RowError("answerKey is not one of the labels")
    return multiple_choice(as_text(stem, "question"), texts, labels.index(key), options, id=label(row, "id"))


def _columns(listed: Any) -> tuple[list[str], list[Any]]:
    """Labels and texts of choices in either form: a list of {text, label}, or {text: [...], label: [...]}."""
    if listed is None:
        raise MissingFieldError(("choices",))
    if isinstance(listed, list) and all(isinstance(one, dict) for one in listed):
        listed = {name: [one.get(name) for one in listed] for name in ("label", "text")}
    if not isinstance(listed, dict) or not {"label", "text"} <= listed.keys():
        raise RowError("choices without text and label")
    if not all(isinstance(listed[name], list) for name in ("label", "text")):
        raise RowError("choices without lists of text and label")
    return [as_text(one, "label") for one in listed["label"]], listed["text"]


ADAPTER = Adapter(convert, options=OPTIONS, resolve=resolve)
