"""The transfer of one file: resumed after an interruption, also by another process, and checked when it is whole."""

import hashlib
import time
from pathlib import Path
from typing import Any, NamedTuple

from headpatterns.errors import InputError
from headpatterns.io import is_lfs_pointer, remove

PARTIAL = ".part"
"""What the name of a file ends with that is on the way."""

RANGE_NOT_SATISFIABLE = 416
CUTS, PAUSE = 5, 1.0
"""Connections that may break off one after another without a byte, and seconds before the next."""


class Remote(NamedTuple):
    """A file that can be fetched.

    Attributes:
        address: its address.
        size: its bytes, 0 where the server does not say.
        checksum: `sha256:…`, `md5:…` or `git:…` (the id of a blob); empty where nobody states one.
        by: who states it.
        with_login: whether the server is given the login for the hub.
    """

    address: str
    size: int
    checksum: str
    by: str
    with_login: bool = False


def ask(method: str, address: str, with_login: bool = False, **parameters: Any) -> Any:
    """What a server answers, as the hub's client has it; asked too much, it is asked again when it says so.

    Args:
        method: GET or HEAD.
        address: what it is asked for.
        with_login: whether it is given the login for the hub.
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
    """The bytes of a file at an address, 0 where the server does not say."""
    return int(ask("HEAD", address).headers.get("Content-Length") or 0)


def _client() -> Any:
    """The functions of the hub's client, which do not say that they are exported."""
    import huggingface_hub.utils

    return huggingface_hub.utils


def _headers(with_login: bool) -> dict[str, str]:
    """Headers of a request; a file that is compressed on the way has another size."""
    made: dict[str, str] = _client().build_hf_headers(token=None if with_login else False)
    return {**made, "Accept-Encoding": "identity"}


def fetch(remote: Remote, path: Path, instead: str) -> None:
    """Fetch a file to `path`; one that is there is whole. What is on the way lies beside it.

    The hub's client transfers it: it follows redirects, waits as long as a server asks for, and goes on after a broken
    connection. It forgets what a process has begun; that is kept here.

    Args:
        remote: the file.
        path: where to.
        instead: what helps where the server gives something else.

    Raises:
        InputError: what came is not what it should be; it is removed then.
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
    """Refuse a file that is not what it should be, and remove it.

    Args:
        path: the file.
        checksum: `sha256:…`, `md5:…` or `git:…`; empty where nobody states one.
        what: what it is, in words.
        by: who states the checksum.
        instead: what helps beside another try.
        size: its bytes; 0 where nobody states them.

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
    """Fetch what `part` lacks, over as many connections as it takes."""
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
            except httpx2.ReadError:  # the client itself goes on after all other breaks
                cuts = 0 if file.tell() > begun else cuts + 1
                if cuts > CUTS:
                    raise
            except HfHubHTTPError as error:
                if not begun or error.response.status_code != RANGE_NOT_SATISFIABLE:
                    raise
                file.truncate(0)  # what is there is of a longer file
        time.sleep(PAUSE)


def digest(path: Path, kind: str) -> str:
    """The checksum of a file, in hexadecimal digits: `sha256`, `md5`, or `git`, under which Git keeps it as a blob."""
    with path.open("rb") as file:
        if kind != "git":
            return hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
        found = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
        while chunk := file.read(2**20):
            found.update(chunk)
        return found.hexdigest()
