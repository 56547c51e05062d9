"""A cache for analyses that read the same patterns many times, each time in another way.

Nothing is kept after the block of `remembering` ends, so a file that has changed is read again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from headpatterns.studies.reading import Reading

Given = ParamSpec("Given")
Result = TypeVar("Result")


@dataclass
class Memory:
    """Results by function and arguments.

    Attributes:
        small: results of every call.
        large: results of calls with the latest reading of patterns only.
        reading: the latest reading.
    """

    small: dict[Any, Any] = field(default_factory=dict)
    large: dict[Any, Any] = field(default_factory=dict)
    reading: Reading | None = None


_memory: ContextVar[Memory | None] = ContextVar("memory", default=None)


@contextmanager
def remembering() -> Iterator[None]:
    """Keep the results of remembered functions until the block ends; callers must not write to these results."""
    token = _memory.set(Memory())
    try:
        yield
    finally:
        _memory.reset(token)


def remembered(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """A function whose results are small; they are kept by its arguments."""

    @wraps(function)
    def found(*given: Given.args, **named: Given.kwargs) -> Result:
        memory = _memory.get()
        return function(*given, **named) if memory is None else _kept(memory.small, function, given, named)

    return found


def remembered_of_one_reading(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """A function whose results are large; they are kept until patterns are read in another way.

    Its results depend neither on what Eq. 3 regresses nor on whether Eq. 3 has an intercept.
    """

    @wraps(function)
    def found(*given: Given.args, **named: Given.kwargs) -> Result:
        memory = _memory.get()
        if memory is None:
            return function(*given, **named)
        plain = tuple(_of_patterns(one) for one in given)
        named_plain = {key: _of_patterns(one) for key, one in named.items()}
        reading = next((one for one in (*plain, *named_plain.values()) if isinstance(one, Reading)), Reading())
        if reading != memory.reading:
            memory.large.clear()
            memory.reading = reading
        return _kept(memory.large, function, plain, named_plain)

    return found


def _of_patterns(given: Any) -> Any:
    """A reading without the choices that apply after patterns are averaged; anything else unchanged."""
    return replace(given, change="difference", intercept=False) if isinstance(given, Reading) else given


def _kept(known: dict[Any, Any], function: Callable[..., Result], given: Any, named: dict[str, Any]) -> Result:
    key = (function, given, tuple(sorted(named.items())))
    if key not in known:
        known[key] = function(*given, **named)
    result: Result = known[key]
    return result
