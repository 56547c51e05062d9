"""The one kind of error that a user is meant to read."""


class InputError(ValueError):
    """Something the user gave cannot be used: a config key, a file, a row, a model or the environment.

    The message is one sentence that names the culprit (file, key, row or sample) and the mend. Command lines print it
    without a traceback and exit with status 2.
    """


def first_line(error: BaseException) -> str:
    """The first line of an error's message without its full stop, or the error's type where it has none.

    A line that ends in a colon brings the next one along.
    """
    first, *others = [line.strip() for line in str(error).strip().splitlines()] or [type(error).__name__]
    return " ".join([first, *others[: first.endswith(":")]]).rstrip(".")
