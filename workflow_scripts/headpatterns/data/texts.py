"""The definition of text, shared by all adapters, preparation, patterns, evaluation and the Python interface.

None, NaN and text of only white space count as missing. A number is its text (`0` is "0", `0.5` is "0.5"). Everything
else (true and false, lists, mappings, bytes, dates, infinity) is not text and is refused with the field's name. So is
text that is not valid Unicode (half a surrogate pair). White space is kept unless a function says otherwise.
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
"""Bytes of a key that distinguishes texts."""

BLANK_LINES = re.compile(r"\A(?:[^\S\n]*\n)+")

MISSING_IN_PANDAS = ("NAType", "NaTType")
"""The types of pandas' markers of missing values, which cannot be compared."""

PARTS_OF_TEXT = ("text", "input_text", "output_text")
"""Types of the parts that are text, in content that is a list of parts."""


class RowError(Exception):
    """This row cannot become an instruction; the message is the reason under which it is counted."""


def missing(found: Any) -> bool:
    """Whether a field counts as missing: None, NaN, or text of only white space."""
    if isinstance(found, str):
        return not found.strip()
    if found is None or type(found).__name__ in MISSING_IN_PANDAS:
        return True
    # A whole number may be too large for the float that math.isnan needs.
    return found.is_nan() if isinstance(found, Decimal) else isinstance(found, Real) and bool(found != found)


def as_written(found: Any, name: str) -> str:
    """The text of a field as it is written, white space included; empty if it is missing.

    Raises:
        RowError: it is neither text nor a finite number, or not valid Unicode; `name` is the field's name in the error.
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
    """`text` in the form in which it is compared: compatibility forms (NFKC), case and white space are normalised."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def key(text: str) -> bytes:
    """A digest of `KEY` bytes that is equal for texts that are the same after `normalised`."""
    return hashlib.blake2b(normalised(text).encode(), digest_size=KEY).digest()


def required(found: Any, name: str) -> str:
    """Like `as_written`, for a field that must not be missing.

    Raises:
        RowError: as there, or it is missing.
    """
    text = as_written(found, name)
    if not text:
        raise RowError(f"empty {name}")
    return text


def trimmed(text: str) -> str:
    """A text without layout: white space at its end, empty lines at its start, and blanks before a single line.

    The first of several lines keeps its indentation, because the text may be code.
    """
    text = BLANK_LINES.sub("", text).rstrip()
    return text if "\n" in text else text.lstrip()


def joined(content: Any, name: str) -> str:
    """Like `as_written`, for content that may also be a list of parts of text, as in chats; the parts are joined.

    A part is text or a mapping with `text` (or `value`); its `type`, if it has one, must be a type of text.

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
