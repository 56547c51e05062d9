"""Conversations as a model reads them: the tokenizer's own chat template, and what of it the assistant writes.

A template is a program that prints a conversation. Where in the print the assistant's turns lie is not asked of it but
found: the template is run again with the turn's text replaced by a mark, and up to the turn, with what makes the model
answer (`add_generation_prompt`). What is behind that, up to the token that ends the turn, is what a model has to write.
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
"""Stands for the text of a turn: characters for private use, with which no text begins or ends."""

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
"""The day that templates are told it is, always the same one: the same config gives the same tokens on every day."""

Span = tuple[int, int]


@dataclass(frozen=True)
class Written:
    """What the assistant writes in one turn, as places in the text of the conversation.

    Attributes:
        start: behind what makes the model answer.
        said: behind the text of the turn.
        end: behind what ends the turn; `said` where the template prints nothing that does.
    """

    start: int
    said: int
    end: int


@dataclass(frozen=True)
class Read:
    """A conversation in tokens.

    Attributes:
        ids: all of what the template prints, and BOS where the tokenizer puts it before texts.
        turns: first token of each of the assistant's turns, and the place behind its last one.
        closing: tokens that end the last of these.
        straddling: whether a first token holds the end of what stands before the turn as well.
    """

    ids: list[int]
    turns: tuple[Span, ...]
    closing: int
    straddling: bool


def read(tokenizer: Any, ids: Sequence[str], conversations: Sequence[Sequence[Message]]) -> list[Read]:
    """Conversations in tokens, in order; `ids` are what samples are called in errors.

    Raises:
        InputError: the tokenizer has no template, or one that fails, leaves a turn out, or prints the assistant's
            turns in a way in which they cannot be found; or as `seam.encoded`.
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
    """The tokens behind which an answer to a conversation is generated, which are those that training shows.

    Raises:
        InputError: as `read`.
    """
    return seam.encoded(tokenizer, [_asked(tokenizer, id, messages)])[0]


def closing(tokenizer: Any) -> int:
    """The token that ends a turn, behind which nothing is to be generated.

    Raises:
        InputError: as `read`.
    """
    [one] = read(tokenizer, ["of two words"], [exchange("Question?", "Answer.")])
    return one.ids[one.turns[-1][1] - 1]


def printed(tokenizer: Any, id: str, messages: Sequence[Message], opened: bool = False) -> str:
    """What the template prints of a conversation; `opened`, with what makes the model answer.

    Raises:
        InputError: there is no template, it is no valid one, or it refuses the conversation.
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
    """The template of a tokenizer that conversations are printed with, which has no name where others have one.

    Raises:
        InputError: all of its templates have names.
    """
    found: str | dict[str, str] = tokenizer.chat_template
    if isinstance(found, str):
        return found
    if DEFAULT not in found:
        raise InputError(no_default(_name(tokenizer), list(found)))
    return found[DEFAULT]


def without(place: Path | str) -> str:
    """What is said of the tokenizer in a folder, or in a GGUF file, that has no chat template."""
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
    """A template that is not told the date of today: one and the same day is put in its place."""
    if "strftime_now" not in template:
        return template
    replaced = "".join(f" | replace('{code}', '{value}')" for code, value in TODAY.items())
    return f"{{%- macro strftime_now(format) -%}}{{{{ format{replaced} }}}}{{%- endmacro -%}}{template}"


def _asked(tokenizer: Any, id: str, messages: Sequence[Message]) -> str:
    """What makes the model answer; blanks at its end are left to the answer, as with every prompt (`seam`)."""
    return printed(tokenizer, id, messages, opened=True).rstrip(seam.BLANKS)


def _found(
    tokenizer: Any, id: str, messages: Sequence[Message], specials: re.Pattern[str]
) -> tuple[str, list[Written]]:
    """What a template prints of a conversation, and what of it the assistant writes."""
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
    """Refuse a template that leaves out what somebody else than the assistant says."""
    for place, message in enumerate(messages):
        escaped = message["content"].strip().replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
        if message["role"] != ASSISTANT and message["content"].strip() not in text and escaped not in text:
            raise _unlike(tokenizer, id, place, f"leaves it out (its role is {message['role']})")


def _said(tokenizer: Any, id: str, messages: Sequence[Message], place: int, text: str) -> Span:
    """Where the text of a turn lies, however much of it the template prints; its beginning is a lower bound."""
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
    """Where a model begins to write a turn: behind the conversation up to it, with what makes the model answer.

    A template may print what is said earlier otherwise once more is said, such as the system turn within the last
    question. The turn then begins as the last one does, of which `between` stands between the two.
    """
    asked = _asked(tokenizer, id, messages[:place])
    begun, said = span
    if text.startswith(asked) and len(asked) <= said:
        own = text[len(asked) : begun]
        # What the template prints itself is the model's to write, if the template makes it answer at all.
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
    """An expression of the tokens that stand for themselves in texts, but for those of white space."""
    added = {str(token) for token in tokenizer.added_tokens_decoder.values()} | set(tokenizer.all_special_tokens)
    names = sorted(filter(str.strip, added), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, names)) or "(?!)")


def _ending(specials: re.Pattern[str], text: str) -> list[str]:
    """The special tokens with which a text begins, the first one with the white space before it."""
    blank = len(text) - len(text.lstrip())
    found, place = [], blank
    while one := specials.match(text, place):
        found.append(one.group())
        place = one.end()
    return [text[:blank] + found[0], *found[1:]] if found else []


def _length(found: Sequence[str], ending: Sequence[str]) -> int:
    """Characters of what ends a turn, as far as it is what ends the last one."""
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
