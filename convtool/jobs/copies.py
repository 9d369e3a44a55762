"""Temporary copies of inputs that can be read only once, or that lie in a store."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace

from convtool.files.atomic import is_special
from convtool.files.remote import fetch
from convtool.files.source import Source
from convtool.files.urls import is_url
from convtool.runs import stopping
from convtool.signals.inputs import Input
from convtool.signals.signal import Signal


def is_read_once(item: Input) -> bool:
    """Whether an input comes through a pipe, or is fetched each time that it is opened."""
    return item.kind == "stdin" or (item.kind == "file" and (is_special(item.value) or is_url(item.value)))


def flows(item: Input, signal: Signal) -> bool:
    """Whether an input is a text that comes through a pipe, so that some of it may be there long before the rest."""
    if signal.format != "CSV":
        return False
    if item.kind == "stdin":
        return not stat.S_ISREG(os.fstat(0).st_mode)
    return item.kind == "file" and is_special(item.value)


@contextmanager
def rereadable(item: Input, *, needed: bool = True) -> Iterator[Input]:
    """`item`, or where it can be read only once but `needed` twice, a temporary copy of it."""
    if not (needed and is_read_once(item)):
        yield item
        return
    handle, place = tempfile.mkstemp(prefix="convtool-")
    try:
        with open(handle, "wb", buffering=0) as copy:
            if is_url(item.value):
                fetch(item.value, copy, stopping.asked())
                stopping.check()
            else:
                with closing(Source.of_stdin() if item.kind == "stdin" else Source.of_path(item.value)) as source:
                    while chunk := source.read():
                        copy.write(chunk)
        yield replace(item, kind="file", value=place)
    finally:
        os.unlink(place)


class Copies:
    """Copies of many inputs, which any thread may ask for; a `with` block removes them."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Copies:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def of(self, item: Input) -> Input:
        """Where `item` is read: it is the same where it can be read again.

        Raises:
            InputError: it can't be read.
        """
        return self._stack.enter_context(rereadable(item)) if is_read_once(item) else item
