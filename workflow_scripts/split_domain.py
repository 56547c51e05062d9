"""Split a dataset by domain: pseudo-private samples, the domain's target, and a pool of everything else (§5.2).

Pseudo-private are the training rows with a tag of the domain, target the probe rows with one, and the pool is the probe
rows without, less those that are also a target or pseudo-private item, as `headpatterns.leakage` compares them.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.data import training_sets
from headpatterns.data.deduplication import Item, read, same
from headpatterns.data.records import nearest
from headpatterns.errors import InputError
from headpatterns.io import atomic_path, write_json


def main(arguments: argparse.Namespace) -> None:
    """Write the three parts and the report into the output folder."""
    train, probe = (read(path, tagged=True) for path in (arguments.train, arguments.probe))
    check_tags(arguments, [*train, *probe])
    domain = frozenset(arguments.tags)
    private = [item for item in train if item.tags & domain]
    target = [item for item in probe if item.tags & domain]
    outside = [item for item in probe if not item.tags & domain]
    in_target, in_private = same(outside, target), same(outside, private)
    pool = [item for item in outside if item.id not in in_target and item.id not in in_private]
    parts = {"pseudo_private": private, "pool": pool, "target": target}
    check_parts(parts, arguments)
    if arguments.largest_budget > len(pool):
        raise InputError(
            f"The budget {arguments.largest_budget} is larger than the pool of the domain {arguments.domain}, "
            f"which has {len(pool)} samples: lower it in studies.selection.budgets."
        )

    report = {
        "dataset": arguments.dataset,
        "domain": arguments.domain,
        "tags": arguments.tags,
        "samples": {name: len(items) for name, items in parts.items()},
        "outside_domain": len(outside),
        "left_out_as_target": {"samples": len(in_target), "same_as": in_target},
        "left_out_as_pseudo_private": {"samples": len(in_private), "same_as": in_private},
    }
    with atomic_path(arguments.output) as temporary:
        temporary.mkdir()
        for name, items in parts.items():
            training_sets.write(temporary / f"{name}.csv", [(arguments.dataset, item.id) for item in items])
        write_json(temporary / "report.json", report)
    sizes = ", ".join(f"{name} {len(items)}" for name, items in parts.items())
    print(f"{arguments.domain}: {sizes}; left out of the pool {len(outside) - len(pool)}")


def check_tags(arguments: argparse.Namespace, items: Iterable[Item]) -> None:
    """Check that every tag of the domain occurs.

    Raises:
        InputError: no row has a tag; the message names the most similar one.
    """
    present = frozenset(tag for item in items for tag in item.tags)
    for tag in arguments.tags:
        if tag not in present:
            raise InputError(
                f"No row of {arguments.train} and {arguments.probe} has the tag {tag!r} of the domain "
                f"{arguments.domain}: {nearest(tag, present)}"
            )


def check_parts(parts: dict[str, list[Item]], arguments: argparse.Namespace) -> None:
    """Check that every part has samples and assert that they share none.

    Raises:
        InputError: naming an empty part, or a sample in two of them.
    """
    fixes = {
        "pseudo_private": (arguments.train, "give the domain more tags or the dataset more training rows"),
        "pool": (arguments.probe, "give the domain fewer tags or the dataset more probe rows of other tags"),
        "target": (arguments.probe, "give the domain more tags or the dataset more probe rows"),
    }
    part_of: dict[str, str] = {}
    for name, items in parts.items():
        if not items:
            path, fix = fixes[name]
            raise InputError(f"{path} leaves the part {name} of the domain {arguments.domain} without a row: {fix}.")
        for item in items:
            other = part_of.setdefault(item.id, name)
            if other != name:
                raise InputError(
                    f"The id {item.id} is in {arguments.train} and in {arguments.probe}: give every row its own."
                )
    for id, other in {**same(parts["pool"], parts["target"]), **same(parts["pool"], parts["pseudo_private"])}.items():
        raise InputError(f"The pool sample {id} is also {other}, outside the pool: take one of them out.")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = command_line.parser(__doc__)
    made.add_argument("--dataset", required=True, help="name of the dataset in the CSV files")
    made.add_argument("--domain", required=True, help="name of the domain in report and messages")
    made.add_argument("--tags", nargs="+", required=True, help="tags of the domain")
    made.add_argument("--train", type=Path, required=True, help="training rows: parquet with id, prompt, tags, choices")
    made.add_argument("--probe", type=Path, required=True, help="probe rows, likewise")
    made.add_argument("--largest-budget", type=int, default=1, help="samples that will be selected from the pool")
    made.add_argument("--output", type=Path, required=True, help="folder to write")
    return made


if __name__ == "__main__":
    command_line.run(main, parser())
