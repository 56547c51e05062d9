"""The Hugging Face hub: its repositories and their sizes, and a sentence for every refusal.

The hub's client is imported inside the functions. It reads the paths of its caches on import, so `caches` must set them
first.
"""

import os
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from headpatterns.data import transfers
from headpatterns.data.chat_files import is_template
from headpatterns.errors import InputError, first_line

if TYPE_CHECKING:
    from datasets import DatasetBuilder

NEEDED = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")
PICKLED = "pytorch_model*.bin"


class Repository(NamedTuple):
    """A repository of the hub at a revision.

    Attributes:
        kind: `model` or `dataset`.
        id, revision: as the config states them.
        commit: the commit of the revision.
        files: the bytes of each file by name.
        checksums: the hub's checksum of each file: `sha256:…` if Git LFS stores it, otherwise `git:…`, its blob's id.
    """

    kind: str
    id: str
    revision: str
    commit: str
    files: dict[str, int]
    checksums: dict[str, str]

    def __str__(self) -> str:
        return f"the {self.kind} {self.id} (revision {self.revision})"


def caches(folder: Path) -> None:
    """Make the hub's client keep its caches below `folder`, so that nothing is written outside the results."""
    os.environ |= {"HF_HUB_CACHE": str(folder / "hub"), "HF_XET_CACHE": str(folder / "xet")}


def look(kind: str, id: str, revision: str) -> Repository:
    """Ask the hub for a repository; after a rate limit, ask again when the hub allows it.

    Raises:
        InputError: the repository or the revision does not exist, access is denied, or the hub does not answer.
    """
    with said(kind, id, revision):
        return described(kind, id, revision)


def described(kind: str, id: str, revision: str, endpoint: str | None = None) -> Repository:
    """Like `look`, but raises the errors of the hub's client.

    Another hub, at the address `endpoint`, does not get the login.
    """
    from huggingface_hub import HfApi, constants

    # HfApi.repo_info sends the same request, but does not repeat it.
    page = f"{endpoint or constants.ENDPOINT}/api/{kind}s/{id}/revision/{urllib.parse.quote(revision, safe='')}"
    found = transfers.ask("GET", page, with_login=endpoint is None, blobs=True).json()
    if found.get("gated") and not endpoint:  # its description is public, its files are not
        HfApi().auth_check(id, repo_type=kind)
    files = {file["rfilename"]: file for file in found["siblings"]}
    sizes = {name: file.get("size") or 0 for name, file in files.items()}
    return Repository(kind, id, revision, found["sha"], sizes, {name: _stated(file) for name, file in files.items()})


def _stated(file: dict[str, Any]) -> str:
    """The checksum in the hub's description of a file."""
    if file.get("lfs"):
        return f"sha256:{file['lfs']['sha256']}"
    return f"git:{file['blobId']}" if file.get("blobId") else ""


def model_files(model: Repository) -> dict[str, int]:
    """Files that are needed to load a model, with their bytes; pickled weights only if there are no others.

    Raises:
        InputError: the model has no weights.
    """

    def matching(*patterns: str) -> dict[str, int]:
        own = {name: size for name, size in model.files.items() if "/" not in name or is_template(name)}
        return {name: size for name, size in own.items() if any(fnmatch(name, pattern) for pattern in patterns)}

    files = matching(*NEEDED) if matching("*.safetensors") else matching(*NEEDED, PICKLED)
    if not any(name.endswith((".safetensors", ".bin")) for name in files):
        raise InputError(f"{model} has no weights that can be loaded: choose another model.")
    return files


def builder(dataset: Repository, name: str | None, split: str, cache: Path) -> "DatasetBuilder":
    """The builder that reads the configuration `name` of a dataset.

    Raises:
        InputError: the dataset has no such configuration or split, or one has to be named.
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
    """Files of a configuration of a dataset, with their bytes."""
    start = f"{dataset.id}@{dataset.commit}/"
    names = [path.partition(start)[2] for paths in made.config.data_files.values() for path in paths]
    return {name: dataset.files.get(name, 0) for name in names if name}


@contextmanager
def said(kind: str, id: str, revision: str) -> Iterator[None]:
    """Convert errors of the hub's client and the datasets library to an InputError with advice for the user."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # dozens of types for a few situations of the user
        raise InputError(sentence(kind, id, revision, error)) from error


def causes(error: BaseException) -> list[BaseException]:
    """An error and its causes; the last one is the original cause."""
    found = [error]
    while cause := found[-1].__cause__ or found[-1].__context__:
        found.append(cause)
    return found


def status_of(error: BaseException) -> int | None:
    """The HTTP status with which a server refused; None for any other error."""
    from huggingface_hub.errors import HfHubHTTPError

    return next((one.response.status_code for one in causes(error) if isinstance(one, HfHubHTTPError)), None)


def lost(error: BaseException) -> str:
    """Why an address does not have its file, if another address may have it; empty for any other error."""
    import httpx2
    from huggingface_hub import errors

    found, status = causes(error), status_of(error)

    def caused_by(*kinds: type[BaseException]) -> bool:
        return any(isinstance(one, kinds) for one in found)

    if caused_by(errors.GatedRepoError, errors.OfflineModeIsEnabled):
        return ""
    taken_down = caused_by(errors.RepositoryNotFoundError, errors.DisabledRepoError)
    if status is not None and (taken_down or status in (404, 410, 451) or status >= 500):
        return f"HTTP {status}"
    return first_line(found[-1]) if caused_by(httpx2.TransportError) else ""


def sentence(kind: str, id: str, revision: str, error: BaseException) -> str:
    """The meaning of an error for the user, and the fix."""
    import httpx2
    from huggingface_hub import constants, errors, get_token

    found = causes(error)

    def caused_by(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in found)

    what = f"the {kind} {id} (revision {revision})"
    page = f"{constants.ENDPOINT}/{'datasets/' if kind == 'dataset' else ''}{id}"
    if caused_by(errors.GatedRepoError):
        if get_token():
            return (
                f"{what} is gated and this login has no access to it: accept its licence at {page} with the "
                "account of this login."
            )
        return f"{what} is gated: accept its licence at {page}, then `hf auth login` or set HF_TOKEN."
    if caused_by(errors.RevisionNotFoundError):
        return f"the {kind} {id} has no revision {revision}: use a commit that {page}/commits/main lists."
    if caused_by(errors.RepositoryNotFoundError):
        seen = (
            "or this login may not see it"
            if get_token()
            else "or it is private and there is no login (`hf auth login`)"
        )
        return f"the {kind} {id} is not on the hub, {seen}: fix its id."
    if status_of(error) == 401:
        return (
            f"the hub does not accept the token of this login for {what}: run `hf auth login` again, or fix HF_TOKEN."
        )
    if caused_by(errors.OfflineModeIsEnabled):
        return (
            "the environment variable HF_HUB_OFFLINE is set, so the hub is not used: unset it, or give local "
            "files as path."
        )
    if caused_by(httpx2.TransportError, ConnectionError):
        return (
            f"the hub at {constants.ENDPOINT} cannot be reached ({first_line(found[-1])}): check the network and "
            "HTTPS_PROXY, or give local files as path; files that are complete are kept."
        )
    if caused_by(RuntimeError) and "Dataset scripts are no longer supported" in str(error):
        return f"{what} is a program that makes the data, and it is not run: download its files and give them as path."
    return f"{what} cannot be fetched: {first_line(error)}; try again, or give local files as path."
