"""How far long work is: a line on the terminal every half minute, also where a log has the rest."""

import time

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
