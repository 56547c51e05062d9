"""A grid of shares of the tasks that are kept, among which the best mixture is looked for."""

from collections.abc import Iterator

Point = tuple[int, ...]
"""Parts of each task, of `steps` in all."""


def points(steps: int, tasks: int) -> list[Point]:
    """All ways to give `steps` equal parts to so many tasks, in order; none for 0 steps."""
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
    """A point as tables name it, tasks in the order of the candidates: 1/4 + 3/4."""
    return " + ".join(f"{part}/{sum(point)}" for part in point)
