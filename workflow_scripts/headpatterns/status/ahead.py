"""The time that the remaining jobs of a run will take: the plan's estimates, corrected by finished jobs."""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from headpatterns.planning.estimates import Estimate

Key = tuple[str, str]
"""A job by rule and name."""


class Pace(NamedTuple):
    """The ratio of the times of jobs to their planned times.

    Attributes:
        of_rules: by rule, if one of its jobs is finished.
        overall: of all finished jobs together, for the other rules; 1 if there is none.
        jobs: number of finished jobs whose times are known.
    """

    of_rules: Mapping[str, float]
    overall: float
    jobs: int

    def of(self, rule: str) -> float:
        """The factor of a rule's jobs."""
        return self.of_rules.get(rule, self.overall)


def pace(estimates: Iterable[Estimate], taken: Mapping[Key, float]) -> Pace:
    """The pace of the remaining jobs, from the seconds of finished jobs.

    Args:
        estimates: of all jobs; jobs of unknown length are ignored.
        taken: seconds of the finished jobs.
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
    """The remaining work of a job.

    Attributes:
        number: its name in the `needs` of others.
        seconds: remaining seconds.
        uses: its use of shared resources.
        needs: numbers of the tasks that come first; numbers without a task are finished.
        running: whether it already runs.
    """

    number: int
    seconds: float
    uses: Mapping[str, int]
    needs: frozenset[int] = frozenset()
    running: bool = False


def makespan(tasks: Sequence[Task], capacity: Mapping[str, int]) -> float:
    """Seconds until all tasks are finished, if each starts as soon as there is room for it, the longest first.

    A task that needs more than the capacity uses all of it, as in Snakemake.
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
