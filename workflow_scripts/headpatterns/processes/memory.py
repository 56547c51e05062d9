"""How this process gets memory from the system, and when Python's garbage collector runs."""

import ctypes
import gc
import importlib
from types import ModuleType

# The numbers of options of glibc's mallopt (malloc.h).
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
KEPT = 1 << 30
"""Bytes at the end of the heap that may stay free."""
STEP = 1 << 26
"""Bytes by which the heap grows."""


def keep_freed() -> bool:
    """Keep freed blocks in this process for the next tensor; returns whether the C library supports this.

    glibc returns large blocks at once. A step of training on processors frees and allocates the same blocks again, and
    the kernel fills each of their pages with zeros, which takes a twentieth of the time of a small model. Results stay
    the same.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return False
    return all([mallopt(MMAP_MAX, 0), mallopt(TRIM_THRESHOLD, KEPT), mallopt(TOP_PAD, STEP)])


def load(module: str) -> ModuleType:
    """Import a module at the start of a job, and exclude it and its dependencies from Python's garbage collector.

    The collector would scan the thousands of modules repeatedly during the import, which takes a fifth of the import
    time of torch and transformers, or of seaborn, and again in every later collection. Modules are never freed.
    """
    gc.disable()
    try:
        loaded = importlib.import_module(module)
        gc.freeze()
    finally:
        gc.enable()
    return loaded
