"""How this process takes memory from the system, and looks through it for what nobody needs any more."""

import ctypes
import gc
import importlib
from types import ModuleType

# The numbers of options of glibc's mallopt (malloc.h).
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
KEPT = 1 << 30
"""Bytes at the end of the heap that may lie free."""
STEP = 1 << 26
"""Bytes by which the heap grows."""


def keep_freed() -> bool:
    """Let freed blocks stay with this process, for the next tensor; whether the C library has such a choice.

    glibc hands large blocks back at once. A step of training on processors frees and takes the same ones again, and the
    kernel fills each page of them with zeros: a twentieth of the time of a small model. Results stay the same.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return False
    return all([mallopt(MMAP_MAX, 0), mallopt(TRIM_THRESHOLD, KEPT), mallopt(TOP_PAD, STEP)])


def load(module: str) -> ModuleType:
    """Import a module at the beginning of a job, and keep Python's garbage collector off everything that comes with it.

    The collector would go through the thousands of modules again and again while they are imported, which takes a fifth
    of the time of torch and transformers, or of seaborn, and once more in every collection after that. None of them
    ever goes.
    """
    gc.disable()
    try:
        loaded = importlib.import_module(module)
        gc.freeze()
    finally:
        gc.enable()
    return loaded
