"""Conversations in one form: an optional system turn, then turns of user, assistant and tools, with the assistant last.

Rows have the fields of LLaMA-Factory and of the hub's chat datasets: `from` and `value`, or `role` and `content`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from headpatterns.data.texts import RowError, joined, missing, trimmed

Message = dict[str, str]
"""One turn: its `role`, one of ROLES, and its `content`."""

SYSTEM, USER, ASSISTANT, TOOL = ROLES = ("system", "user", "assistant", "tool")

NAMES = {
    "system": SYSTEM,
    "developer": SYSTEM,
    "human": USER,
    "user": USER,
    "gpt": ASSISTANT,
    "assistant": ASSISTANT,
    "model": ASSISTANT,
    "function_call": ASSISTANT,
    "tool": TOOL,
    "observation": TOOL,
    "function": TOOL,
}
"""Names of roles in rows. A tool call that is written as text is a turn of the assistant."""

FIELDS = ("messages", "conversations")
"""Fields of rows that contain turns."""

REASONING = ("reasoning_content", "reasoning", "thinking")
"""Names in rows of an assistant's reasoning before its answer."""

THOUGHT, ANSWERED = "<think>\n", "\n</think>\n\n"
"""Marks around the reasoning in the text of a turn, as models that reason write them."""

BEFORE = {USER: (SYSTEM, ASSISTANT, ""), ASSISTANT: (USER, TOOL), TOOL: (ASSISTANT, TOOL)}
"""Roles that may precede each role; the empty one is the start."""

MARKS = {USER: "User", ASSISTANT: "Assistant", TOOL: "Tool"}


def whole(turns: Any, beside: Any = None) -> tuple[Message, ...]:
    """The messages of a row's turns, with a system text `beside` them at the start.

    Last turns without an answer are left out, and so is an empty system turn. The assistant's reasoning becomes text
    before its answer. Content is text as it is written, or a list of parts of text.

    Raises:
        RowError: there are no turns, or no assistant; a role is unknown or in the wrong order; a turn is empty or not
            text; a tool call is not written as text.
    """
    if not isinstance(turns, list) or not all(isinstance(turn, Mapping) for turn in turns):
        raise RowError("conversation is not a list of turns")
    said = [_message(turn, place) for place, turn in enumerate(turns, start=1)]
    systems = [trimmed(joined(beside, "system"))]
    if said and said[0]["role"] == SYSTEM:
        systems.append(said.pop(0)["content"])
    while said and said[-1]["role"] != ASSISTANT:
        said.pop()
    if not said:
        raise RowError("conversation without a turn of the assistant")
    if said[0]["role"] == ASSISTANT:
        raise RowError("conversation that begins with the assistant")
    before = "\n\n".join(dict.fromkeys(filter(None, systems)))
    messages = (*([{"role": SYSTEM, "content": before}] if before else []), *said)
    check(messages)
    return messages


def check(messages: Sequence[Message]) -> None:
    """Refuse messages in the wrong order, and empty messages other than the first system turn.

    Raises:
        RowError: naming the turn, counted from 1, and the reason.
    """
    earlier = ""
    for place, message in enumerate(messages, start=1):
        role = message["role"]
        if role == SYSTEM and place > 1:
            raise RowError(f"turn {place} is a system turn, but only the first turn may be one")
        if role != SYSTEM and earlier not in BEFORE[role]:
            raise RowError(
                f"turn {place} ({role}) follows a turn of {earlier or 'no role'}, so the turns do not alternate"
            )
        if missing(message["content"]):
            raise RowError(f"empty turn of {role}")
        earlier = role


def exchange(prompt: str, response: str) -> tuple[Message, ...]:
    """A question and its answer."""
    return ({"role": USER, "content": prompt}, {"role": ASSISTANT, "content": response})


def first(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages up to the first answer."""
    end = next(place for place, message in enumerate(messages, start=1) if message["role"] == ASSISTANT)
    return tuple(messages[:end])


def as_text(messages: Sequence[Message]) -> tuple[str, str]:
    """All turns before the last answer as one text, by which prompts are compared, and the last answer.

    For one question, the text is the system turn and the question. Each of several turns follows the mark of its role.
    """
    *before, last = messages
    spoken = [message for message in before if message["role"] != SYSTEM]
    said = [message["content"] for message in spoken]
    if len(spoken) > 1:
        said = [f"{MARKS[message['role']]}: {message['content']}" for message in spoken]
    systems = [message["content"] for message in before if message["role"] == SYSTEM]
    return "\n\n".join([*systems, *said]), last["content"]


def to_json(messages: Sequence[Message]) -> str:
    """Messages as text for a table; empty if there are no messages."""
    return json.dumps(list(messages), ensure_ascii=False) if messages else ""


def asked(text: str) -> tuple[Message, ...]:
    """Messages that end before an answer, from a text of `to_json`."""
    return tuple(json.loads(text))


def of(turns: Any, beside: Any = None) -> tuple[Message, ...]:
    """Like `whole`, for turns that may be JSON, such as the text of `to_json`.

    Raises:
        RowError: the text is not JSON, or as `whole`.
    """
    try:
        found = json.loads(turns) if isinstance(turns, str) else turns
    except ValueError as error:
        raise RowError("messages that are neither a list of turns nor the JSON of such a list") from error
    return whole(found, beside)


def _message(turn: Mapping[str, Any], place: int) -> Message:
    found = str(_first(turn, "from", "role")).lower()
    role = NAMES.get(found)
    if role is None:
        raise RowError(f"turn {place} has the unknown role {found}")
    if not missing_or_empty(turn.get("tool_calls")):
        raise RowError("a call of a tool that is not text (tool_calls)")
    content = joined(_first(turn, "value", "content"), f"turn of {role}")
    thought = trimmed(joined(_first(turn, *REASONING), f"reasoning of {role}")) if role == ASSISTANT else ""
    if role == ASSISTANT:
        return {"role": role, "content": f"{THOUGHT}{thought}{ANSWERED}{content}" if thought and content else content}
    return {"role": role, "content": trimmed(content)}


def missing_or_empty(found: Any) -> bool:
    """Whether a field is missing, or a list, mapping or text of a list without an entry."""
    return missing(found) or found in ([], {}, "[]", "{}")


def _first(turn: Mapping[str, Any], *names: str) -> Any:
    """The value of the first key that a turn fills; in a table of mixed forms, rows have the keys of all forms."""
    return next((turn[name] for name in names if not missing(turn.get(name))), None)
