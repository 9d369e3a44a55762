"""The end of work that is asked to stop from outside its process: between two blocks, where nothing is half done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from convtool.errors import Terminated

T = TypeVar("T")

_ASKED: ContextVar[Callable[[], bool]] = ContextVar("asked", default=lambda: False)


@contextmanager
def stoppable(to_stop: Callable[[], bool]) -> Iterator[None]:
    """Work in this thread that is to end as soon as `to_stop` gives true."""
    before = _ASKED.set(to_stop)
    try:
        yield
    finally:
        _ASKED.reset(before)


def asked() -> Callable[[], bool]:
    """What tells whether the work of this thread is to stop, in whatever thread it is called."""
    return _ASKED.get()


def check() -> None:
    """Raise Terminated where the work of this thread is to stop."""
    if asked()():
        raise Terminated


def until_stopped(blocks: Iterable[T]) -> Iterator[T]:
    """`blocks`, in whatever thread they are asked for.

    Raises:
        Terminated: the work that began with this call, in its own thread, is to stop.
    """
    to_stop = asked()

    def checked() -> Iterator[T]:
        for block in blocks:
            if to_stop():
                raise Terminated
            yield block
        if to_stop():  # no output takes its name any more
            raise Terminated

    return checked()
