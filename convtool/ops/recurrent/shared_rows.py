"""Streams on several threads that go through one recurrent layer as the rows of one call.

A step of a small layer costs more in getting about than in arithmetic: eight streams together take three times as long
as one. They may only go together where it shows in no bit of their results, or these would depend on which streams
happened to meet. Whether it does depends on the layer, the dtype and the processor, and so is tried out.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from convtool.ops.blocks import Blockwise, Work
from convtool.ops.recurrent.network import Network
from convtool.ops.recurrent.steps import Rnn, Run, State, zero_state

ROWS = 8
"""Rows that one call has at the most; more are no faster."""

_TRIAL_STEPS = 128


class SharedRows:
    """Lets the streams of several threads share the calls of a network's recurrent layers.

    A stream is staged through `stream`; those that are being staged at one time wait for each other at each layer, and
    the blocks of equal length that meet there are worked in one call.

    Args:
        network: its `runs` are replaced, those of layers whose rows come out alike together and alone.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self._lock = threading.Lock()
        self._streams = 0
        self._busy = False
        self._waiting: list[_Call] = []
        layers = zip(network.recurrent, network.runs, strict=True)
        network.runs = [self._shared(run) if rows_alike(layer, run) else run for layer, run in layers]

    def stream(self, operation: Blockwise) -> Blockwise:
        """`operation`, which runs the network, as one of the streams."""
        return _Sharing(operation, self)

    @contextmanager
    def among(self) -> Iterator[None]:
        """While a thread is inside, the others wait for its calls."""
        with self._lock:
            self._streams += 1
        try:
            yield
        finally:
            with self._lock:
                self._streams -= 1
                self._lead_if_complete()

    def _shared(self, run: Run) -> Run:
        def shared(x: Tensor, state: State) -> tuple[Tensor, State]:
            call = _Call(run, x, state)
            with self._lock:
                self._waiting.append(call)
                self._lead_if_complete()
            return call.result.result()

        return shared

    def _lead_if_complete(self) -> None:
        """Where every stream waits: work the call that has waited longest, and those that can go with it.

        Called with the lock held, which is free during the work.
        """
        if self._busy or not self._waiting or len(self._waiting) < self._streams:
            return
        group = self._next_group()
        self._waiting = [call for call in self._waiting if call not in group]
        self._busy = True
        self._lock.release()
        try:
            results = _worked_together(group)
        finally:
            self._lock.acquire()
            self._busy = False
        for call, result in zip(group, results, strict=True):
            call.answer(result)

    def _next_group(self) -> list[_Call]:
        first, *others = self._waiting
        group, rows = [first], first.rows
        for call in others:
            if call.run is first.run and call.x.shape[0] == first.x.shape[0] and rows + call.rows <= ROWS:
                group.append(call)
                rows += call.rows
        return group


_Result = tuple[Tensor, State]


@dataclass(eq=False)
class _Call:
    run: Run
    x: Tensor
    state: State
    result: Future[_Result] = field(default_factory=Future)

    @property
    def rows(self) -> int:
        return self.x.shape[1]

    def answer(self, result: _Result | Exception) -> None:
        if isinstance(result, Exception):
            self.result.set_exception(result)
        else:
            self.result.set_result(result)


def _worked_together(calls: Sequence[_Call]) -> Sequence[_Result | Exception]:
    try:
        y, state = calls[0].run(
            torch.cat([call.x for call in calls], 1),
            tuple(torch.cat(parts, 1) for parts in zip(*(call.state for call in calls), strict=True)),
        )
    except Exception as error:  # each caller's to deal with
        return [error] * len(calls)
    results: list[_Result] = []
    start = 0
    for call in calls:
        own = [part.narrow(1, start, call.rows).contiguous() for part in (y, *state)]
        results.append((own[0], tuple(own[1:])))
        start += call.rows
    return results


class _Sharing(Blockwise):
    def __init__(self, operation: Blockwise, shared: SharedRows) -> None:
        self._operation = operation
        self._shared = shared

    def stage(self, block: Tensor) -> Work:
        with self._shared.among():
            return self._operation.stage(block)

    def stage_end(self) -> Work:
        with self._shared.among():
            return self._operation.stage_end()


def rows_alike(layer: Rnn, run: Run) -> bool:
    """Whether up to `ROWS` rows through `run`, which runs `layer`, have the same bits together as each alone.

    Tried with random numbers, in the layer's dtype and on its device.
    """
    weight = layer.all_weights[0][0]
    random = torch.Generator().manual_seed(0)

    def numbers(like: Tensor) -> Tensor:
        return (torch.rand(like.shape, generator=random, dtype=torch.float64) - 0.5).to(weight)

    with torch.no_grad():
        x = numbers(weight.new_empty(_TRIAL_STEPS, ROWS, layer.input_size))
        state = tuple(numbers(part) for part in zero_state(layer, x))

        def worked(first: int, rows: int) -> list[Tensor]:
            own = [part[:, first : first + rows].contiguous() for part in (x, *state)]
            y, last = run(own[0], tuple(own[1:]))
            return [y, *last]

        alone = [worked(row, 1) for row in range(ROWS)]
        for rows in range(2, ROWS + 1):
            joined = (torch.cat(parts, 1) for parts in zip(*alone[:rows], strict=True))
            if not all(map(torch.equal, worked(0, rows), joined)):
                return False
    return True
