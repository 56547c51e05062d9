"""Downloads from the Hugging Face hub: whole or not at all, going on after an interruption, with a word on how far."""

import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from headpatterns import cli as command_line
from headpatterns.data import hub, pinned_source, transfers
from headpatterns.data.pinned import Pinned
from headpatterns.errors import InputError
from headpatterns.io import atomic_path, open_unfinished, remove, unfinished
from headpatterns.provenance import fingerprint

GB = 1e9
LOOK, NOTICE = 1.0, 30.0
"""Seconds between two looks at a download, and between two lines about it that is slow."""


def fetch_model(id: str, revision: str, output: Path) -> None:
    """Download config, tokenizer and safetensors of a model; pickled weights only where it has no others.

    Args:
        id: of the model on the hub.
        revision: commit of its repository.
        output: folder of the model.

    Raises:
        InputError: the hub does not give it, or the disk is too small.
    """
    hub.caches(unfinished(output))
    model = hub.look("model", id, revision)
    files = hub.model_files(model)
    work = fingerprint(model.id, model.commit, *files)
    with hub.said(model.kind, id, revision), download(str(model), id, work, files, output) as folder:
        from huggingface_hub import snapshot_download

        made = folder / "files"
        snapshot_download(model.id, revision=model.commit, local_dir=made, allow_patterns=list(files))
        remove(made / ".cache")
        for name in files:
            stated = model.checksums[name]
            transfers.check(made / name, stated, f"{name} of {model}", "the hub", "give a local folder as path")
        remove(output)
        made.rename(output)


def fetch_dataset(id: str, name: str | None, split: str, revision: str, output: Path) -> None:
    """Download one split of a dataset as one parquet file.

    It comes into a cache of its own, which is removed: nothing is written outside the output's folder.

    Args:
        id: of the dataset on the hub.
        name: its configuration, None where it has one alone.
        split: its split.
        revision: commit of its repository.
        output: parquet file.

    Raises:
        InputError: the hub does not give it, it has no such configuration or split, or the disk is too small.
    """
    work = unfinished(output)
    begun = work.exists()
    hub.caches(work)
    dataset = hub.look("dataset", id, revision)
    try:
        made = hub.builder(dataset, name, split, work / "prepared")
    except InputError:
        if not begun:
            remove(work)
        raise
    files = hub.dataset_files(dataset, made)
    identity = fingerprint(id, dataset.commit, *files)
    # Downloaded, prepared, written.
    with hub.said(dataset.kind, id, revision), download(str(dataset), id, identity, files, output, copies=3):
        made.download_and_prepare()
        with atomic_path(output) as temporary:
            made.as_dataset(split=split).to_parquet(temporary)


def fetch_pinned(source: Pinned, output: Path) -> None:
    """Download the files of a pinned dataset into a folder, where they have the names that they have at the source.

    What an earlier process has left is gone on with, whichever source it came from.

    Args:
        source: where they are fetched from.
        output: folder of the files.

    Raises:
        InputError: the source does not give them, or gives others, or the disk is too small.
    """
    with pinned_source.said(source):
        files = pinned_source.look(source)
        sizes = {name: file.size for name, file in files.items()}
        work = fingerprint(source.dataset, source.version, source.checksum, *files)
        with download(str(source), source.dataset, work, sizes, output) as folder:
            made = folder / "files"
            for name, file in files.items():
                transfers.fetch(file, made / name, source.instead)
            if pinned_source.is_archive(source):
                made = pinned_source.unpack(source, made, folder / "unpacked")
            remove(output)
            made.rename(output)


def check_space(what: str, size: int, folder: Path) -> None:
    """Refuse what the disk of `folder` has no room for; `size` is in bytes.

    Raises:
        InputError: it has none.
    """
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    if size > free:
        raise InputError(
            f"{what} takes {size / GB:.1f} GB, but the disk of {folder} has {free / GB:.1f} GB free: free space there."
        )


@contextmanager
def download(
    what: str, name: str, work: str, files: Mapping[str, int], output: Path, copies: int = 1
) -> Iterator[Path]:
    """A folder to download files into, which keeps them until the block ends well; the terminal sees how far.

    Args:
        what: what is downloaded, in words.
        name: the same in the lines about how far.
        work: fingerprint of it: what an earlier process has left of other work is removed.
        files: bytes of each file.
        output: what is made of it.
        copies: how many times the disk holds the files before they are `output`.

    Raises:
        InputError: the disk is too small.
    """
    folder = unfinished(output)
    size = sum(files.values())
    for part in folder.rglob("*.incomplete"):  # the client begins such a file again, under another name
        remove(part)
    check_space(what, max(0, copies * size - _downloaded(folder)[1]), output.parent)
    open_unfinished(output, work)
    with _told(name, len(files), size, folder):
        yield folder
    remove(folder)


@contextmanager
def _told(name: str, files: int, size: int, folder: Path) -> Iterator[None]:
    """Tell of a download at every tenth of it, and when half a minute has brought less."""
    ended = threading.Event()

    def tell() -> None:
        tenths, silent = int(10 * _downloaded(folder)[1] / max(1, size)), 0.0
        while not ended.wait(LOOK):
            done, there = _downloaded(folder)
            silent += LOOK
            if int(10 * there / max(1, size)) > tenths or silent >= NOTICE:
                tenths, silent = int(10 * there / max(1, size)), 0.0
                line(min(done, files), min(there, size))

    def line(done: int, there: int) -> None:
        of = f"{there / GB:.2f} of {size / GB:.2f} GB"
        command_line.tell(f"{name}: {done} of {files} files, {of}")

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    line(files, size)


def _downloaded(folder: Path) -> tuple[int, int]:
    """Files that are there and bytes, those of files on the way included; the client renames them meanwhile."""
    done, size = 0, 0
    for kind in ("files", "hub"):
        for place, _, names in os.walk(folder / kind):
            below = Path(place).relative_to(folder).parts
            holds_files = below[-1] == "blobs" if kind == "hub" else ".cache" not in below
            for path in (Path(place, name) for name in names):
                with suppress(FileNotFoundError):
                    size += path.lstat().st_size
                    done += holds_files and path.suffix not in (".incomplete", transfers.PARTIAL)
    return done, size
