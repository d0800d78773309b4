"""This process itself: an allocator that keeps its memory, as many threads as there are cores."""

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager

MALLOC = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
}
"""glibc keeps freed memory instead of giving it back and faulting it in again every update."""

_GUARD = "HANDFUL_REEXEC"


def tune_allocator() -> None:
    """Start this process once more with ``MALLOC`` set; nothing when it is, or without glibc.

    Must run before torch is imported. An environment that sets any of the variables is left alone.
    """
    if _GUARD in os.environ or any(name in os.environ for name in MALLOC):
        return
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return
    os.environ.update(MALLOC)
    os.environ[_GUARD] = "1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def use_threads(count: int | None) -> int:
    """Let torch compute on ``count`` threads, by default one a usable core; how many they are."""
    import torch

    if count is None and "OMP_NUM_THREADS" not in os.environ:
        count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if count is not None:
        torch.set_num_threads(count)
    return torch.get_num_threads()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread for a while.

    A single observation is many operators of microseconds. Where cores are busy, two threads that
    wait for each other at every one of them take minutes for what takes one a second.
    """
    import torch

    kept = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(kept)


@contextmanager
def hush() -> Iterator[None]:
    """Send what C libraries print to stderr nowhere: PyBullet greets on import."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
