"""The process keeps freed memory where the C library can, and the garbage collector skips loaded modules."""

import gc
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from headpatterns.processes import memory

TOUCHED = """
import ctypes, resource
from headpatterns.processes import memory
kept = memory.keep_freed() if {keep} else None
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
def turn():
    block = libc.malloc(16 << 20)
    ctypes.memset(block, 1, 16 << 20)
    libc.free(block)
turn()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    turn()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_freed_blocks_are_not_filled_again():
    """Without `keep_freed`, every page of the four blocks is new to the process: 16 MB are 4096 pages."""
    package = {**os.environ, "PYTHONPATH": str(Path(memory.__file__).parents[2])}
    faults = {
        keep: int(subprocess.check_output([sys.executable, "-c", TOUCHED.format(keep=keep)], text=True, env=package))
        for keep in (True, False)
    }
    assert faults[True] < 100
    assert faults[False] > 10 * faults[True]


def test_another_c_library_has_no_such_choice(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert memory.keep_freed() is False


def test_modules_that_are_loaded_are_none_of_the_garbage_collectors_business(tmp_path, monkeypatch):
    (tmp_path / "loaded_here.py").write_text(
        "import gc\ncollected = gc.isenabled()\nheld = [[] for _ in range(1000)]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    try:
        memory.load("loaded_here")
        assert sys.modules["loaded_here"].collected is False
        assert gc.get_freeze_count() > 1000 and gc.isenabled()
        with pytest.raises(ModuleNotFoundError):
            memory.load("not_there_at_all")
        assert gc.isenabled()
    finally:
        gc.unfreeze()
