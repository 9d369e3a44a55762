"""Calls on several threads, their results in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from convtool.runs import stopping

T = TypeVar("T")
R = TypeVar("R")


def side_by_side(function: Callable[[T], R], items: Iterable[T], threads: int) -> Generator[R, None, None]:
    """``function(item)`` for all items, in order, `threads` of them at a time.

    Unlike with `Executor.map`, items are taken as there is room for them: neither they nor results pile up. Closing
    the iterator, or an error, leaves out the calls that have not begun, and asks those that have to stop.

    >>> list(side_by_side(abs, iter([3, -2, 1]), 2))
    [3, 2, 1]
    """
    pending: deque[Future[R]] = deque()
    asked, ended = stopping.asked(), threading.Event()

    def call(item: T) -> R:
        with stopping.stoppable(lambda: ended.is_set() or asked()):
            return function(item)

    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                pending.append(pool.submit(call, item))
                if len(pending) > 2 * threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            ended.set()
            for future in pending:
                future.cancel()
