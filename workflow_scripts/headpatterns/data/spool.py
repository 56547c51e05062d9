"""Instructions on disk: the keys that splits need stay in memory, and the texts are in an unnamed temporary file.

A million instructions then take a third of a gigabyte of memory, for texts of any length.
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, overload

from headpatterns.data.conversations import Message
from headpatterns.data.records import Instruction
from headpatterns.data.texts import KEY

IN_MEMORY = 2**24
"""Bytes of texts that are kept in memory before a file is made."""


class Spool:
    """The texts of instructions, in the order in which they were added."""

    def __init__(self, folder: Path | None = None) -> None:
        """Keep them below `folder` or, without one, in the folder of temporary files; the file has no name."""
        place = None if folder is None else str(folder)
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(IN_MEMORY, dir=place)  # noqa: SIM115 - as long as this
        self._end, self._reads = 0, False

    def add(self, one: Instruction) -> "Entry":
        """Append an instruction."""
        if self._reads:
            self._file.seek(self._end)
            self._reads = False
        fields = (one.prompt, one.response, one.tags, one.choices, one.answer, one.messages)
        place = self._end
        self._end += self._file.write(json.dumps(fields, ensure_ascii=False).encode() + b"\n")
        return Entry(one.id, one.group, one.content_key, place, self)

    def read(self, place: int) -> tuple[str, str, tuple[str, ...], tuple[str, ...], str, tuple[Message, ...]]:
        """Prompt, response, tags, choices, answer and messages of the instruction at a place."""
        self._file.seek(place)
        self._reads = True
        prompt, response, tags, choices, answer, messages = json.loads(self._file.readline())
        return prompt, response, tuple(tags), tuple(choices), answer, tuple(messages)


@dataclass(frozen=True, slots=True)
class Entry:
    """The part of an instruction that splits depend on; `place` of `spool` has the rest."""

    id: str
    group: str
    content_key: bytes
    place: int
    spool: Spool

    @property
    def prompt_key(self) -> bytes:
        """As an instruction has it."""
        return self.content_key[:KEY]

    @property
    def prompt(self) -> str:
        """Read from the spool."""
        return self.instruction().prompt

    @property
    def response(self) -> str:
        """Read from the spool."""
        return self.instruction().response

    def instruction(self) -> Instruction:
        """The whole instruction."""
        prompt, response, tags, choices, answer, messages = self.spool.read(self.place)
        return Instruction(prompt, response, self.id, tags, choices, answer, self.group, messages)


class Stored(Sequence[Instruction]):
    """Instructions that are read on demand; equal if all instructions are equal."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        """Take the instructions of these entries, in their order."""
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, place: int) -> Instruction: ...

    @overload
    def __getitem__(self, place: slice) -> "Stored": ...

    def __getitem__(self, place: int | slice) -> "Instruction | Stored":
        if isinstance(place, slice):
            return Stored(self._entries[place])
        return self._entries[place].instruction()

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]
