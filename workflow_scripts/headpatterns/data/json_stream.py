"""JSON of any length, read one value at a time. Of a list, memory holds only one item and a piece of the text.

The decoder is that of Python's `json`. It gets a piece of the text, or a longer one if the piece ends within a value.
So values and errors are the same as with `json.loads`.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO

PIECE = 2**20
"""Characters that are read at once."""

CUT = 16
"""Characters at the end of a piece in which an error may only mean that the piece ends: in a number, or in `false`."""

BLANKS = re.compile(r"[ \t\n\r]*")


def loads(text: str) -> Any:
    """Like `json.loads`, but a number with too many digits for Python becomes text.

    Raises:
        json.JSONDecodeError: the text is not JSON.
        RecursionError: it is nested too deeply.
    """
    return _first_of(lambda decoder: decoder.decode(text))


def _first_of(decode: Callable[[json.JSONDecoder], Any]) -> Any:
    try:
        return decode(DECODER)
    except json.JSONDecodeError:
        raise
    except ValueError:  # a number with too many digits
        return decode(WITH_LONG_NUMBERS)


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) < sys.get_int_max_str_digits() else digits


DECODER, WITH_LONG_NUMBERS = json.JSONDecoder(), json.JSONDecoder(parse_int=_whole)


class Stream:
    """A text in JSON, read from start to end; values are the same as with `loads`."""

    def __init__(self, file: TextIO) -> None:
        """Start at the current position of `file`."""
        self._file = file
        self._piece, self._place, self._lines, self._ended = "", 0, 0, False

    def begins(self, character: str) -> bool:
        """Whether this character comes next, after white space."""
        return not self.is_over() and self._piece[self._place] == character

    def is_over(self) -> bool:
        """Whether nothing but white space is left."""
        while True:
            self._place = _behind_blanks(self._piece, self._place)
            if self._place < len(self._piece):
                return False
            if self._ended:
                return True
            self._read_on()

    def value(self) -> Any:
        """The next value.

        Raises:
            json.JSONDecodeError: there is no value; its `lineno` counts from the start of the text.
            RecursionError: it is nested too deeply.
        """
        return self._next(_value)

    def items(self) -> Iterator[Any]:
        """The items of the list that comes next, as they are read.

        Raises:
            json.JSONDecodeError: the next value is not a list, or as `value`.
            RecursionError: as `value`.
        """
        self._place += 1
        more = not self.begins("]")
        if not more:
            self._place += 1
        while more:
            item, more = self._next(_item)
            yield item

    def _next(self, scan: Callable[[str, int], tuple[Any, int]]) -> Any:
        """The result of `scan` here; it is called again with a longer piece if the piece may end within a value."""
        while True:
            try:
                found, end = scan(self._piece, self._place)
            except json.JSONDecodeError as error:
                unfinished = error.msg.startswith("Unterminated string") or error.pos > len(self._piece) - CUT
                if self._ended or not unfinished:
                    error.lineno += self._lines
                    raise
            else:
                if self._ended or end < len(self._piece):
                    self._place = end
                    return found
            self._read_on()

    def _read_on(self) -> None:
        """Extend the unused rest of the piece by at least the same amount of text."""
        self._lines += self._piece.count("\n", 0, self._place)
        rest = self._piece[self._place :]
        more = self._file.read(max(PIECE, len(rest)))
        self._piece, self._place, self._ended = rest + more, 0, not more


def _behind_blanks(text: str, place: int) -> int:
    found = BLANKS.match(text, place)
    return found.end() if found else place


def _value(text: str, place: int) -> tuple[Any, int]:
    begin = _behind_blanks(text, place)
    found: tuple[Any, int] = _first_of(lambda decoder: decoder.raw_decode(text, begin))
    return found


def _item(text: str, place: int) -> tuple[tuple[Any, bool], int]:
    """An item of a list, whether others follow, and the position after the comma or bracket."""
    item, end = _value(text, place)
    end = _behind_blanks(text, end)
    if text[end : end + 1] not in (",", "]"):
        raise json.JSONDecodeError("Expecting ',' delimiter", text, end)
    return (item, text[end] == ","), end + 1
