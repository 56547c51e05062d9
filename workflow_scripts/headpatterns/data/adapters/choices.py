"""Multiple choice, in one form for all datasets: the question, lettered options below it, and one as the response.

If the options are not listed, the prompt is the question alone and the response is a text. Evaluations by likelihood
often use this form: they compare the likelihoods of the options.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from headpatterns.data.adapters.adapter import Option
from headpatterns.data.records import Instruction, RowError, as_text
from headpatterns.data.texts import as_written
from headpatterns.errors import InputError

LETTERS = "ABCDEFGHIJ"

FORMS = {"letter_and_text": "{letter}. {text}", "letter": "{letter}", "text": "{text}"}
"""Forms of an option: `C. the text of the option`, `C`, or the text alone."""

OPTIONS = {"response": Option("letter_and_text", str, tuple(FORMS)), "listed": Option(True, bool)}
"""The form of the response, one of `FORMS`, and whether the prompt lists the options."""


def written(form: str, texts: Sequence[str]) -> list[str]:
    """Options in one of `FORMS`, in order."""
    return [FORMS[form].format(letter=letter, text=text) for letter, text in zip(LETTERS, texts, strict=False)]


def multiple_choice(
    question: str, texts: Sequence[Any], gold: int, options: Mapping[str, Any], **others: Any
) -> Instruction:
    """The instruction of a question whose option number `gold` (from 0) is right; `others` are further fields.

    Raises:
        RowError: there are fewer than two options, one is empty, or `gold` is the number of no option.
    """
    if not 2 <= len(texts) <= len(LETTERS):
        raise RowError(f"{len(texts)} options")
    if not 0 <= gold < len(texts):
        raise RowError("label out of range")
    choices = tuple(as_text(one, "option") for one in texts)
    listed = written("letter_and_text", choices) if options["listed"] else []
    return Instruction(
        prompt="\n".join([question, *listed]),
        response=written(options["response"], choices)[gold],
        choices=choices,
        answer=LETTERS[gold],
        **others,
    )


def resolve(options: dict[str, Any]) -> dict[str, Any]:
    """The options, checked against each other.

    Raises:
        InputError: a response has letters that no prompt lists.
    """
    if not options["listed"] and options["response"] != "text":
        raise InputError(
            f"The adapter options are listed: false and response: {options['response']}, but then no prompt shows "
            "the letters of the response: set response: text, or listed: true."
        )
    return options


def position(label: Any, first: str | int) -> int:
    """The position (from 0) of a label in the sequence A, B, C… or 1, 2, 3… or 0, 1, 2… that starts with `first`.

    Raises:
        RowError: there is no label, or it is not in that sequence.
    """
    label = as_written(label, "label").strip().removesuffix(".0")  # pandas writes it if some numbers are missing
    if not label:
        raise RowError("no gold label")
    if isinstance(first, str):
        if len(label) != 1 or label.upper() not in LETTERS:
            raise RowError("label is not a letter")
        return LETTERS.index(label.upper()) - LETTERS.index(first)
    try:
        return int(label) - first
    except ValueError as error:
        raise RowError("label is not a number") from error
