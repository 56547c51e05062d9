"""Conversations: the first exchange of one is an instruction, or all of its turns are."""

from typing import Any

from headpatterns.data.adapters.adapter import Option
from headpatterns.data.records import Row, RowError
from headpatterns.data.texts import joined, missing, trimmed

ROLES = {"system": "system", "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}
MARKS = {"user": "User", "assistant": "Assistant"}

TURNS = {"turns": Option("first", str, ("first", "all"))}
"""What becomes of a conversation: its `first` exchange (default), or its last answer after `all` turns before it."""


def instruction(row: Row, turns: Any, which: str) -> tuple[str, str]:
    """Prompt and response of a row's conversation, as the option `turns` says; its column `system` goes before."""
    beside = row.fields.get("system")
    return last_answer(turns, beside) if which == "all" else first_exchange(turns, beside)


def first_exchange(turns: Any, beside: Any = None) -> tuple[str, str]:
    """Prompt and response of the first user turn and the assistant turn that answers it.

    `turns` is a list of `{from, value}` or `{role, content}`, the content text or parts of text. A system turn in front
    goes before the prompt, an empty line between, and so does a system text `beside` the turns. Later turns are left
    out: they would need turn markers that the prompt templates do not have.

    Raises:
        RowError: no such exchange, or an empty turn, or one that is not text.
    """
    before, spoken = _spoken(turns, beside)
    prompt = _said(spoken[0][1], "first question")
    return "\n\n".join([*before, prompt]), _answer(spoken[1][1], "first answer")


def last_answer(turns: Any, beside: Any = None) -> tuple[str, str]:
    """All turns before the last answer as the prompt, and that answer; of one exchange the same as `first_exchange`.

    Turns stand apart by empty lines, each after the mark of its role. What the user says last, unanswered, is left out.

    Raises:
        RowError: no exchange in the beginning, an empty turn, or roles that do not alternate.
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
    """The system texts in front, each once, and role and content of the other turns."""
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise RowError("conversation is not a list of turns")
    spoken = [(_role(turn), _first(turn, "value", "content")) for turn in turns]
    systems = [beside, *([spoken.pop(0)[1]] if spoken and spoken[0][0] == "system" else [])]
    if [role for role, _ in spoken[:2]] != ["user", "assistant"]:
        raise RowError("conversation does not start with a question and its answer")
    before = [trimmed(joined(system, "system")) for system in systems]
    return list(dict.fromkeys(filter(None, before))), spoken


def _first(turn: dict[str, Any], *names: str) -> Any:
    """The first of some keys that a turn fills: rows of different forms in one table have the keys of all."""
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
