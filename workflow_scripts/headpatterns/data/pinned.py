"""The sources of published datasets: config/datasets.csv, with a row for each dataset and source.

A dataset has a primary source and perhaps a mirror with the same files. The address is that of a repository of a hub,
with a commit as its version, or of one file, which may be a zip of many.
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
"""The hub itself: $HF_ENDPOINT may replace it, and only it gets a login."""

COMMIT = re.compile(r"[0-9a-f]{40}")
REPOSITORY = re.compile(r"(https?://[^/]+)/datasets/([^/]+/[^/]+)")
FILE = re.compile(r"https?://[^/@]+/.*[^/]")
SAFE = re.compile(r"https://|http://(127\.0\.0\.1|localhost)[:/]")
"""The start of an address whose files cannot be changed in transit: https, or any address of this machine."""
ARCHIVE = ".zip"
CHECKSUM = re.compile(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}")


class Pinned(NamedTuple):
    """A source of a dataset.

    Attributes:
        dataset: name of the dataset.
        version: the commit of a repository, or the release of a file; empty if none is pinned.
        source: `primary` or `mirror`.
        address: of the repository or the file.
        files: patterns of the files that make the dataset, with `/` between folders.
        checksum: `md5:…` or `sha256:…` of the file; empty for a repository, because the hub states those of its files.
        others: the other sources of the dataset.
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
        """ORGANISATION/NAME of a repository of a hub; empty if the address is a file."""
        found = REPOSITORY.fullmatch(self.address)
        return found[2] if found and COMMIT.fullmatch(self.version) else ""

    @property
    def endpoint(self) -> str | None:
        """The address of the hub that has the repository; None for the hub itself."""
        found = REPOSITORY.fullmatch(self.address)
        return found[1] if found and not self.on_the_hub else None

    @property
    def on_the_hub(self) -> bool:
        """Whether the address is on the hub itself."""
        return self.address.startswith(THE_HUB)

    @property
    def instead(self) -> str:
        """What to do if the source is not available."""
        return f"set `sources` to {self.others[0]}" if self.others else "give local files as path"


def matching(names: Iterable[str], pattern: str) -> list[str]:
    """The file names that match a pattern; `*` and `?` do not cross folders, as in a glob."""
    wanted = pattern.split("/")
    parts = {name: name.split("/") for name in names}
    return [name for name, has in parts.items()
            if len(has) == len(wanted) and all(map(fnmatchcase, has, wanted))]  # fmt: skip


@functools.cache
def read(table: Path = TABLE) -> dict[str, dict[str, Pinned]]:
    """The sources of every dataset of the table, by dataset and source.

    Raises:
        InputError: the table does not exist, or a row cannot be used; the message names the row.
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
    """The source of a dataset by a config's `sources`: for `mirror`, the mirror if there is one."""
    found = read()[dataset]
    return found.get(sources, found[PRIMARY])
