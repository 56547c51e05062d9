"""Conversations: the first exchange of one is an instruction, or all of its turns are."""

from typing import Any

from headpatterns.data.adapters.adapter import Option
from headpatterns.data.records import RowError, as_text

ROLES = {"system": "system", "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}
MARKS = {"user": "User", "assistant": "Assistant"}

TURNS = {"turns": Option("first", str, ("first", "all"))}
"""What becomes of a conversation: its `first` exchange (default), or its last answer after `all` turns before it."""


def instruction(turns: Any, which: str) -> tuple[str, str]:
    """Prompt and response of a conversation, as the option `turns` says."""
    return last_answer(turns) if which == "all" else first_exchange(turns)


def first_exchange(turns: Any) -> tuple[str, str]:
    """Prompt and response of the first user turn and the assistant turn that answers it.

    `turns` is a list of `{from, value}` or `{role, content}`. A system turn in front goes before the prompt, an empty
    line between. Later turns are left out: they would need turn markers that the prompt templates do not have.

    Raises:
        RowError: no such exchange.
    """
    system, spoken = _spoken(turns)
    prompt = as_text(spoken[0][1], "first question")
    return "\n\n".join(filter(None, [system, prompt])), as_text(spoken[1][1], "first answer")


def last_answer(turns: Any) -> tuple[str, str]:
    """All turns before the last answer as the prompt, and that answer; of one exchange the same as `first_exchange`.

    Turns stand apart by empty lines, each after the mark of its role. What the user says last, unanswered, is left out.

    Raises:
        RowError: no exchange in the beginning, an empty turn, or roles that do not alternate.
    """
    system, spoken = _spoken(turns)
    spoken = spoken[: len(spoken) // 2 * 2]
    if len(spoken) == 2:
        return first_exchange(turns)
    roles = [role for role, _ in spoken]
    if roles != ["user", "assistant"] * (len(spoken) // 2):
        raise RowError("turns of user and assistant do not alternate")
    said = [f"{MARKS[role]}: {as_text(content, 'turn')}" for role, content in spoken[:-1] if role]
    return "\n\n".join(filter(None, [system, *said])), as_text(spoken[-1][1], "last answer")


def _spoken(turns: Any) -> tuple[str, list[tuple[str | None, Any]]]:
    """The system turn in front, empty without one, and role and content of the others."""
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise RowError("conversation is not a list of turns")
    spoken = [(_role(turn), turn.get("value", turn.get("content"))) for turn in turns]
    system = ""
    if spoken and spoken[0][0] == "system":
        system = str(spoken.pop(0)[1] or "").strip()
    if [role for role, _ in spoken[:2]] != ["user", "assistant"]:
        raise RowError("conversation does not start with a question and its answer")
    return system, spoken


def _role(turn: dict[str, Any]) -> str | None:
    return ROLES.get(str(turn.get("from", turn.get("role"))).lower())
