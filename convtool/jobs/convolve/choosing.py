"""Several kernels: which are meant by a folder or pattern, and which of them each input is convolved with."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence

from convtool.errors import UsageError
from convtool.files.names import show
from convtool.runs.plan import Choice
from convtool.signals.inputs import Input, expand


def find_kernels(word: str) -> tuple[list[Input], list[str]]:
    """The kernels that `word` stands for, in a folder, by a pattern, or by name; and the files that are passed over.

    Raises:
        UsageError: there is none in the folder.
    """
    kernels, passed = expand((word,))
    if not kernels:
        left = f"{len(passed)} passed over, such as {show(passed[0])}" if passed else "it is empty"
        raise UsageError(f"there is no kernel in {show(word)}: {left}")
    return kernels, passed


def word_of(kernel: Input) -> str:
    """The word that names `kernel` alone."""
    return f"{kernel.value}::{kernel.array}" if kernel.array else kernel.value


def all_of(kernels: Sequence[Input]) -> Callable[[Input], list[Choice]]:
    """Every kernel for each input."""
    choices = [_choice(kernel) for kernel in kernels]
    return lambda _: choices


def one_of(kernels: Sequence[Input], seed: int) -> Callable[[Input], list[Choice]]:
    """One kernel for each input, as if at random, and the same for the same seed and name.

    The input's name below its folder and each kernel's are hashed together, and the highest digest wins (rendezvous
    hashing: Thaler and Ravishankar 1998). So neither the other inputs nor their order matter, and of a folder to which
    a kernel is added no input gets another but those that get that one.
    """

    def drawn(item: Input) -> list[Choice]:
        def digest(kernel: Input) -> bytes:
            names = b"\0".join(os.fsencode(each) for each in (str(seed), item.relative, kernel.relative))
            return hashlib.sha256(names).digest()

        return [_choice(max(kernels, key=digest))]

    return drawn


def _choice(kernel: Input) -> Choice:
    return Choice("kernel", word_of(kernel), os.path.splitext(kernel.relative)[0].replace(os.sep, "-"))
