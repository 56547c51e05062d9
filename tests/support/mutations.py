"""Copies of values with a few parts dropped, renamed or replaced. Hypothesis draws the same ones in every run."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
from hypothesis import strategies as st

Place = tuple[str | int, ...]


def settings(examples: int) -> Callable[[Any], Any]:
    """Settings for the same examples in every run: without deadlines, and without examples from earlier runs."""
    return hypothesis.settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )


def paths(value: Any, above: Place = ()) -> Iterator[Place]:
    """The places of all parts of a value that consists of mappings and lists."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in below:
        yield (*above, key)
        yield from paths(one, (*above, key))


def mutated(
    data: st.DataObject, value: Any, replacements: st.SearchStrategy[Any], most: int = 2
) -> tuple[Any, list[Place]]:
    """A copy of a value in which up to `most` places are dropped, renamed or replaced, and these places."""
    changed, touched = copy.deepcopy(value), list[Place]()
    for _ in range(data.draw(st.integers(1, most))):
        places = list(paths(changed))
        if not places:
            break
        place = data.draw(st.sampled_from(places))
        touched.append(place)
        *above, last = place
        parent = changed
        for key in above:
            parent = parent[key]
        kind = data.draw(st.sampled_from(["replace", "drop", "rename", "replace"]))
        if kind == "replace":
            parent[last] = data.draw(replacements)
            continue
        taken = parent.pop(last)
        if kind == "rename" and isinstance(parent, dict):
            parent[f"{last}s"] = taken
    return changed, touched
