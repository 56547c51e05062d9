"""Where published datasets are fetched from: config/datasets.csv, a row for each dataset and source.

A dataset has a primary source and perhaps a mirror, which holds the same files. An address is that of a repository of a
hub, whose version is a commit, or that of one file, a zip of many among them.
"""

import csv
import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from headpatterns.errors import InputError

TABLE = Path(__file__).resolve().parents[3] / "config" / "datasets.csv"
NAME = "config/datasets.csv"
PRIMARY, MIRROR = "primary", "mirror"
COLUMNS = ("dataset", "version", "source", "address", "files", "checksum", "licence", "note")

THE_HUB = "https://huggingface.co/"
"""The hub itself: $HF_ENDPOINT may stand for it, and it alone is given a login."""

COMMIT = re.compile(r"[0-9a-f]{40}")
REPOSITORY = re.compile(r"(https?://[^/]+)/datasets/([^/]+/[^/]+)")
FILE = re.compile(r"https?://[^/@]+/.*[^/]")
SAFE = re.compile(r"https://|http://(127\.0\.0\.1|localhost)[:/]")
"""What an address begins with whose files nobody on the way can change: of this machine, any."""
ARCHIVE = ".zip"
CHECKSUM = re.compile(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}")


class Pinned(NamedTuple):
    """A source of a dataset.

    Attributes:
        dataset: name of the dataset.
        version: the commit of a repository, or the release of a file; empty where none is pinned.
        source: `primary` or `mirror`.
        address: of the repository or the file.
        files: patterns of the files that make the dataset, with `/` between folders.
        checksum: `md5:…` or `sha256:…` of the file; empty for a repository, where the hub states those of its files.
        others: the sources that the dataset has beside this one.
    """

    dataset: str
    version: str
    source: str
    address: str
    files: tuple[str, ...]
    checksum: str
    others: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"the {self.source} source of {self.dataset}, {self.address},"

    @property
    def repository(self) -> str:
        """ORGANISATION/NAME of a repository of a hub; empty where the address is a file."""
        found = REPOSITORY.fullmatch(self.address)
        return found[2] if found and COMMIT.fullmatch(self.version) else ""

    @property
    def endpoint(self) -> str | None:
        """The address of the hub that has the repository; None for the hub itself."""
        found = REPOSITORY.fullmatch(self.address)
        return found[1] if found and not self.on_the_hub else None

    @property
    def on_the_hub(self) -> bool:
        """Whether the address is one of the hub itself."""
        return self.address.startswith(THE_HUB)

    @property
    def instead(self) -> str:
        """What helps where the source does not."""
        return f"set `sources` to {self.others[0]}" if self.others else "give local files as path"


def matching(names: Iterable[str], pattern: str) -> list[str]:
    """Those of some file names that a pattern means; `*` and `?` stay within a folder, as in a glob."""
    wanted = pattern.split("/")
    parts = {name: name.split("/") for name in names}
    return [name for name, has in parts.items()
            if len(has) == len(wanted) and all(map(fnmatchcase, has, wanted))]  # fmt: skip


@functools.cache
def read(table: Path = TABLE) -> dict[str, dict[str, Pinned]]:
    """The sources of every dataset of the table, by dataset and source.

    Raises:
        InputError: the table is not there, or a row of it cannot be used; the sentence names the row.
    """
    try:
        with table.open(encoding="utf-8", newline="") as file:
            lines = csv.DictReader(file, strict=True)
            rows = [(f"{NAME}, line {lines.line_num},", row) for row in lines]
            columns = tuple(lines.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{NAME} cannot be read ({error}): restore it.") from error
    if columns != COLUMNS:
        raise InputError(f"{NAME} has the columns {', '.join(columns) or 'none'}: write {', '.join(COLUMNS)}.")
    problems = [f"{place} {problem}" for place, row in rows for problem in _problems(row)]
    if problems:
        raise InputError("\n".join(problems))
    found: dict[str, dict[str, Pinned]] = {}
    for place, row in rows:
        sources = found.setdefault(row["dataset"], {})
        if row["source"] in sources:
            raise InputError(f"{place} is a second {row['source']} source of {row['dataset']}: remove one of the two.")
        sources[row["source"]] = _pinned(row, [other["source"] for _, other in rows
                                               if other["dataset"] == row["dataset"]])  # fmt: skip
    for name, sources in found.items():
        if PRIMARY not in sources or len({one.files for one in sources.values()}) > 1:
            raise InputError(
                f"{NAME}: {name} needs a primary source, and a mirror must have the same files: fix its rows."
            )
    return found


def _pinned(row: Mapping[str, str], sources: Iterable[str]) -> Pinned:
    given: dict[str, Any] = {name: row[name] for name in Pinned._fields if name in row}
    others = tuple(source for source in sources if source != row["source"])
    return Pinned(**{**given, "files": tuple(row["files"].split()), "others": others})


def _problems(row: Mapping[str, str | None]) -> Iterator[str]:
    """What is wrong with a row."""
    if None in row or None in row.values():
        yield f"does not have {len(COLUMNS)} cells: fix its quotes and commas."
        return
    whole = {name: value or "" for name, value in row.items()}
    for column in ("dataset", "address", "files", "licence"):
        if not whole[column].strip():
            yield f"has no {column}: fill it in."
    if whole["source"] not in (PRIMARY, MIRROR):
        yield f"has the source '{whole['source']}': write {PRIMARY} or {MIRROR}."
    address, version = whole["address"], whole["version"]
    is_repository = bool(REPOSITORY.fullmatch(address)) and not address.endswith(ARCHIVE)
    if address and not FILE.fullmatch(address):
        yield f"has the address '{address}': write https:// with the path of a repository or a file, and no login."
    elif address and not SAFE.match(address) and not whole["checksum"]:
        yield (
            f"has the address '{address}', whose content anyone on the network path can change: write https://, "
            "or add its checksum."
        )
    elif is_repository and version and not COMMIT.fullmatch(version):
        yield f"has the version '{version}' of a repository: write the 40 hexadecimal digits of a commit."
    elif is_repository and whole["checksum"]:
        yield "has a checksum for a repository: leave it empty, because the hub has a checksum for each file."
    elif not is_repository and not address.endswith(ARCHIVE) and whole["files"] != address.rpartition("/")[2]:
        yield (
            f"has the files '{whole['files']}', but its address is that of one file: write the last part of the "
            "address, or use a zip."
        )
    if whole["checksum"] and not CHECKSUM.fullmatch(whole["checksum"]):
        yield f"has the checksum '{whole['checksum']}': write md5: or sha256: and its hexadecimal digits."


def chosen(dataset: str, sources: str) -> Pinned:
    """The source of a dataset that a config's `sources` means: a mirror where there is one."""
    found = read()[dataset]
    return found.get(sources, found[PRIMARY])
