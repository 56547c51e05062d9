"""How long the jobs that are left of a run will take: the plan's estimates, corrected by what jobs took so far."""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from headpatterns.planning.estimates import Estimate

Key = tuple[str, str]
"""A job by rule and name."""


class Pace(NamedTuple):
    """How many times as long as planned jobs take.

    Attributes:
        of_rules: by rule, where one of its jobs is done.
        overall: of all done jobs together, for the other rules; 1 where none is.
        jobs: how many jobs are done whose times are known.
    """

    of_rules: Mapping[str, float]
    overall: float
    jobs: int

    def of(self, rule: str) -> float:
        """The factor of a rule's jobs."""
        return self.of_rules.get(rule, self.overall)


def pace(estimates: Iterable[Estimate], taken: Mapping[Key, float]) -> Pace:
    """What the seconds that jobs have taken say of those that are left.

    Args:
        estimates: of all jobs; those of unknown length are passed over.
        taken: seconds of the jobs that are done.
    """
    pairs: dict[str, list[tuple[float, float]]] = {}
    for one in estimates:
        key = (one.job.rule, one.job.name)
        if one.seconds and key in taken:
            pairs.setdefault(one.job.rule, []).append((one.seconds, taken[key]))
    every = [pair for of_rule in pairs.values() for pair in of_rule]
    return Pace({rule: _ratio(of_rule) for rule, of_rule in pairs.items()}, _ratio(every), len(every))


def _ratio(pairs: Sequence[tuple[float, float]]) -> float:
    planned, found = (sum(column) for column in zip(*pairs, strict=True)) if pairs else (1.0, 1.0)
    return found / planned


@dataclass(frozen=True)
class Task:
    """What is left of a job.

    Attributes:
        number: its name among the `needs` of others.
        seconds: that it still takes.
        uses: how much it takes of what jobs share.
        needs: numbers of the tasks that come first; those that are no task are done.
        running: whether it runs already.
    """

    number: int
    seconds: float
    uses: Mapping[str, int]
    needs: frozenset[int] = frozenset()
    running: bool = False


def makespan(tasks: Sequence[Task], capacity: Mapping[str, int]) -> float:
    """Seconds until all tasks are done, if each starts as soon as there is room for it, the longest first.

    A task that uses more than there is takes all of it, as Snakemake has it.
    """
    missing = {task.number: set(task.needs) & {one.number for one in tasks} for task in tasks}
    waiting = sorted(tasks, key=lambda task: (not task.running, -task.seconds))
    free, now = dict(capacity), 0.0
    ends: list[tuple[float, int, Task]] = []
    while waiting or ends:
        for task in [one for one in waiting if not missing[one.number]]:
            if task.running or all(free[name] >= used for name, used in _used(task, capacity)):
                waiting.remove(task)
                heapq.heappush(ends, (now + task.seconds, task.number, task))
                for name, used in _used(task, capacity):
                    free[name] -= used
        if not ends:
            break
        now, number, ended = heapq.heappop(ends)
        for name, used in _used(ended, capacity):
            free[name] += used
        for others in missing.values():
            others.discard(number)
    return now


def _used(task: Task, capacity: Mapping[str, int]) -> list[tuple[str, int]]:
    return [(name, min(used, capacity[name])) for name, used in task.uses.items() if name in capacity]
