"""The one kind of error that a user is meant to read."""


class InputError(ValueError):
    """Something the user gave cannot be used: a config key, a file, a row, a model or the environment.

    The message is one sentence that names the culprit (file, key, row or sample) and the mend. Command lines print it
    without a traceback and exit with status 2.
    """
