"""How far long work is.

Reading rows tells a line on the terminal every half minute, also where a log has the rest (`Progress`). Work with a
model reports after every batch (`report`): as lines, as bars on a terminal (`as_bars`), or not at all (`in_silence`).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from headpatterns import cli as command_line

NOTICE = 30.0
"""Seconds between two lines; work that takes less has none."""


class Progress:
    """Counts what is done.

    Attributes:
        what: is counted, as the lines begin.
        total: how many there are, None where that is not known before.
        done: how many are done.
    """

    def __init__(self, what: str, total: int | None = None) -> None:
        """Start the clock."""
        self.what, self.total, self.done = what, total, 0
        self._begun = self._told = time.monotonic()

    def add(self, count: int = 1) -> None:
        """Count more, and say so where it is time to."""
        self.done += count
        now = time.monotonic()
        if now - self._told < NOTICE:
            return
        self._told = now
        of = f" of {self.total:,}" if self.total is not None else ""
        command_line.tell(f"{self.what}: {self.done:,}{of} rows, {self.done / (now - self._begun):,.0f} a second")


Reporter = Callable[[str, int, int, str], None]
"""Takes what is worked on, how much is done, how much there is, and the unit."""


def line(what: str, done: int, total: int, unit: str) -> None:
    """Print a line."""
    print(f"{what}: {done}/{total} {unit}", flush=True)


_reporter: Reporter = line


def report(what: str, done: int, total: int, unit: str) -> None:
    """Say how far work is, in the way of the block around it; by default in a line."""
    _reporter(what, done, total, unit)


@contextmanager
def _by(reporter: Reporter) -> Iterator[None]:
    global _reporter
    before, _reporter = _reporter, reporter
    try:
        yield
    finally:
        _reporter = before


@contextmanager
def in_silence() -> Iterator[None]:
    """Within the block nothing is said."""
    with _by(lambda what, done, total, unit: None):
        yield


@contextmanager
def as_bars() -> Iterator[None]:
    """Within the block each piece of work has a bar on standard error, with the time that is left."""
    from tqdm import tqdm

    bars: dict[str, Any] = {}

    def show(what: str, done: int, total: int, unit: str) -> None:
        bar = bars.get(what)
        # Work of one name may come in several parts, one after another.
        if bar is None or done < bar.n or total != bar.total:
            if bar is not None:
                bar.close()
            bar = bars[what] = tqdm(desc=what, total=total, unit=f" {unit}")
        bar.update(done - bar.n)

    try:
        with _by(show):
            yield
    finally:
        for bar in bars.values():
            bar.close()
