"""The broken inputs of tests/bad_inputs: what is broken, how to make it, what reads it, and what the message says."""

import functools
from dataclasses import dataclass, field
from typing import Any

import yaml
from project import PROJECT

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
FOLDER = PROJECT / "tests/bad_inputs"


@dataclass(frozen=True)
class Case:
    """One broken input.

    Attributes:
        name: the name of the test.
        broken: what is wrong, in words.
        made: the steps that make it (`broken_files`).
        run: the entry point, by a name that test_bad_inputs.py defines, with its value and options.
        place: what the sentence must name in full; {here} stands for the folder of the input.
        fix: words that the same sentence must contain.
        kind: the table that lists the case.
        machine: what the machine lacks (`broken_machines`), or environment variables of a separate process.
    """

    name: str
    broken: str
    run: dict[str, Any]
    place: str
    fix: tuple[str, ...]
    kind: str
    made: list[dict[str, Any]] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=dict)

    def named(self, here: Any) -> str:
        """The place, with the folder filled in."""
        return self.place.replace("{here}", str(here))

    def hints(self, here: Any) -> tuple[str, ...]:
        """The words of the fix, with the folder filled in."""
        return tuple(word.replace("{here}", str(here)) for word in self.fix)


@functools.cache
def cases(kind: str) -> list[Case]:
    """The cases of one table."""
    listed = yaml.load((FOLDER / f"{kind}.yaml").read_text(encoding="utf-8"), Loader=LOADER)
    return [Case(kind=kind, **{**one, "fix": tuple(one["fix"])}) for one in listed]


KINDS = tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def number() -> int:
    """The number of broken inputs, which the documentation states."""
    return sum(len(cases(kind)) for kind in KINDS)
