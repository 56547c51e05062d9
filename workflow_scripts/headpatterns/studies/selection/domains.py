"""Split a dataset by domain: pseudo-private samples, the domain's target, and a pool of everything else (§5.2).

The training rows with a tag of the domain are pseudo-private; the probe rows with such a tag are the target. The pool
is the other probe rows, except those that equal a target or pseudo-private item, as `headpatterns.data.deduplication`
compares them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from headpatterns.data import training_sets
from headpatterns.data.deduplication import Item, read, same
from headpatterns.data.records import nearest
from headpatterns.errors import InputError
from headpatterns.io import atomic_path, write_json


@dataclass(frozen=True)
class Domain:
    """A domain of a dataset, with the files of both splits.

    Attributes:
        dataset: name of the dataset in the CSV files.
        name: name of the domain in report and messages.
        tags: tags of the domain.
        train: parquet of the training rows, with id, prompt, tags and choices.
        probe: parquet of the probe rows, likewise.
        related: tags outside the domain that share its relations; none where they are unknown.
    """

    dataset: str
    name: str
    tags: Sequence[str]
    train: Path
    probe: Path
    related: Sequence[str] = ()


def split(domain: Domain, largest_budget: int, output: Path) -> None:
    """Write the three parts and, where known, the related samples of the pool as CSV, and a report, into a folder.

    Args:
        domain: the domain to split off.
        largest_budget: the largest number of samples that will be selected from the pool.
        output: folder to write.

    Raises:
        InputError: a tag that no row has, a part without rows, a sample in two parts, or a pool (or its related part)
            smaller than the budget.
    """
    train, probe = (read(path, tagged=True) for path in (domain.train, domain.probe))
    check_tags(domain, [*train, *probe])
    tags = frozenset(domain.tags)
    private = [item for item in train if item.tags & tags]
    target = [item for item in probe if item.tags & tags]
    outside = [item for item in probe if not item.tags & tags]
    in_target, in_private = same(outside, target), same(outside, private)
    pool = [item for item in outside if item.id not in in_target and item.id not in in_private]
    parts = {"pseudo_private": private, "pool": pool, "target": target}
    check_parts(parts, domain)
    if largest_budget > len(pool):
        raise InputError(
            f"The budget {largest_budget} is larger than the pool of the domain {domain.name}, "
            f"which has {len(pool)} samples: lower it in studies.selection.budgets."
        )
    written = {**parts, **related_part(domain, pool, largest_budget)}
    report = {
        "dataset": domain.dataset,
        "domain": domain.name,
        "tags": domain.tags,
        "samples": {name: len(items) for name, items in written.items()},
        "outside_domain": len(outside),
        "left_out_as_target": {"samples": len(in_target), "same_as": in_target},
        "left_out_as_pseudo_private": {"samples": len(in_private), "same_as": in_private},
    }
    with atomic_path(output) as temporary:
        temporary.mkdir()
        for name, items in written.items():
            training_sets.write(temporary / f"{name}.csv", [(domain.dataset, item.id) for item in items])
        write_json(temporary / "report.json", report)
    sizes = ", ".join(f"{name} {len(items)}" for name, items in written.items())
    print(f"{domain.name}: {sizes}; {len(outside) - len(pool)} are left out of the pool")


def related_part(domain: Domain, pool: Sequence[Item], largest_budget: int) -> dict[str, list[Item]]:
    """The samples of the pool that have a related tag, as the part `related`; nothing where no tag is given.

    Raises:
        InputError: a tag that no sample of the pool has, or fewer related samples than the budget.
    """
    if not domain.related:
        return {}
    present = frozenset(tag for item in pool for tag in item.tags)
    key = f"studies.selection.related.{domain.name}"
    for tag in domain.related:
        if tag not in present:
            raise InputError(
                f"No sample of the pool of the domain {domain.name} (from {domain.probe}) has the tag {tag!r} of "
                f"{key}: {nearest(tag, present)}"
            )
    related = [item for item in pool if item.tags & frozenset(domain.related)]
    if largest_budget > len(related):
        raise InputError(
            f"The budget {largest_budget} is larger than the related part of the pool of the domain {domain.name}, "
            f"which has {len(related)} samples: lower it in studies.selection.budgets, or add tags to {key}."
        )
    return {"related": related}


def check_tags(domain: Domain, items: Iterable[Item]) -> None:
    """Check that every tag of the domain occurs.

    Raises:
        InputError: no row has a tag; the message names the most similar one.
    """
    present = frozenset(tag for item in items for tag in item.tags)
    for tag in domain.tags:
        if tag not in present:
            raise InputError(
                f"No row of {domain.train} and {domain.probe} has the tag {tag!r} of the domain "
                f"{domain.name}: {nearest(tag, present)}"
            )


def check_parts(parts: Mapping[str, Sequence[Item]], domain: Domain) -> None:
    """Check that every part has samples and that they share none.

    Raises:
        InputError: naming an empty part, or a sample in two of them.
    """
    fixes = {
        "pseudo_private": (domain.train, "give the domain more tags or the dataset more training rows"),
        "pool": (domain.probe, "give the domain fewer tags or the dataset more probe rows of other tags"),
        "target": (domain.probe, "give the domain more tags or the dataset more probe rows"),
    }
    part_of: dict[str, str] = {}
    for name, items in parts.items():
        if not items:
            path, fix = fixes[name]
            raise InputError(f"{path} has no row for the part {name} of the domain {domain.name}: {fix}.")
        for item in items:
            other = part_of.setdefault(item.id, name)
            if other != name:
                raise InputError(
                    f"The id {item.id} is in {domain.train} and in {domain.probe}: give every row its own id."
                )
    for id, other in {**same(parts["pool"], parts["target"]), **same(parts["pool"], parts["pseudo_private"])}.items():
        raise InputError(f"The pool sample {id} is the same as {other}, outside the pool: remove one of the two.")
