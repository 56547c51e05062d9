"""Errors that end a program with a sentence for its user rather than a traceback."""

import errno
import os
import re

LOGIN = re.compile(r"(?<=://)[^/\s@]+@")
"""Name and password in an address."""

TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""Environment variables with a login for the hub."""

HUB_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{16,}")


class InputError(ValueError):
    """Something the user gave cannot be used: a config key, a file, a row, a model or the environment.

    The message is one sentence that names the cause (file, key, row or sample) and the fix. Command lines print it
    without a traceback and exit with status 2.
    """


class Interrupted(Exception):  # noqa: N818 - nothing is wrong
    """The work stopped after SIGTERM, and has stored its state, so that it continues when it is run again.

    The message is one sentence. Command lines print it and exit with status 143, as in a shell after SIGTERM.
    """


FIXES = {
    errno.EACCES: "get the permission, or give another path",
    errno.EPERM: "get the permission, or give another path",
    errno.EROFS: "mount it for writing, or give another path",
    errno.ENOENT: "check the path, and that its folder exists",
    errno.ENOTDIR: "check the path: a part of it is a file",
    errno.EISDIR: "name a file, not a folder",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOSPC: "free space on its disk",
    errno.EDQUOT: "free some of your quota",
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.ENFILE: "close other programs",
    errno.ENOMEM: "free memory",
}
"""Fixes for refusals of the operating system, by the number of the error."""


UNFINISHED = re.compile(r"/\.\d+\.(?=[^/])")
"""The prefix of `io.atomic_path` for the name of an unfinished file."""


def finished(path: str | bytes) -> str:
    """The final name of a path that is being written (`io.atomic_path`)."""
    return UNFINISHED.sub("/", os.fsdecode(path))


def refused_by_system(error: OSError) -> str:
    """The sentence about a refusal of the operating system: the path, the reason, and the fix."""
    # An error may have only the number of a file, which is not a path.
    path = error.filename if isinstance(error.filename, str | bytes) else str(error.filename or "a file")
    if error.strerror is None:
        return f"the operating system reports an error ({first_line(error)}): check paths, disk and network."
    if error.filename is None and error.errno == errno.ENOENT:  # the form of `tempfile`
        return f"{error.strerror}: set TMPDIR to a folder that can be written."
    fix = FIXES.get(error.errno or 0, "check the path, its disk and the network")
    return f"{finished(path)} cannot be used ({error.strerror}): {fix}."


def first_line(error: BaseException) -> str:
    """The first line of an error's message without its full stop, or the error's type if it has no message.

    A line that ends in a colon is joined with the next one.
    """
    first, *others = [line.strip() for line in str(error).strip().splitlines()] or [type(error).__name__]
    return " ".join([first, *others[: first.endswith(":")]]).rstrip(".")


def redacted(text: str) -> str:
    """A text without logins: those in addresses, the token of the environment, and words that look like hub tokens."""
    for token in filter(None, map(os.environ.get, TOKENS)):
        text = text.replace(token, "***")
    return HUB_TOKEN.sub("***", LOGIN.sub("***@", text))
