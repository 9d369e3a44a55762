"""What operations refuse alike: names that are not known, sizes and lengths that can't be."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    """ValueError unless `value` is one of `known`."""
    if value not in known:
        raise ValueError(f"{name} is {value!r}; use one of {', '.join(known)}")


def check_size(name: str, value: int, least: int) -> None:
    """TypeError unless `value` is a whole number, ValueError where it is below `least`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is {value!r}; give a whole number")
    if value < least:
        raise ValueError(f"{name} is {value}; it must be at least {least}")


def check_whole_numbers(lengths: Tensor) -> None:
    """TypeError unless `lengths` are integers."""
    import torch

    if lengths.is_floating_point() or lengths.is_complex() or lengths.dtype == torch.bool:
        raise TypeError(f"the lengths are {lengths.dtype}; give whole numbers, such as torch.int64")


def check_lengths(lengths: Tensor, samples: int) -> None:
    """Refuse what can't be the real samples ``(batch,)`` of rows of `samples`: TypeError, ValueError."""
    check_whole_numbers(lengths)
    if lengths.dim() != 1:
        raise ValueError(f"the lengths have shape {tuple(lengths.shape)}; give one a row, (batch,)")
    if lengths.numel() and not 0 <= int(lengths.min()) <= int(lengths.max()) <= samples:
        raise ValueError(
            f"the lengths go from {int(lengths.min())} to {int(lengths.max())}; "
            f"rows of {samples} samples have from 0 to {samples} real ones"
        )


def check_real_numbers(name: str, x: Tensor) -> None:
    """TypeError where `x` is complex or boolean."""
    import torch

    if x.is_complex() or x.dtype == torch.bool:
        raise TypeError(f"{name} is {x.dtype}; give real numbers, such as {name}.to(torch.float32)")
