"""What ends a program with a sentence for its user rather than a traceback."""


class InputError(ValueError):
    """Something the user gave cannot be used: a config key, a file, a row, a model or the environment.

    The message is one sentence that names the culprit (file, key, row or sample) and the fix. Command lines print it
    without a traceback and exit with status 2.
    """


class Interrupted(Exception):  # noqa: N818 - nothing is wrong
    """SIGTERM asked the work to stop, and it has stored what it needs to go on when it is run again.

    The message is one sentence. Command lines print it and exit with status 143, as a shell calls an end by SIGTERM.
    """


def first_line(error: BaseException) -> str:
    """The first line of an error's message without its full stop, or the error's type where it has none.

    A line that ends in a colon is joined with the next one.
    """
    first, *others = [line.strip() for line in str(error).strip().splitlines()] or [type(error).__name__]
    return " ".join([first, *others[: first.endswith(":")]]).rstrip(".")
