"""Conversations: an instruction is made from the first exchange of one, or from all of its turns."""

from collections.abc import Mapping
from typing import Any

from headpatterns.data import conversations
from headpatterns.data.adapters.adapter import Option
from headpatterns.data.records import Instruction, Row, RowError
from headpatterns.data.texts import joined, missing, trimmed

ROLES = {"system": "system", "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}
MARKS = {"user": "User", "assistant": "Assistant"}

FIRST, ALL = "first", "all"
FIRST_OF_CHAT, CHAT = "first of chat", "chat"

TURNS = {"turns": Option(None, str, (FIRST, ALL))}
"""The part of a conversation to use: its `first` exchange, or its last answer after `all` turns before it.

By default it is the first exchange or, if a chat template prints conversations, all of it.
"""


def resolved(options: Mapping[str, Any], chat: bool) -> dict[str, Any]:
    """Options of an adapter, with the value of `turns` replaced by the part of a conversation to use."""
    if "turns" not in options:
        return dict(options)
    given = options["turns"]
    which = (FIRST_OF_CHAT if given == FIRST else CHAT) if chat else given or FIRST
    return {**options, "turns": which}


def instruction(row: Row, turns: Any, which: str) -> Instruction:
    """The instruction of a row's conversation, by the resolved option `turns`; the column `system` is put before it.

    Raises:
        RowError: as `first_exchange`, `last_answer` or `conversations.whole`.
    """
    beside = row.fields.get("system")
    if which in (CHAT, FIRST_OF_CHAT):
        if not conversations.missing_or_empty(row.fields.get("tools")):
            raise RowError("row with tools, which no chat template gets")
        messages = conversations.of(turns, beside)
        return of_messages(conversations.first(messages) if which == FIRST_OF_CHAT else messages)
    return Instruction(*(last_answer if which == ALL else first_exchange)(turns, beside))


def of_messages(messages: tuple[conversations.Message, ...]) -> Instruction:
    """The instruction that is a whole conversation."""
    prompt, response = conversations.as_text(messages)
    return Instruction(prompt, response, messages=messages)


def first_exchange(turns: Any, beside: Any = None) -> tuple[str, str]:
    """Prompt and response of the first user turn and the assistant turn that answers it.

    `turns` is a list of `{from, value}` or `{role, content}`; the content is text or parts of text. A system turn at
    the start is put before the prompt, with an empty line between them, and so is a system text `beside` the turns.
    Later turns are left out, because they would need turn markers that the prompt templates do not have.

    Raises:
        RowError: there is no such exchange, or a turn is empty or not text.
    """
    before, spoken = _spoken(turns, beside)
    prompt = _said(spoken[0][1], "first question")
    return "\n\n".join([*before, prompt]), _answer(spoken[1][1], "first answer")


def last_answer(turns: Any, beside: Any = None) -> tuple[str, str]:
    """All turns before the last answer as the prompt, and that answer; for one exchange the same as `first_exchange`.

    Each turn follows the mark of its role, and empty lines separate turns. A last user turn without answer is left out.

    Raises:
        RowError: there is no exchange at the start, a turn is empty, or roles do not alternate.
    """
    before, spoken = _spoken(turns, beside)
    spoken = spoken[: len(spoken) // 2 * 2]
    if len(spoken) == 2:
        return first_exchange(turns, beside)
    roles = [role for role, _ in spoken]
    if roles != ["user", "assistant"] * (len(spoken) // 2):
        raise RowError("turns of user and assistant do not alternate")
    said = [f"{MARKS[role]}: {_said(content, 'turn')}" for role, content in spoken[:-1] if role]
    return "\n\n".join([*before, *said]), _answer(spoken[-1][1], "last answer")


def _spoken(turns: Any, beside: Any) -> tuple[list[str], list[tuple[str | None, Any]]]:
    """The system texts at the start, each once, and role and content of the other turns."""
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise RowError("conversation is not a list of turns")
    spoken = [(_role(turn), _first(turn, "value", "content")) for turn in turns]
    systems = [beside, *([spoken.pop(0)[1]] if spoken and spoken[0][0] == "system" else [])]
    if [role for role, _ in spoken[:2]] != ["user", "assistant"]:
        raise RowError("conversation does not start with a question and its answer")
    before = [trimmed(joined(system, "system")) for system in systems]
    return list(dict.fromkeys(filter(None, before))), spoken


def _first(turn: dict[str, Any], *names: str) -> Any:
    """The value of the first key that a turn fills; in a table of mixed forms, rows have the keys of all forms."""
    return next((turn[name] for name in names if not missing(turn.get(name))), None)


def _role(turn: dict[str, Any]) -> str | None:
    return ROLES.get(str(_first(turn, "from", "role")).lower())


def _answer(content: Any, name: str) -> str:
    text = joined(content, name)
    if missing(text):
        raise RowError(f"empty {name}")
    return text


def _said(content: Any, name: str) -> str:
    return trimmed(_answer(content, name))
