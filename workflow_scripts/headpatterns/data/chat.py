"""Conversations as a model reads them, by the tokenizer's own chat template, and the parts that the assistant writes.

A template is a program that prints a conversation. It does not say where the assistant's turns are in the printed text.
To find a turn, the template is run again: once with the turn's text replaced by a mark, and once up to the turn, with
the generation prompt (`add_generation_prompt`). A model has to write the text after the generation prompt, up to the
token that ends the turn.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headpatterns.data import seam
from headpatterns.data.chat_files import DEFAULT, no_default
from headpatterns.data.conversations import ASSISTANT, SYSTEM, Message, exchange
from headpatterns.errors import InputError, first_line

MARK = "\ue0f0answer\ue0f1"
"""Replaces the text of a turn: its private-use characters occur at the start or end of no text."""

TODAY = {
    "%d": "26",
    "%b": "Jul",
    "%B": "July",
    "%m": "07",
    "%Y": "2024",
    "%y": "24",
    "%H": "00",
    "%M": "00",
    "%S": "00",
}
"""The date that templates get as today's date. It is fixed, so that a config gives the same tokens on every day."""

Span = tuple[int, int]


@dataclass(frozen=True)
class Written:
    """The part that the assistant writes in one turn, as positions in the text of the conversation.

    Attributes:
        start: end of the generation prompt.
        said: end of the text of the turn.
        end: end of the marker that ends the turn; `said` if the template prints no such marker.
    """

    start: int
    said: int
    end: int


@dataclass(frozen=True)
class Read:
    """A conversation in tokens.

    Attributes:
        ids: the whole printed text, with BOS if the tokenizer puts it before texts.
        turns: position of the first token of each of the assistant's turns, and the position after its last one.
        closing: tokens that end the last of these turns.
        straddling: whether the first token of a turn also contains the end of the text before it.
    """

    ids: list[int]
    turns: tuple[Span, ...]
    closing: int
    straddling: bool


def read(tokenizer: Any, ids: Sequence[str], conversations: Sequence[Sequence[Message]]) -> list[Read]:
    """Conversations in tokens, in order; `ids` are the names of samples in errors.

    Raises:
        InputError: the tokenizer has no template, or one that fails, leaves a turn out, or prints the assistant's
            turns in a form in which they cannot be found; or as `seam.encoded`.
    """
    specials = _specials(tokenizer)
    found = [_found(tokenizer, id, messages, specials) for id, messages in zip(ids, conversations, strict=True)]
    places = [sorted({place for turn in turns for place in (turn.start, turn.said, turn.end)}) for _, turns in found]
    texts = [text for text, _ in found]
    prefixes = [text[:place] for text, cuts in zip(texts, places, strict=True) for place in cuts]
    encoded = seam.encoded(tokenizer, [*texts, *prefixes])
    before = iter(encoded[len(texts) :])
    read = []
    for id, (text, turns), cuts, tokens in zip(ids, found, places, encoded, strict=False):
        at = {cut: seam.response_start(tokenizer, id, text[:cut], text[cut:], next(before), tokens) for cut in cuts}
        spans = tuple((at[turn.start][0], at[turn.end][0]) for turn in turns)
        said, shared = at[turns[-1].said]
        straddling = any(at[turn.start][1] for turn in turns)
        read.append(Read(tokens, spans, spans[-1][1] - said - shared, straddling))
    return read


def prompt_ids(tokenizer: Any, id: str, messages: Sequence[Message]) -> list[int]:
    """The tokens after which the answer to a conversation is generated, the same as in training.

    Raises:
        InputError: as `read`.
    """
    return seam.encoded(tokenizer, [_asked(tokenizer, id, messages)])[0]


def closing(tokenizer: Any) -> int:
    """The token that ends a turn, at which generation stops.

    Raises:
        InputError: as `read`.
    """
    [one] = read(tokenizer, ["of two words"], [exchange("Question?", "Answer.")])
    return one.ids[one.turns[-1][1] - 1]


def printed(tokenizer: Any, id: str, messages: Sequence[Message], opened: bool = False) -> str:
    """The text that the template prints for a conversation; if `opened`, with the generation prompt.

    Raises:
        InputError: there is no template, it is not valid, or it refuses the conversation.
    """
    import jinja2

    if not tokenizer.chat_template:
        raise InputError(without(_name(tokenizer)))
    template = default(tokenizer)
    try:
        text: str = tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            chat_template=_on_one_day(template),
            tokenize=False,
            add_generation_prompt=opened,
        )
    except jinja2.TemplateSyntaxError as error:
        raise InputError(
            f"the chat template in {_name(tokenizer)} is not valid (line {error.lineno}: {first_line(error)}): "
            "correct it, or give another template (models.NAME.chat_template)."
        ) from error
    except Exception as error:  # whatever a template does
        raise _refused(tokenizer, id, messages, error) from error
    return text


def default(tokenizer: Any) -> str:
    """The template that prints conversations: the only one, or the one with the name `DEFAULT`.

    Raises:
        InputError: the tokenizer has templates with names, and none is the default.
    """
    found: str | dict[str, str] = tokenizer.chat_template
    if isinstance(found, str):
        return found
    if DEFAULT not in found:
        raise InputError(no_default(_name(tokenizer), list(found)))
    return found[DEFAULT]


def without(place: Path | str) -> str:
    """The message about a tokenizer without chat template, in a folder or a GGUF file."""
    return (
        f"the tokenizer in {place} has no chat template, as is usual for base models: give the model one "
        "(models.NAME.chat_template, or the file chat_template.jinja in its folder), or use another prompt_template."
    )


def _refused(tokenizer: Any, id: str, messages: Sequence[Message], error: Exception) -> InputError:
    what, fix = "fails on", "correct the row, or give another template (models.NAME.chat_template)"
    if messages[0]["role"] == SYSTEM and _is_printed(tokenizer, messages[1:]):
        what = "refuses the system turn of"
        fix = "remove the system turns from the rows, or give a template that prints them (models.NAME.chat_template)"
    return InputError(f"the chat template in {_name(tokenizer)} {what} sample '{id}' ({first_line(error)}): {fix}.")


def _is_printed(tokenizer: Any, messages: Sequence[Message]) -> bool:
    try:
        tokenizer.apply_chat_template([dict(message) for message in messages], tokenize=False)
    except Exception:  # whatever a template does
        return False
    return True


def _on_one_day(template: str) -> str:
    """A template that prints the fixed date instead of today's date."""
    if "strftime_now" not in template:
        return template
    replaced = "".join(f" | replace('{code}', '{value}')" for code, value in TODAY.items())
    return f"{{%- macro strftime_now(format) -%}}{{{{ format{replaced} }}}}{{%- endmacro -%}}{template}"


def _asked(tokenizer: Any, id: str, messages: Sequence[Message]) -> str:
    """The conversation with the generation prompt; blanks at its end belong to the answer, as always (`seam`)."""
    return printed(tokenizer, id, messages, opened=True).rstrip(seam.BLANKS)


def _found(
    tokenizer: Any, id: str, messages: Sequence[Message], specials: re.Pattern[str]
) -> tuple[str, list[Written]]:
    """The printed text of a conversation, and the parts that the assistant writes."""
    text = printed(tokenizer, id, messages)
    _check_complete(tokenizer, id, messages, text)
    places = [place for place, message in enumerate(messages) if message["role"] == ASSISTANT]
    spans = [_said(tokenizer, id, messages, place, text) for place in places]
    last = _start(tokenizer, id, messages, places[-1], text, spans[-1])
    between = text[last : spans[-1][0]]
    ending = _ending(specials, text[spans[-1][1] :])
    if not ending:
        raise InputError(
            f"sample '{id}': the chat template in {_name(tokenizer)} ends the assistant's turn with "
            f"{text[spans[-1][1] :]!r}, which is not a single token and cannot teach a model to stop: give a "
            "template that ends the turn with a token such as EOS (models.NAME.chat_template)."
        )
    turns = []
    for place, (begun, said) in zip(places, spans, strict=True):
        start = last if place == places[-1] else _start(tokenizer, id, messages, place, text, (begun, said), between)
        if not text[start:said].strip():
            raise _unlike(tokenizer, id, place, "does not print it")
        turns.append(Written(start, said, said + _length(_ending(specials, text[said:]), ending)))
    return text, turns


def _check_complete(tokenizer: Any, id: str, messages: Sequence[Message], text: str) -> None:
    """Refuse a template that leaves out a turn that is not the assistant's."""
    for place, message in enumerate(messages):
        escaped = message["content"].strip().replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
        if message["role"] != ASSISTANT and message["content"].strip() not in text and escaped not in text:
            raise _unlike(tokenizer, id, place, f"leaves it out (its role is {message['role']})")


def _said(tokenizer: Any, id: str, messages: Sequence[Message], place: int, text: str) -> Span:
    """The span of the text of a turn, even if the template prints only a part of it; its start is a lower bound."""
    turns = [{**message, "content": MARK} if n == place else message for n, message in enumerate(messages)]
    marked = printed(tokenizer, id, turns)
    before, _, after = marked.partition(MARK)
    if marked.count(MARK) != 1 or not text.endswith(after) or len(before) + len(after) > len(text):
        raise _unlike(
            tokenizer, id, place, "prints other turns differently because of it, or does not print it exactly once"
        )
    said = len(text) - len(after)
    return (len(before) if text.startswith(before) else said), said


def _start(
    tokenizer: Any, id: str, messages: Sequence[Message], place: int, text: str, span: Span, between: str | None = None
) -> int:
    """Where a model starts to write a turn: after the conversation up to it and the generation prompt.

    A template may print earlier turns differently when more turns follow; for example, it may print the system turn
    within the last question. The turn then starts like the last turn, where `between` is printed between the generation
    prompt and the text of the turn.
    """
    asked = _asked(tokenizer, id, messages[:place])
    begun, said = span
    if text.startswith(asked) and len(asked) <= said:
        own = text[len(asked) : begun]
        # The model writes what the template prints here, but only if the template has a generation prompt.
        if own.strip() and asked == printed(tokenizer, id, messages[:place]).rstrip(seam.BLANKS):
            what = f"prints {own!r} before it, but not when it asks a model for an answer (add_generation_prompt)"
            raise _unlike(tokenizer, id, place, what)
        return len(asked)
    if between is None:
        raise _unlike(
            tokenizer,
            id,
            place,
            f"prints the text before it differently when it asks a model for an answer ({asked[-20:]!r})",
        )
    if between.strip() or begun == said or not text[:begun].endswith(between):
        raise _unlike(tokenizer, id, place, "prints the text before it differently when another turn follows")
    return begun - len(between)


def _specials(tokenizer: Any) -> re.Pattern[str]:
    """An expression that matches the special tokens in texts, except those of white space."""
    added = {str(token) for token in tokenizer.added_tokens_decoder.values()} | set(tokenizer.all_special_tokens)
    names = sorted(filter(str.strip, added), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, names)) or "(?!)")


def _ending(specials: re.Pattern[str], text: str) -> list[str]:
    """The special tokens at the start of a text; the first one includes the white space before it."""
    blank = len(text) - len(text.lstrip())
    found, place = [], blank
    while one := specials.match(text, place):
        found.append(one.group())
        place = one.end()
    return [text[:blank] + found[0], *found[1:]] if found else []


def _length(found: Sequence[str], ending: Sequence[str]) -> int:
    """Number of characters that end a turn in the same way as the last turn."""
    return sum(len(one) for one in _common(found, ending))


def _common(found: Sequence[str], ending: Sequence[str]) -> Iterator[str]:
    for one, other in zip(found, ending, strict=False):
        if one.strip() != other.strip():
            return
        yield one


def _unlike(tokenizer: Any, id: str, place: int, what: str) -> InputError:
    return InputError(
        f"the labels of sample '{id}' cannot be determined: for turn {place + 1}, the chat template in "
        f"{_name(tokenizer)} {what}; leave the row out, or give another template (models.NAME.chat_template)."
    )


def _name(tokenizer: Any) -> str:
    return tokenizer.name_or_path or type(tokenizer).__name__
