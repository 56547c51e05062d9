"""A grid of shares of the kept tasks, which is searched for the best mixture."""

from collections.abc import Iterator

Point = tuple[int, ...]
"""The number of parts of each task, out of `steps` in all."""


def points(steps: int, tasks: int) -> list[Point]:
    """All ways to distribute `steps` equal parts over `tasks` tasks, in order; none for 0 steps."""
    return list(_parts(steps, tasks)) if steps else []


def _parts(steps: int, tasks: int) -> Iterator[Point]:
    if tasks == 1:
        yield (steps,)
        return
    for first in range(steps + 1):
        for rest in _parts(steps - first, tasks - 1):
            yield (first, *rest)


def shares(point: Point, tasks: int) -> list[float]:
    """Shares of the tasks at a point; where fewer were kept than it has, of these alone, alike where it gives none."""
    own = point[:tasks]
    total = sum(own)
    return [part / total if total else 1 / tasks for part in own]


def named(point: Point) -> str:
    """The name of a point in tables, with tasks in the order of the candidates: 1/4 + 3/4."""
    return " + ".join(f"{part}/{sum(point)}" for part in point)
