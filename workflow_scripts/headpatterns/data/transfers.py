"""The transfer of one file: any process can resume it after an interruption, and the complete file is checked."""

import hashlib
import time
from pathlib import Path
from typing import Any, NamedTuple

from headpatterns.errors import InputError
from headpatterns.io import is_lfs_pointer, remove

PARTIAL = ".part"
"""Suffix of the name of an incomplete file."""

RANGE_NOT_SATISFIABLE = 416
CUTS, PAUSE = 5, 1.0
"""Consecutive connections that may fail without a byte, and seconds before the next one."""


class Remote(NamedTuple):
    """A file that can be fetched.

    Attributes:
        address: its address.
        size: its bytes, 0 if the server does not say.
        checksum: `sha256:…`, `md5:…` or `git:…` (the id of a blob); empty if none is known.
        by: who states it.
        with_login: whether the server gets the login for the hub.
    """

    address: str
    size: int
    checksum: str
    by: str
    with_login: bool = False


def ask(method: str, address: str, with_login: bool = False, **parameters: Any) -> Any:
    """The response of a server, from the hub's client; after a rate limit, the request is repeated when allowed.

    Args:
        method: GET or HEAD.
        address: the requested address.
        with_login: whether the server gets the login for the hub.
        parameters: of the address.
    """
    from huggingface_hub import constants

    client = _client()
    timeout = constants.HF_HUB_ETAG_TIMEOUT
    response = client.http_backoff(
        method, address, params=parameters, headers=_headers(with_login), timeout=timeout, retry_on_exceptions=()
    )
    client.hf_raise_for_status(response)
    return response


def size_of(address: str) -> int:
    """The bytes of a file at an address, 0 if the server does not say."""
    return int(ask("HEAD", address).headers.get("Content-Length") or 0)


def _client() -> Any:
    """The functions of the hub's client, which are not declared as exported."""
    import huggingface_hub.utils

    return huggingface_hub.utils


def _headers(with_login: bool) -> dict[str, str]:
    """Headers of a request, without compression, which would change the size of a file."""
    made: dict[str, str] = _client().build_hf_headers(token=None if with_login else False)
    return {**made, "Accept-Encoding": "identity"}


def fetch(remote: Remote, path: Path, instead: str) -> None:
    """Fetch a file to `path`; a file that exists there is complete. The incomplete file is next to it.

    The hub's client transfers it: it follows redirects, waits as long as a server demands, and continues after a broken
    connection. It does not continue the work of an earlier process; this function does.

    Args:
        remote: the file.
        path: where to write it.
        instead: what to do if the server sends something else.

    Raises:
        InputError: the file is not the expected one; it is then removed.
    """
    if path.is_file():
        return
    part = path.with_name(f"{path.name}{PARTIAL}")
    part.parent.mkdir(parents=True, exist_ok=True)
    if not (part.is_file() and part.stat().st_size == remote.size):
        _transfer(remote, part)
    check(part, remote.checksum, remote.address, remote.by, instead, remote.size)
    part.replace(path)


def check(path: Path, checksum: str, what: str, by: str, instead: str, size: int = 0) -> None:
    """Refuse a file that is not the expected one, and remove it.

    Args:
        path: the file.
        checksum: `sha256:…`, `md5:…` or `git:…`; empty if none is known.
        what: a description of the file.
        by: who states the checksum.
        instead: what to do, apart from another try.
        size: its bytes; 0 if unknown.

    Raises:
        InputError: it has another size or checksum, or is a pointer of Git LFS.
    """
    kind, _, stated = checksum.partition(":")
    problem = ""
    if is_lfs_pointer(path):
        problem = "is a Git LFS pointer instead of the file"
    elif size and path.stat().st_size != size:
        problem = f"has {path.stat().st_size} bytes, but its server states {size}"
    elif kind and (found := digest(path, kind)) != stated:
        problem = f"has the {kind} checksum {found}, but {by} states {stated}"
    if problem:
        remove(path)
        raise InputError(f"{what} {problem}: the download was removed; run again, or {instead}.")


def _transfer(remote: Remote, part: Path) -> None:
    """Fetch the bytes that `part` lacks, over as many connections as needed."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.file_download import http_get

    cuts = 0
    while True:
        with part.open("ab") as file:
            begun = file.tell()
            try:
                http_get(remote.address, file, resume_size=begun, headers=_headers(remote.with_login))
                return
            except httpx2.ReadError:  # the client itself continues after all other breaks
                cuts = 0 if file.tell() > begun else cuts + 1
                if cuts > CUTS:
                    raise
            except HfHubHTTPError as error:
                if not begun or error.response.status_code != RANGE_NOT_SATISFIABLE:
                    raise
                file.truncate(0)  # the bytes there belong to a longer file
        time.sleep(PAUSE)


def digest(path: Path, kind: str) -> str:
    """The checksum of a file, in hexadecimal digits: `sha256`, `md5`, or `git`, the id of its blob in Git."""
    with path.open("rb") as file:
        if kind != "git":
            return hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
        found = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
        while chunk := file.read(2**20):
            found.update(chunk)
        return found.hexdigest()
