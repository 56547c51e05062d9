"""The origins of the parts of an experiment, and whether they agree: commit, versions, machine and settings.

The settings that determine a result are parameters of its job, so a change of the config makes it again. A change of
code or of the machine does not. If parts were made before and after such a change, the experiment is mixed, and the
report says so.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from headpatterns.io import read_json

MIXED = "mixed origins"
"""The key of the provenance with sentences about differences between results that should have the same origin."""

SHOWN = 3
"""Paths that are listed for each origin; for the others, only their number is given."""

CHECKPOINTS, PATTERNS, ABLATIONS, ANALYSIS = "checkpoints", "patterns", "ablations", "analysis"

EVERYWHERE = {
    "commit": "commits",
    "versions": "package versions",
    "processor": "processors",
}
"""Properties that all parts should share, by their key in the provenance, and their names in the plural."""

OF_A_KIND = {
    "cpu_capability": "vector instructions of PyTorch",
    "threads": "numbers of threads",
    "device": "devices",
    "recipe": "recipes",
    "reading": "ways to take patterns",
}
"""Properties that the parts of one kind, and the runs of one group, should share."""

READING = ("reduction", "reductions", "max_length", "dtype")
OF_RUN = ("seed", "checkpoint_steps")
"""Keys of a recipe in which the runs of a group may differ."""


class Part(NamedTuple):
    """A result with its known origin.

    Attributes:
        kind: `CHECKPOINTS`, `PATTERNS`, `ABLATIONS` or `ANALYSIS`.
        group: of runs with the same recipe; empty for an analysis.
        path: of the result, below the folder of the experiment.
        origin: keys of `EVERYWHERE` and `OF_A_KIND` with their values as text.
    """

    kind: str
    group: str
    path: str
    origin: Mapping[str, str]


def parts(runs: Sequence[Path], measured: Mapping[str, Iterable[Path]], logs: Iterable[Path]) -> Iterator[Part]:
    """The parts of an experiment.

    Args:
        runs: run.json of each run, {experiment}/checkpoints/{model}/{run}/run.json.
        measured: folders with the JSON files of `PATTERNS` and `ABLATIONS`, {experiment}/{kind}/{model}/{run}/...
        logs: of analyses; their first line is the provenance of their job.
    """
    for file in runs:
        content = read_json(file)
        recipe = {key: value for key, value in content.get("recipe", {}).items() if key not in OF_RUN}
        yield _part(CHECKPOINTS, file.parent.name, _below(file.parent, CHECKPOINTS), {**content, "recipe": recipe})
    for kind, folders in measured.items():
        for folder in folders:
            for file in sorted(folder.glob("*.json")):
                content = read_json(file)
                reading = {key: content[key] for key in READING if key in content}
                yield _part(kind, "", _below(file, kind), {**content, "reading": reading})
    for log in logs:
        if content := first_line(log):
            yield _part(ANALYSIS, "", log.stem, content)


def _below(path: Path, kind: str) -> str:
    """The part of a path from the folder of its kind on."""
    return "/".join(path.parts[len(path.parts) - 1 - path.parts[::-1].index(kind) :])


def _part(kind: str, run: str, path: str, content: Mapping[str, Any]) -> Part:
    known = [key for key in (*EVERYWHERE, *OF_A_KIND) if key in content]
    return Part(kind, run.partition(".")[0], path, {key: _text(content[key]) for key in known})


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def first_line(log: Path) -> dict[str, Any]:
    """The provenance in the first line of a log; empty if there is none."""
    if not log.is_file():
        return {}
    with log.open(encoding="utf-8") as file:
        head = file.readline()
    try:
        found = json.loads(head)
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def mixed(found: Sequence[Part]) -> list[str]:
    """A sentence for each difference between parts of an experiment that should agree; empty if there is none."""
    said = [_sentence(found, key, called, "") for key, called in EVERYWHERE.items()]
    for kind in (CHECKPOINTS, PATTERNS, ABLATIONS):
        for group in dict.fromkeys(part.group for part in found if part.kind == kind):
            alike = [part for part in found if (part.kind, part.group) == (kind, group)]
            of = f"{kind} of the group {group}" if group else kind
            said += [_sentence(alike, key, called, of) for key, called in OF_A_KIND.items()]
    return [one for one in said if one]


def _sentence(alike: Sequence[Part], key: str, called: str, of: str) -> str:
    """The sentence about one key, empty if the parts agree in it; the most frequent values come first."""
    by_value: dict[str, list[str]] = {}
    for part in alike:
        if key in part.origin:
            by_value.setdefault(part.origin[key], []).append(part.path)
    if len(by_value) < 2:
        return ""
    ranked = sorted(by_value.items(), key=lambda entry: (-len(entry[1]), entry[0]))
    told = _told(key, [value for value, _ in ranked])
    groups = [f"{name} ({_listed(paths)})" for name, (_, paths) in zip(told, ranked, strict=True)]
    return f"The {of or 'results'} come from different {called}: {'; '.join(groups)}."


def _told(key: str, values: Sequence[str]) -> list[str]:
    """Values for a reader; of mappings, only the entries in which they differ."""
    if key not in ("versions", "recipe", "reading"):
        return [value or "unknown" for value in values]
    mappings = [json.loads(value) for value in values]
    names = sorted({name for one in mappings for name in one})
    differing = [name for name in names if len({_text(one.get(name)) for one in mappings}) > 1]
    return [", ".join(f"{name} {_text(one[name])}" for name in differing if name in one) or "none" for one in mappings]


def _listed(paths: Sequence[str]) -> str:
    """The first paths, and the number of further ones."""
    more = len(paths) - SHOWN
    return ", ".join(paths[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def computing(found: Iterable[Part]) -> dict[str, str]:
    """Processor, vector instructions and threads of the fine-tunings, each value once."""
    values: dict[str, dict[str, None]] = {}
    for part in found:
        if part.kind == CHECKPOINTS:
            for key in ("processor", "cpu_capability", "threads"):
                if key in part.origin:
                    values.setdefault(key, {})[part.origin[key]] = None
    return {key: ", ".join(own) for key, own in values.items()}
