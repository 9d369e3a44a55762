"""What stands before and after a signal that arrives in blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from convtool.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


class Edges:
    """Padding as in `torch.nn.functional.pad`, for blocks ``(B, C, T)`` of a signal.

    Args:
        mode: ``zeros``, ``reflect``, ``replicate`` or ``circular``.
        left: samples before the signal.
        right: samples after it.
        before: the signal's last `left` samples ``(B, C, left)``, for ``circular``.
    """

    def __init__(self, mode: str, left: int, right: int, before: Tensor | None) -> None:
        self._mode, self._left, self._right, self._before = mode, left, right, before
        self._first_needed = left + 1 if mode == "reflect" else 1
        self._last_needed = right + 1 if mode == "reflect" else 1
        self._begun = False
        self._held: list[Tensor] = []
        self._first: list[Tensor] = []
        self._last = torch.empty(0)
        self.received = 0

    def feed(self, x: Tensor) -> list[Tensor]:
        """The pieces of the padded signal that the next samples complete."""
        if self._mode == "circular" and (self.received < self._right or not self._first):
            self._first.append(x[..., : max(0, self._right - self.received)].clone())
        self.received += x.shape[-1]
        ends = [self._last, x[..., -self._last_needed :]] if self._last.dim() > 1 else [x[..., -self._last_needed :]]
        self._last = torch.cat(ends, -1)[..., -self._last_needed :].clone()
        if self._begun:
            return [x]
        if self.received < self._first_needed:
            self._held.append(x.clone())
            return []
        self._begun = True
        if self._held:
            x, self._held = torch.cat([*self._held, x], -1), []
        return [self._prefix(x), x]

    def _prefix(self, x: Tensor) -> Tensor:
        if self._mode == "reflect":
            return x[..., 1 : self._left + 1].flip(-1)
        if self._mode == "replicate":
            return x[..., :1].expand(-1, -1, self._left)
        if self._before is not None:
            return self._before
        return x.new_zeros((*x.shape[:-1], self._left))

    def end(self) -> Tensor:
        """The samples after the signal.

        Raises:
            InputError: the signal is too short to be reflected or wrapped around.
        """
        wide, least = max(self._left, self._right), self.received - (self._mode == "reflect")
        if self._mode in ("reflect", "circular") and wide > least:
            bound = "more than" if self._mode == "reflect" else "at least"
            raise InputError(
                f"{self._mode} padding of {wide} samples needs {bound} {wide} samples of signal, which has "
                f"{self.received}; use a shorter kernel or zeros or replicate"
            )
        if self._mode == "circular":
            return torch.cat(self._first, -1)
        if self._mode == "reflect":
            return self._last[..., :-1].flip(-1)
        if self._mode == "replicate":
            return self._last.expand(-1, -1, self._right)
        return self._last.new_zeros((*self._last.shape[:-1], self._right))
