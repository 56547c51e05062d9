"""The Hugging Face hub: what it has and how large that is, every refusal in a sentence, and downloads that go on.

The hub's client is imported inside the functions: it reads where its caches are when it is imported, and `caches` says
it to it before.
"""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from headpatterns import cli as command_line
from headpatterns.errors import InputError, first_line
from headpatterns.io import open_unfinished, remove, unfinished
from headpatterns.provenance import fingerprint

if TYPE_CHECKING:
    from datasets import DatasetBuilder

NEEDED = ("*.json", "*.safetensors", "*.model", "*.txt")
PICKLED = "pytorch_model*.bin"
GB = 1e9
LOOK, NOTICE = 1.0, 30.0
"""Seconds between two looks at a download, and between two lines about it that is slow."""


class Repository(NamedTuple):
    """A repository of the hub at a revision.

    Attributes:
        kind: `model` or `dataset`.
        id, revision: as the config states them.
        commit: what the revision is.
        files: the bytes of each file by name.
    """

    kind: str
    id: str
    revision: str
    commit: str
    files: dict[str, int]

    def __str__(self) -> str:
        return f"the {self.kind} {self.id} (revision {self.revision})"


def caches(folder: Path) -> None:
    """Let the hub's client keep its caches below `folder`, for nothing is written outside the results."""
    os.environ |= {"HF_HUB_CACHE": str(folder / "hub"), "HF_XET_CACHE": str(folder / "xet")}


def look(kind: str, id: str, revision: str) -> Repository:
    """Ask the hub for a repository.

    Raises:
        InputError: it is not there, not at this revision or not for us, or the hub does not answer.
    """
    from huggingface_hub import HfApi

    with said(kind, id, revision):
        found = HfApi().repo_info(id, repo_type=kind, revision=revision, files_metadata=True)
        if found.gated:  # its description is public, its files are not
            HfApi().auth_check(id, repo_type=kind)
    return Repository(kind, id, revision, found.sha, {file.rfilename: file.size or 0 for file in found.siblings})


def model_files(model: Repository) -> dict[str, int]:
    """Files of a model that loading it takes, with their bytes: pickled weights only where there are no others.

    Raises:
        InputError: it has no weights.
    """

    def matching(*patterns: str) -> dict[str, int]:
        own = {name: size for name, size in model.files.items() if "/" not in name}
        return {name: size for name, size in own.items() if any(fnmatch(name, pattern) for pattern in patterns)}

    files = matching(*NEEDED) if matching("*.safetensors") else matching(*NEEDED, PICKLED)
    if not any(name.endswith((".safetensors", ".bin")) for name in files):
        raise InputError(f"{model} has no weights that can be loaded: choose another.")
    return files


def builder(dataset: Repository, name: str | None, split: str, cache: Path) -> "DatasetBuilder":
    """What reads the configuration `name` of a dataset.

    Raises:
        InputError: it has no such configuration or split, or needs one to be named.
    """
    from datasets import get_dataset_config_names, load_dataset_builder

    with said(dataset.kind, dataset.id, dataset.revision):
        names = get_dataset_config_names(dataset.id, revision=dataset.commit)
        if name is not None and name not in names:
            raise InputError(f"{dataset} has no configuration '{name}': set name to one of {', '.join(names)}.")
        try:
            made = load_dataset_builder(dataset.id, name, revision=dataset.commit, cache_dir=str(cache))
        except ValueError as error:
            if name is None and len(names) > 1:
                raise InputError(
                    f"{dataset} has several configurations: set name to one of {', '.join(names)}."
                ) from error
            raise
    splits = [str(known) for known in made.config.data_files or ()]
    for part in split.split("+"):
        if part.partition("[")[0] not in splits:
            of = f" of the configuration {name}" if name else ""
            raise InputError(f"{dataset} has no split '{part}'{of}: set split to one of {', '.join(splits)}.")
    return made


def dataset_files(dataset: Repository, made: "DatasetBuilder") -> dict[str, int]:
    """Files that a configuration of a dataset is made of, with their bytes."""
    start = f"{dataset.id}@{dataset.commit}/"
    names = [path.partition(start)[2] for paths in made.config.data_files.values() for path in paths]
    return {name: dataset.files.get(name, 0) for name in names if name}


def check_space(what: str, size: int, folder: Path) -> None:
    """Refuse what the disk of `folder` has no room for."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    if size > free:
        raise InputError(
            f"{what} takes {size / GB:.1f} GB, but the disk of {folder} has {free / GB:.1f} GB free: make room there."
        )


@contextmanager
def download(repository: Repository, files: dict[str, int], output: Path, copies: int = 1) -> Iterator[Path]:
    """A folder to download `files` into, which keeps whole files until the block ends well; the terminal sees how far.

    `copies` is how many times the disk holds the files before they are `output`.
    """
    folder, work = unfinished(output), fingerprint(repository.id, repository.commit, *files)
    size = sum(files.values())
    for part in folder.rglob("*.incomplete"):  # the client begins such a file again, under another name
        remove(part)
    check_space(str(repository), max(0, copies * size - _downloaded(folder)[1]), output.parent)
    open_unfinished(output, work)
    with _told(repository, len(files), size, folder), said(repository.kind, repository.id, repository.revision):
        yield folder
    remove(folder)


@contextmanager
def _told(repository: Repository, files: int, size: int, folder: Path) -> Iterator[None]:
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
        command_line.tell(f"{repository.id}: {done} of {files} files, {of}")

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
    for place, _, names in (step for kind in ("files", "hub") for step in os.walk(folder / kind)):
        for path in (Path(place, name) for name in names):
            with suppress(FileNotFoundError):
                size += path.lstat().st_size
                done += path.parent.name in ("files", "blobs") and path.suffix != ".incomplete"
    return done, size


@contextmanager
def said(kind: str, id: str, revision: str) -> Iterator[None]:
    """Turn what the hub's client and the datasets library raise into an InputError with what the user can do."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # dozens of types for what are a few things to the user
        raise InputError(_sentence(kind, id, revision, error)) from error


def _sentence(kind: str, id: str, revision: str, error: BaseException) -> str:
    import httpx2
    from huggingface_hub import constants, errors, get_token

    causes = [error]
    while causes[-1].__cause__ or causes[-1].__context__:
        causes.append(causes[-1].__cause__ or causes[-1].__context__)

    def caused_by(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    what = f"the {kind} {id} (revision {revision})"
    page = f"{constants.ENDPOINT}/{'datasets/' if kind == 'dataset' else ''}{id}"
    status = next((cause.response.status_code for cause in causes if isinstance(cause, errors.HfHubHTTPError)), None)
    if caused_by(errors.GatedRepoError):
        if get_token():
            return f"{what} is gated and this login has no access to it: accept its licence at {page} with its account."
        return f"{what} is gated: accept its licence at {page}, then `hf auth login` or set HF_TOKEN."
    if caused_by(errors.RevisionNotFoundError):
        return f"the {kind} {id} has no revision {revision}: state a commit that {page}/commits/main lists."
    if caused_by(errors.RepositoryNotFoundError):
        seen = "or hidden from this login" if get_token() else "or private, and there is no login (`hf auth login`)"
        return f"the {kind} {id} is not on the hub, {seen}: fix its id."
    if status == 401:
        return (
            f"the hub does not accept this login's token, in asking for {what}: `hf auth login` again, or fix HF_TOKEN."
        )
    if caused_by(errors.OfflineModeIsEnabled):
        return "the hub is not asked while HF_HUB_OFFLINE is set: unset it, or give local files as path."
    if caused_by(httpx2.TransportError, ConnectionError):
        return (
            f"the hub at {constants.ENDPOINT} cannot be reached ({first_line(causes[-1])}): check the network and "
            "HTTPS_PROXY, or give local files as path; files that are complete are kept."
        )
    if caused_by(RuntimeError) and "Dataset scripts are no longer supported" in str(error):
        return f"{what} is a program rather than data, which is not run: download its files and give them as path."
    return f"{what} cannot be fetched: {first_line(error)}; try again, or give local files as path."
