"""Torch, loaded late and once, and set up for blocks: one thread a call, the parallelism is ours."""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import platform
from contextlib import suppress
from functools import lru_cache
from types import ModuleType

from convtool.errors import UsageError
from convtool.files.streams import silence_stderr

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8


def load_torch() -> ModuleType:
    """Import torch without the garbage collector walking over all that it makes (a sixth of the time).

    FFTs give other last bits with two threads than with one, and libgomp's threads stall on small
    work, so torch gets one thread; jobs run several blocks side by side instead.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    _share_one_heap()
    _leave_a_lost_folder()
    enabled = gc.isenabled()
    gc.disable()
    import torch

    gc.freeze()
    if enabled:
        gc.enable()
    torch.set_num_threads(1)
    return torch


def _leave_a_lost_folder() -> None:
    """MKL ends a process whose working folder is gone: go where no relative path leads to anything either."""
    try:
        os.getcwd()
    except FileNotFoundError:
        with suppress(OSError):
            os.chdir("/proc/self/task")


@lru_cache(maxsize=1)
def _share_one_heap() -> None:
    """Let glibc's threads share one heap: with one each, what a thread frees is of no use to the others.

    A convolution of 42 minutes of sound on 8 threads takes 385 MB instead of 420, and no more time.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def _keep_freed_blocks() -> None:
    """Let glibc keep blocks of some megabytes for the next, as it does by itself where nobody meddles.

    Dask's nannies set MALLOC_TRIM_THRESHOLD_ for their workers, which then fetch fresh pages for each block of a
    signal: two fifths more time, as measured.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        libc.mallopt(_M_TRIM_THRESHOLD, 64 << 20)


def choose_device(name: str, values: int | None) -> str:
    """The device to work on. `auto`: a GPU where there is one and the signal is unknown or above 2**24 values.

    Below that, moving the samples costs more than the work.
    """
    torch = load_torch()
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        worth = values is None or values > 1 << 24
        return next(kind for kind in ("cuda", "cpu") if there[kind] and (worth or kind == "cpu"))
    if not there[name]:
        possible = ", ".join(kind for kind, found in there.items() if found)
        raise UsageError(f"--device {name}: there is none that torch can use here; there is {possible}")
    return name


def prepare_worker(meter: str | None = None) -> None:
    """What a worker process does before its first job: quiet C libraries, and torch on one thread.

    `meter` is where it counts how far it is.
    """
    os.close(silence_stderr())
    from convtool.isolation import decode_here

    decode_here()
    if meter is not None:
        from convtool.jobs.progress import join

        join(meter)
    load_torch()


def prepare_cluster_worker() -> None:
    """What a worker of a cluster does before its first input: all imports, and torch on one thread.

    It is not alone in its process: decoders crash in children of it, and what libraries print is left as it is.
    """
    _keep_freed_blocks()
    importlib.import_module("convtool.jobs.preload")
