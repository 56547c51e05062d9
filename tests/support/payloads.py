"""What would run if something loaded it: pickles and modules that make a file, which shows whether they did."""

import pickle
from pathlib import Path


class Payload:
    """An object whose unpickling makes a file."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self):
        return Path.touch, (self.made,)


def pickled(made: Path) -> bytes:
    """A pickle that makes a file when it is loaded, as is checked here."""
    content = pickle.dumps(Payload(made))
    pickle.loads(content)
    assert made.exists()
    made.unlink()
    return content


def module(made: Path) -> str:
    """A module that makes a file when it is imported, and defines whatever is asked of it."""
    return f"import pathlib\npathlib.Path({str(made)!r}).touch()\n__getattr__ = lambda name: object\n"
