"""Conversations: the first exchange of one is an instruction."""

from typing import Any

from headpatterns.data.records import RowError, as_text

ROLES = {"system": "system", "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}


def first_exchange(turns: Any) -> tuple[str, str]:
    """Prompt and response of the first user turn and the assistant turn that answers it.

    `turns` is a list of `{from, value}` or `{role, content}`. A system turn in front goes before the prompt, an empty
    line between. Later turns are left out: they would need turn markers that the prompt templates do not have.

    Raises:
        RowError: no such exchange.
    """
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise RowError("conversation is not a list of turns")
    spoken = [(_role(turn), turn.get("value", turn.get("content"))) for turn in turns]
    system = ""
    if spoken and spoken[0][0] == "system":
        system = str(spoken.pop(0)[1] or "").strip()
    if [role for role, _ in spoken[:2]] != ["user", "assistant"]:
        raise RowError("conversation does not start with a question and its answer")
    prompt = as_text(spoken[0][1], "first question")
    return "\n\n".join(filter(None, [system, prompt])), as_text(spoken[1][1], "first answer")


def _role(turn: dict[str, Any]) -> str | None:
    return ROLES.get(str(turn.get("from", turn.get("role"))).lower())
