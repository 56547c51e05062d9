"""Split a dataset by domain: pseudo-private samples, the domain's target, and a pool of everything else (§5.2).

Pseudo-private are the training rows with a tag of the domain, target the probe rows with one, and the pool is the probe
rows without, less those that are also a target or pseudo-private item. Two items are the same if their prompts are, or
if their questions and their options are, in whatever order these stand; Unicode compatibility forms, case, white space
and punctuation do not count.
"""

import argparse
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import command_line
from headpatterns import tidy
from headpatterns.errors import InputError, first_line
from headpatterns.files import atomic_path, write_json
from headpatterns.instructions.adapters.choices import LETTERS
from headpatterns.instructions.records import nearest
from headpatterns.instructions.splitting import normalised


@dataclass(frozen=True)
class Item:
    """One row: its id, its tags, and keys of which the same item under another id has at least one."""

    id: str
    tags: frozenset[str]
    keys: frozenset[tuple]


def main(arguments: argparse.Namespace) -> None:
    """Write the three parts and the report into the output folder."""
    train, probe = read(arguments.train), read(arguments.probe)
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
            rows = [(arguments.dataset, item.id) for item in items]
            tidy.write(temporary / f"{name}.csv", ("dataset", "id"), rows)
        write_json(temporary / "report.json", report)
    sizes = ", ".join(f"{name} {len(items)}" for name, items in parts.items())
    print(f"{arguments.domain}: {sizes}; left out of the pool {len(outside) - len(pool)}")


def read(path: Path) -> list[Item]:
    """The items of a parquet file of instructions, in its order.

    Raises:
        InputError: the file cannot be read, lacks a column or has one of another type, or an id is missing or repeated.
    """
    import pyarrow
    import pyarrow.parquet

    texts = pyarrow.list_(pyarrow.string())
    schema = pyarrow.schema({"id": pyarrow.string(), "prompt": pyarrow.string(), "tags": texts, "choices": texts})
    try:
        present = pyarrow.parquet.read_schema(path).names
        missing = [column for column in schema.names if column not in present]
        if missing:
            raise InputError(f"{path} lacks the column {missing[0]!r}: it must have {', '.join(schema.names)}.")
        rows = pyarrow.parquet.read_table(path, columns=schema.names).select(schema.names).cast(schema).to_pylist()
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(
            f"{path} cannot be read as a parquet file of instructions ({first_line(error)}): make it again."
        ) from error
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        if row["id"] is None or row["prompt"] is None:
            raise InputError(f"{path}, row {number} has no id or no prompt: give it both, or remove it.")
        first = seen.setdefault(row["id"], number)
        if first != number:
            raise InputError(f"{path}: rows {first} and {number} have the same id {row['id']}: give every row its own.")
    return [Item(row["id"], frozenset(row["tags"] or ()), keys(row["prompt"], row["choices"] or ())) for row in rows]


def keys(prompt: str, choices: Sequence[str]) -> frozenset[tuple]:
    """What identifies an item: its whole text and, whatever their order, the question with all of its options."""
    whole = ("text", comparable(prompt))
    lettered = "".join(f"\n{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False))
    question, found, rest = prompt.rpartition(lettered) if lettered else ("", "", "")
    if not found:
        return frozenset({whole})
    return frozenset({whole, ("question", comparable(question + rest), *sorted(map(comparable, choices)))})


def comparable(text: str) -> str:
    """`text` without what does not count; a text of nothing else stays as it is.

    This errs towards equality (3.5 and 35 are one): a sample too few in the pool costs less than a leaked one.
    """
    text = normalised(text)
    return "".join(character for character in text if _counts(character)) or text


@cache
def _counts(character: str) -> bool:
    """Whether a character is neither punctuation nor white space nor invisible."""
    category = unicodedata.category(character)
    return category[0] not in "PZ" and category not in ("Cc", "Cf")


def same(items: Iterable[Item], others: Iterable[Item]) -> dict[str, str]:
    """Ids of those items that are also among the others, in order, each with an id that it has there."""
    known: dict[tuple, str] = {}
    for other in others:
        for key in other.keys:
            known.setdefault(key, other.id)
    return {item.id: min(known[key] for key in item.keys & known.keys()) for item in items if item.keys & known.keys()}


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
    mends = {
        "pseudo_private": (arguments.train, "give the domain more tags or the dataset more training rows"),
        "pool": (arguments.probe, "give the domain fewer tags or the dataset more probe rows of other tags"),
        "target": (arguments.probe, "give the domain more tags or the dataset more probe rows"),
    }
    part_of: dict[str, str] = {}
    for name, items in parts.items():
        if not items:
            path, mend = mends[name]
            raise InputError(f"{path} leaves the part {name} of the domain {arguments.domain} without a row: {mend}.")
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
