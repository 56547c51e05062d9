"""JSON of any length, read a value at a time: of a list, no more than an item lies in memory and a piece of the text.

The decoder is that of Python's `json`. It gets a piece of the text, and a longer one where that ends within a value, so
that values, and what is said of a text that is no JSON, are those of `json.loads`.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO

PIECE = 2**20
"""Characters that are read at once."""

CUT = 16
"""Characters before the end of a piece in which an error may only say that it ends: in a number, or within `false`."""

BLANKS = re.compile(r"[ \t\n\r]*")


def loads(text: str) -> Any:
    """As `json.loads`, with a number of so many digits that Python makes none of it as text.

    Raises:
        json.JSONDecodeError: it is no JSON.
        RecursionError: it is nested too deeply.
    """
    return _first_of(lambda decoder: decoder.decode(text))


def _first_of(decode: Callable[[json.JSONDecoder], Any]) -> Any:
    try:
        return decode(DECODER)
    except json.JSONDecodeError:
        raise
    except ValueError:  # a number of too many digits
        return decode(WITH_LONG_NUMBERS)


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) < sys.get_int_max_str_digits() else digits


DECODER, WITH_LONG_NUMBERS = json.JSONDecoder(), json.JSONDecoder(parse_int=_whole)


class Stream:
    """A text in JSON, read from its beginning to its end; values are made as by `loads`."""

    def __init__(self, file: TextIO) -> None:
        """Begin where `file` stands."""
        self._file = file
        self._piece, self._place, self._lines, self._ended = "", 0, 0, False

    def begins(self, character: str) -> bool:
        """Whether this comes next, white space left out."""
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
            json.JSONDecodeError: there is none; its `lineno` counts from the beginning of the text.
            RecursionError: it is nested too deeply.
        """
        return self._next(_value)

    def items(self) -> Iterator[Any]:
        """The items of the list that comes next, as they are read.

        Raises:
            json.JSONDecodeError: it is no list, as `value`.
            RecursionError: likewise.
        """
        self._place += 1
        more = not self.begins("]")
        if not more:
            self._place += 1
        while more:
            item, more = self._next(_item)
            yield item

    def _next(self, scan: Callable[[str, int], tuple[Any, int]]) -> Any:
        """What `scan` finds here; it is asked again with a longer piece where the piece may end within it."""
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
        """Take more of the text behind what is not used of the piece, of which at least as much is added."""
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
    """An item of a list with whether others follow, and the place behind the comma or bracket."""
    item, end = _value(text, place)
    end = _behind_blanks(text, end)
    if text[end : end + 1] not in (",", "]"):
        raise json.JSONDecodeError("Expecting ',' delimiter", text, end)
    return (item, text[end] == ","), end + 1
