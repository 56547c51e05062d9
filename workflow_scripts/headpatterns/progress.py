"""Progress of long work.

Reading rows prints a line on the terminal every half minute, even if a log has the rest (`Progress`). Work with a model
reports after every batch (`report`): as lines, as bars on a terminal (`as_bars`), or not at all (`in_silence`).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from headpatterns import cli as command_line

NOTICE = 30.0
"""Seconds between two lines; shorter work prints none."""


class Progress:
    """Counts finished items.

    Attributes:
        what: the counted items, as the start of the lines.
        total: their number, None if it is not known before.
        done: number of finished items.
    """

    def __init__(self, what: str, total: int | None = None) -> None:
        """Start the clock."""
        self.what, self.total, self.done = what, total, 0
        self._begun = self._told = time.monotonic()

    def add(self, count: int = 1) -> None:
        """Count further items, and print a line if it is time to."""
        self.done += count
        now = time.monotonic()
        if now - self._told < NOTICE:
            return
        self._told = now
        of = f" of {self.total:,}" if self.total is not None else ""
        command_line.tell(f"{self.what}: {self.done:,}{of} rows, {self.done / (now - self._begun):,.0f} a second")


Reporter = Callable[[str, int, int, str], None]
"""Takes the name of the work, the finished amount, the total amount, and the unit."""


def line(what: str, done: int, total: int, unit: str) -> None:
    """Print a line."""
    print(f"{what}: {done}/{total} {unit}", flush=True)


_reporter: Reporter = line


def report(what: str, done: int, total: int, unit: str) -> None:
    """Report the progress of work in the form of the enclosing block; by default in a line."""
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
    """Within the block nothing is reported."""
    with _by(lambda what, done, total, unit: None):
        yield


@contextmanager
def as_bars() -> Iterator[None]:
    """Within the block each piece of work has a bar on standard error, with the remaining time."""
    from tqdm import tqdm

    bars: dict[str, Any] = {}

    def show(what: str, done: int, total: int, unit: str) -> None:
        bar = bars.get(what)
        # Work with one name may have several consecutive parts.
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
