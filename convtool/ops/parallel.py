"""One torch thread a computation, several computations at once, and memory for large results."""

from __future__ import annotations

import mmap
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LARGE = 1 << 22
"""Bytes from which a result asks for huge pages."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread here: an FFT's last bits change with the number of threads."""
    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run_in_threads(task: Callable[[], None], threads: int) -> None:
    """Call `task` in `threads` Python threads, torch using one thread in each; the first error is raised here."""
    with one_thread(), ThreadPoolExecutor(threads) as pool:
        for future in [pool.submit(task) for _ in range(threads)]:
            future.result()


def empty(shape: Sequence[int], like: Tensor, dtype: torch.dtype) -> Tensor:
    """An uninitialised tensor of `shape` on the device of `like`.

    The first touch of fresh memory costs more than a short convolution: 15 ms for 40 MB in pages of 4 KiB, 4 ms
    in huge pages, which torch does not ask for and NumPy does.
    """
    bytes_ = torch.Size(shape).numel() * dtype.itemsize
    if like.device.type != "cpu" or bytes_ < LARGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.empty(shape, dtype=dtype, device=like.device)
    memory = mmap.mmap(-1, bytes_, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=dtype).view(shape)


def keep_freed_memory() -> None:
    """Make glibc keep what is freed for the next allocation, instead of giving every few megabytes back.

    Two threads that fetch fresh pages for each of their temporary arrays spend most of their time doing so. Freeing
    one mapped block tells malloc that blocks of this size come and go (mallopt(3), M_MMAP_THRESHOLD); other allocators
    see 31 MiB that are never touched.
    """
    torch.empty(31 << 20, dtype=torch.uint8)
