"""The broken inputs that tests/bad_inputs lists: what is broken, how it is made, who reads it, and what is said."""

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
        name: of the test.
        broken: what is wrong, in words.
        made: the steps that make it (`broken_files`).
        run: the entry point, which is a key of the test's own, with its options.
        place: what the sentence must name as a whole; {here} is the folder that the input lies in.
        fix: words that must stand in the same sentence.
        kind: the table that it is in.
        machine: what the machine lacks (`broken_machines`), or variables of a program of its own.
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
        """The place with the folder in it."""
        return self.place.replace("{here}", str(here))

    def hints(self, here: Any) -> tuple[str, ...]:
        """The words of the fix with the folder in them."""
        return tuple(word.replace("{here}", str(here)) for word in self.fix)


@functools.cache
def cases(kind: str) -> list[Case]:
    """The cases of one table."""
    listed = yaml.load((FOLDER / f"{kind}.yaml").read_text(encoding="utf-8"), Loader=LOADER)
    return [Case(kind=kind, **{**one, "fix": tuple(one["fix"])}) for one in listed]


KINDS = tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def number() -> int:
    """How many broken inputs there are, which the documentation says."""
    return sum(len(cases(kind)) for kind in KINDS)
