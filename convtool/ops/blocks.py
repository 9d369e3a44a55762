"""What every block-wise operation looks like."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor

Work = Callable[[], Tensor]


class Blockwise(ABC):
    """An operation over a signal that arrives in blocks ``(..., channels, samples)`` of any length.

    The work of a block falls into two halves. `stage` takes the block in and moves the state on: it
    is cheap and must be called in order. What it returns is the arithmetic: a function of its own
    data that may run on any thread, in any order, and gives the output samples (perhaps none) which
    this block completes. Outputs joined in stage order are the whole result, and do not depend on
    where the blocks were cut.
    """

    @abstractmethod
    def stage(self, block: Tensor) -> Work:
        """Take in the next block; the function returned computes the outputs that it completes."""

    @abstractmethod
    def stage_end(self) -> Work:
        """Take in the end of the signal; the function returned computes the last outputs."""

    def push(self, block: Tensor) -> Tensor:
        """The outputs that `block` completes, computed now."""
        return self.stage(block)()

    def finish(self) -> Tensor:
        """The outputs that only the end of the signal completes, computed now."""
        return self.stage_end()()
