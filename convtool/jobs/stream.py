"""Blocks from a reader through an operation to an output: the one place where NumPy meets torch."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice, takewhile
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from convtool.errors import InputError
from convtool.signals.pcm import count_bad
from convtool.signals.signal import Block, Reader, Signal

_AHEAD = 8
"""Blocks that are read before the first one is asked for."""

_PATIENCE = 1.0
"""Seconds to wait, once there is nothing more to do, for a read under way: a file's ends long before, a stalled
pipe's never. libsndfile does not survive that a file is closed while another thread reads it."""

if TYPE_CHECKING:
    from torch import Tensor

    from convtool.ops.blocks import Blockwise


def working_dtype(asked: str | None, signal: Signal) -> str:
    """The floating-point dtype that `signal` is worked in: what was asked for, else its own; integers in float64."""
    return asked or ("float64" if signal.dtype == "int64" else signal.dtype)


@dataclass
class Ingest:
    """Turns a reader's blocks into tensors, under the command's NaN policy.

    `nan` is ``propagate``, ``error`` (the first NaN or infinity ends the job) or ``zero`` (both become 0).
    """

    signal: Signal
    dtype: str
    device: str
    nan: str = "propagate"
    samples: int = field(default=0, init=False)

    def tensor(self, block: Block) -> Tensor:
        """`block` as a tensor of the working dtype, PCM integers scaled to [-1, 1)."""
        import torch

        if self.nan != "propagate" and np.issubdtype(block.dtype, np.floating) and not np.isfinite(block).all():
            block = self._clean(block)
        self.samples += block.shape[-1]
        tensor = torch.from_numpy(self._in_dtype(block))
        if self.signal.full_scale is not None:
            tensor = tensor.mul_(1.0 / self.signal.full_scale)
        return tensor.to(self.device)

    def _in_dtype(self, block: Block) -> Block:
        """A copy of `block` in the working dtype; numbers that this does not hold are an error."""
        own = np.empty(block.shape, self.dtype)
        with np.errstate(over="ignore"):
            np.copyto(own, block, casting="unsafe")  # from interleaved frames, nine times as fast as torch
        if block.dtype == np.float64 and own.dtype == np.float32 and np.isinf(own).any():
            lost = (np.isinf(own) & ~np.isinf(block)).reshape(-1, block.shape[-1])
            if lost.any():
                first = int(lost.any(axis=0).argmax())
                at = self.samples - block.shape[-1] + first
                raise InputError(f"sample {at} is beyond what float32 holds; work in float64")
        return own

    def _clean(self, block: Block) -> Block:
        if self.nan == "zero":
            return np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)
        count, first = count_bad(block.reshape(-1, block.shape[-1]))
        raise InputError(
            f"sample {self.samples + first} is NaN or infinite (the first of {count} in its block); see --nan"
        )


class Sink(Protocol):
    """Where the blocks of a result go, one after the other."""

    def encode(self, block: Block) -> Any:
        """What `write` takes of a block; any thread may call it."""

    def write(self, encoded: Any) -> None:
        """Append the next block."""


class Made(NamedTuple):
    """The result of one block."""

    samples: int
    encoded: Any
    """The block as `Sink.write` takes it; None where there is nothing to write."""
    block: Block | None
    """Its numbers, where they are to be recorded."""


Stage = Callable[[Block | None], Callable[[], Made]]
"""Takes in the next block, or at None the end of the signal; the function returned computes what that completes, and
any thread may call it."""


def computed(ingest: Callable[[Block], Tensor], operation: Blockwise, encode: Callable[[Block], Any]) -> Stage:
    """Blocks through the operation."""

    def stage(block: Block | None) -> Callable[[], Made]:
        work = operation.stage_end() if block is None else operation.stage(ingest(block))

        def made() -> Made:
            result = work().cpu().numpy()
            return Made(result.shape[-1], encode(result) if result.shape[-1] else None, result)

        return made

    return stage


class Stream:
    """One signal on its way: blocks are read in order, worked side by side, written in order.

    Every thread runs the same loop: under a lock it reads the next block and stages it, then computes and encodes
    outside the lock, and writes when all earlier blocks have been written.
    The bytes written do not depend on the number of threads.
    """

    def __init__(
        self, blocks: Iterator[Block], stage: Stage, output: Sink, record: Callable[[Block], None] | None = None
    ) -> None:
        self._blocks = blocks
        self._stage = stage
        self._output = output
        self._record = record
        self._lock = threading.Lock()
        self._turn = threading.Condition()
        self._taken = self._written = 0
        self._ended = False
        self._failure: BaseException | None = None
        self.samples = 0

    def run(self, threads: int) -> None:
        """Work through the signal with `threads` threads, this one among them."""
        helpers = [threading.Thread(target=self._work, daemon=True) for _ in range(threads - 1)]
        for helper in helpers:
            helper.start()
        self._work()
        for helper in helpers:
            helper.join(None if self._failure is None else _PATIENCE)
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        import torch

        try:
            with torch.inference_mode():
                while (item := self._take()) is not None:
                    number, make = item
                    self._put(number, make())
        except BaseException as error:  # of any kind: the other threads must not wait for this block
            with self._turn:
                self._failure = self._failure or error
                self._turn.notify_all()

    def _take(self) -> tuple[int, Callable[[], Made]] | None:
        with self._lock:
            if self._ended or self._failure is not None:
                return None
            block = next(self._blocks, None)
            self._ended = block is None
            make = self._stage(block)
            self._taken += 1
            return self._taken - 1, make

    def _put(self, number: int, made: Made) -> None:
        with self._turn:
            self._turn.wait_for(lambda: self._written == number or self._failure is not None)
            if self._failure is not None:
                return
            if made.encoded is not None:
                self._output.write(made.encoded)
                if self._record is not None:
                    assert made.block is not None
                    self._record(made.block)
            self.samples += made.samples
            self._written += 1
            self._turn.notify_all()


@contextmanager
def read_ahead(reader: Reader, values: int) -> Iterator[Iterator[Block]]:
    """The blocks of `reader`, the next few of them read by a thread while the caller is still starting up.

    Importing torch takes a second; by its end these blocks are decoded. A signal without a single
    sample is an error at once: nothing could be made of it. On leaving, the thread stops.
    """
    blocks = reader.blocks(values)
    first = next(blocks, None)
    if first is None:
        raise InputError("there are 0 samples in it")
    ready: SimpleQueue[Block | Exception | None] = SimpleQueue()
    stopped = threading.Event()

    def fetch() -> None:
        try:
            for block in takewhile(lambda _: not stopped.is_set(), islice(blocks, _AHEAD)):
                ready.put(block)
        except Exception as error:
            ready.put(error)
        ready.put(None)

    threads = [threading.Thread(target=fetch, daemon=True)] if "torch" not in sys.modules else []
    for thread in threads:
        thread.start()

    def joined() -> Iterator[Block]:
        yield first
        while threads and (item := ready.get()) is not None:  # each as it is there: the next may be long in coming
            if isinstance(item, Exception):
                raise item
            yield item
        yield from blocks

    try:
        yield joined()
    finally:
        stopped.set()
        for thread in threads:
            thread.join(_PATIENCE)
