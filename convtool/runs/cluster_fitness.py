"""Whether a worker of a Dask cluster can take part in a run: asked there, with what it is to be compared with."""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata

from convtool.errors import ConvtoolError
from convtool.files.names import show

_LIBRARIES = ("convtool", "torch", "numpy", "soundfile")
_END = 1 << 16
"""Bytes at either end of a file by which it is known again."""


class UnfitWorker(ConvtoolError):
    """A worker can't do the work of a run."""


@dataclass(frozen=True)
class Witness:
    """An input that every worker must see, known again by its size and its ends."""

    path: str
    size: int
    digest: str

    @classmethod
    def of(cls, path: str) -> Witness:
        """The file at `path`, as it is seen here."""
        with open(os.fsencode(path), "rb") as file:
            size = file.seek(0, os.SEEK_END)
            digest = hashlib.sha256()
            for start in (0, max(0, size - _END)):
                file.seek(start)
                digest.update(file.read(_END))
        return cls(path, size, digest.hexdigest())


@dataclass(frozen=True)
class Run:
    """One run of the program, and what its workers must have in common with it."""

    token: str
    setup: Callable[[], None]
    """Loads what the work needs; called once in a process."""
    folder: str | None = None
    """The folder where the program was started, which relative paths begin at."""
    witness: Witness | None = None
    output: str | None = None
    """A folder that all outputs lie below."""
    versions: tuple[str, ...] = ()


def versions() -> tuple[str, ...]:
    """Of what the numbers and the bytes of outputs depend on, as they are installed here."""
    return (
        f"Python {platform.python_version().rpartition('.')[0]}",
        *(f"{n} {metadata.version(n)}" for n in _LIBRARIES),
    )


def unfitness(run: Run) -> str | None:
    """What this worker lacks to take part in `run`, to be said after its name; None where it can."""
    differ = [pair for pair in zip(versions(), run.versions, strict=False) if pair[0] != pair[1]]
    if differ:
        return (
            f"has {', '.join(found for found, _ in differ)}, where {', '.join(asked for _, asked in differ)} is needed"
        )
    if run.witness is not None:
        try:
            if Witness.of(run.witness.path) != run.witness:
                return f"sees another file at {show(run.witness.path)}; inputs must lie where all workers see them"
        except OSError as error:
            return f"can't see {show(run.witness.path)} ({error.strerror}); inputs must lie where all workers see them"
    if run.output is not None and not os.path.isdir(run.output):
        return f"has no folder {show(run.output)}; outputs must lie where all workers see them"
    return None


def meet(path: str, text: str) -> tuple[str | None, str]:
    """Read the `text` that was written at `path` elsewhere, and write it beside; what stands against it, and where."""
    place = f"{path}.{secrets.token_hex(4)}"
    try:
        with open(path, encoding="ascii") as file:
            found = file.read()
        with open(place, "x", encoding="ascii") as file:
            file.write(text)
    except OSError as error:
        reason = f"{show(os.path.dirname(path))} ({error.strerror})"
        return f"can't read and write in {reason}; outputs must lie where all workers see them", place
    if found != text:
        return f"sees another folder {show(os.path.dirname(path))}", place
    return None, place


def leave(place: str) -> None:
    """Remove what `meet` has written, here or elsewhere."""
    with suppress(OSError):
        os.unlink(place)
