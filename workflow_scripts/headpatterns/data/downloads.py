"""Downloads from the Hugging Face hub: complete or absent, resumed after an interruption, with printed progress."""

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
"""Seconds between two checks of a download, and between two lines about a slow one."""


def fetch_model(id: str, revision: str, output: Path) -> None:
    """Download config, tokenizer and safetensors of a model; pickled weights only if it has no others.

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

    It is downloaded to a temporary cache: nothing is written outside the output's folder.

    Args:
        id: of the dataset on the hub.
        name: its configuration, None if it has only one.
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
    # The disk holds the files three times: downloaded, prepared and written.
    with hub.said(dataset.kind, id, revision), download(str(dataset), id, identity, files, output, copies=3):
        made.download_and_prepare()
        with atomic_path(output) as temporary:
            made.as_dataset(split=split).to_parquet(temporary)


def fetch_pinned(source: Pinned, output: Path) -> None:
    """Download the files of a pinned dataset into a folder, with the same names as at the source.

    Files of an interrupted process are completed, even if they came from another source.

    Args:
        source: where they are fetched from.
        output: folder of the files.

    Raises:
        InputError: the source does not provide them, or provides other files, or the disk is too small.
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
    """Refuse a download for which the disk of `folder` has no room; `size` is in bytes.

    Raises:
        InputError: the disk has too little room.
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
    """A folder to download files into; it is kept until the block ends without an error. Progress is printed.

    Args:
        what: a description of the download.
        name: its name in the lines about progress.
        work: fingerprint of the download: files that an earlier process left for other work are removed.
        files: bytes of each file.
        output: the file or folder that is made from the download.
        copies: how many copies of the files are on the disk until `output` is complete.

    Raises:
        InputError: the disk is too small.
    """
    folder = unfinished(output)
    size = sum(files.values())
    for part in folder.rglob("*.incomplete"):  # the client starts such a file again, under another name
        remove(part)
    check_space(what, max(0, copies * size - _downloaded(folder)[1]), output.parent)
    open_unfinished(output, work)
    with _told(name, len(files), size, folder):
        yield folder
    remove(folder)


@contextmanager
def _told(name: str, files: int, size: int, folder: Path) -> Iterator[None]:
    """Print the progress of a download at every tenth of it, and after half a minute without a new tenth."""
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
    """Number of complete files, and bytes including incomplete files; the client may rename files at the same time."""
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
