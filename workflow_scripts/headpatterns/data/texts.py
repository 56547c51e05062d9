"""What text is: one answer for every adapter, for preparation, patterns, evaluation and the Python interface.

Missing is what is None, NaN, or text of nothing but white space. A number is its text (`0` is "0", `0.5` is "0.5").
Everything else (true and false, lists, mappings, bytes, dates, infinity) is no text and refused under the field's name,
as is text that is not valid Unicode (half a surrogate pair). White space stays unless a function says otherwise.
"""

import hashlib
import math
import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

KEY = 16
"""Bytes that tell texts apart."""

BLANK_LINES = re.compile(r"\A(?:[^\S\n]*\n)+")

MISSING_IN_PANDAS = ("NAType", "NaTType")
"""The types of its markers of missing values, which compare with nothing."""

PARTS_OF_TEXT = ("text", "input_text", "output_text")
"""What content in parts calls those that are text."""


class RowError(Exception):
    """This row cannot become an instruction; the message is the reason under which it is counted."""


def missing(found: Any) -> bool:
    """Whether a field is as good as absent: None, NaN, or text of nothing but white space."""
    if isinstance(found, str):
        return not found.strip()
    if found is None or type(found).__name__ in MISSING_IN_PANDAS:
        return True
    # A whole number may be too large for the float that math.isnan asks for.
    return found.is_nan() if isinstance(found, Decimal) else isinstance(found, Real) and bool(found != found)


def as_written(found: Any, name: str) -> str:
    """The text of a field as it is written, white space included; empty where it is missing.

    Raises:
        RowError: it is neither text nor a finite number, or not valid Unicode; `name` is what it is called there.
    """
    if missing(found):
        return ""
    if not isinstance(found, str) and not _is_number(found):
        raise RowError(f"{name} is not text")
    return valid(str(found))


def _is_number(found: Any) -> bool:
    if isinstance(found, bool) or not isinstance(found, Real | Decimal):
        return False
    return isinstance(found, Integral) or math.isfinite(found)


def valid(text: str) -> str:
    """The text itself.

    Raises:
        RowError: it is not valid Unicode.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RowError("text is not valid Unicode") from error
    return text


def normalised(text: str) -> str:
    """`text` as it is compared: compatibility forms (NFKC), case and white space are levelled."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def key(text: str) -> bytes:
    """A digest of `KEY` bytes that texts share which are the same once they are `normalised`."""
    return hashlib.blake2b(normalised(text).encode(), digest_size=KEY).digest()


def required(found: Any, name: str) -> str:
    """Like `as_written`, of a field that must not be missing.

    Raises:
        RowError: as there, or it is missing.
    """
    text = as_written(found, name)
    if not text:
        raise RowError(f"empty {name}")
    return text


def trimmed(text: str) -> str:
    """A text without what is only layout: white space behind it, empty lines in front, blanks before a single line.

    The first of several lines keeps its indentation, which may be that of code.
    """
    text = BLANK_LINES.sub("", text).rstrip()
    return text if "\n" in text else text.lstrip()


def joined(content: Any, name: str) -> str:
    """Like `as_written`, of content that may also be a list of parts of text, as chats have it: they are put together.

    A part is text or a mapping with `text` (or `value`); its `type`, where it has one, says that it is text.

    Raises:
        RowError: as there, or a part is something else, such as an image.
    """
    if not isinstance(content, list):
        return as_written(content, name)
    return "".join(_of_part(part, name) for part in content)


def _of_part(part: Any, name: str) -> str:
    if isinstance(part, str):
        return valid(part)
    kind = part.get("type") or "text" if isinstance(part, Mapping) else ""
    found = next((part[key] for key in ("text", "value") if isinstance(part.get(key), str)), None) if kind else None
    if kind not in PARTS_OF_TEXT or found is None:
        raise RowError(f"{name} has a part that is not text")
    return valid(found)
