"""RefGPT: dialogues about a reference text; their turns are marked in one text, or listed."""

import re
from collections.abc import Mapping
from typing import Any

from headpatterns.data.adapters import turns
from headpatterns.data.adapters.adapter import Adapter
from headpatterns.data.records import Instruction, Row, value
from headpatterns.data.texts import trimmed

# <user> … <assistant> … as released, <Human 1>:… <Assistant 1>:… as its generator writes it.
MARK = re.compile(r"<(user|human|assistant)(?:\s*\d+)?>\s*[:：]?", re.I)
LENGTH_REQUEST = re.compile(r"^\s*[(（](?:字数要求|word count)[^)）]*[)）]", re.I)
BLANKS = " \t\u00a0\u3000"
FRAME = re.compile(r"</?(?:start|end)_chat>", re.I)


def convert(row: Row, options: Mapping[str, Any]) -> Instruction:
    """The first exchange of the dialogue, or all of it; the reference text is not shown.

    Option: `turns` (see `turns.TURNS`).
    """
    dialogue = value(row, "dialogue")
    if isinstance(dialogue, list) and all(isinstance(turn, str) for turn in dialogue):
        dialogue = "\n".join(dialogue)
    said = marked_turns(dialogue) if isinstance(dialogue, str) else dialogue
    return turns.instruction(row, said, options["turns"])


def marked_turns(dialogue: str) -> list[dict[str, str]]:
    """The turns of a marked text, without the requests for length that the generator put before some of them."""
    pieces = MARK.split(FRAME.sub("", dialogue))
    spoken = zip(pieces[1::2], pieces[2::2], strict=True)
    return [{"role": role, "content": _said(LENGTH_REQUEST.sub("", content))} for role, content in spoken]


def _said(content: str) -> str:
    """The text after a mark, without the layout of the marked text; further lines keep their indentation."""
    return trimmed(content.lstrip(BLANKS))


ADAPTER = Adapter(convert, options=turns.TURNS)
