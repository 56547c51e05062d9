"""Pickles and modules that make a file if something loads them; the file shows that their code ran."""

import pickle
from pathlib import Path


class Payload:
    """An object whose unpickling makes a file."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self):
        return Path.touch, (self.made,)


def pickled(made: Path) -> bytes:
    """A pickle that makes a file when it is loaded; this function checks that it does."""
    content = pickle.dumps(Payload(made))
    pickle.loads(content)
    assert made.exists()
    made.unlink()
    return content


def module(made: Path) -> str:
    """A module that makes a file when it is imported, and that has an attribute of every name."""
    return f"import pathlib\npathlib.Path({str(made)!r}).touch()\n__getattr__ = lambda name: object\n"
