"""HellaSwag: the ending that continues a text; the label is a number in the raw files and text on the hub."""

import re
from collections.abc import Mapping
from typing import Any

from headpatterns.data.adapters.adapter import Adapter
from headpatterns.data.adapters.choices import OPTIONS, multiple_choice, position, resolve
from headpatterns.data.records import Instruction, Row, RowError, as_text, label, text, value

QUESTION = "Which ending continues the text best?"
REQUEST = "Continue the text."


def convert(row: Row, options: Mapping[str, Any]) -> Instruction:
    """The prompt is the activity, the context and, if they are listed, four lettered endings.

    Rows of one source document form a group.
    """
    endings = value(row, "endings")
    if not isinstance(endings, list):
        raise RowError("endings is not a list")
    context = without_markers(text(row, "ctx"))
    activity, number, split = label(row, "activity_label"), label(row, "ind"), label(row, "split")
    asked = QUESTION if options["listed"] else REQUEST
    return multiple_choice(
        f"{asked}\n{activity}: {context}" if activity else f"{asked}\n{context}",
        [without_markers(as_text(ending, "option")) for ending in endings],
        position(value(row, "label"), first=0),
        options,
        id=f"hellaswag-{split}-{number}" if split and number else "",
        group=label(row, "source_id"),
    )


def without_markers(passage: str) -> str:
    """`passage` without WikiHow's [header], [title], [step] and [substeps]: a title starts a new sentence."""
    passage = re.sub(r"(?<=[.!?:;,])\s*\[title\]", " ", passage)
    passage = re.sub(r"\s*\[title\]", ". ", passage)
    passage = re.sub(r"\[(?:header|step|substeps)\]", " ", passage)
    return re.sub(r"^\. ", "", " ".join(passage.split()))


ADAPTER = Adapter(convert, options=OPTIONS, resolve=resolve)
