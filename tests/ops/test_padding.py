"""Batches of padded signals against loops and NumPy, and what they promise of every row."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convtool.errors import InputError
from convtool.ops import length_mask, pad_batch, unpad_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

SIDES = ("right", "left")
MODES = ("constant", "reflect", "replicate", "circular")
NUMPY_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def ints(*rows: Sequence[int]) -> list[torch.Tensor]:
    return [torch.tensor(row, dtype=torch.int64) for row in rows]


def noise(*sizes: int, channels: int = 2, **options: Any) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    return [torch.randn(channels, size, generator=generator, dtype=torch.float64, **options) for size in sizes]


def by_hand(signal: Sequence[float], samples: int, side: str, mode: str, value: float) -> list[float]:
    """One padded row, sample by sample; reflection walks to and fro between the ends."""
    first = len(signal) - samples if side == "left" else 0
    row = []
    for n in range(first, first + samples):
        if 0 <= n < len(signal):
            row.append(signal[n])
        elif mode == "constant":
            row.append(value)
        elif mode == "replicate":
            row.append(signal[0] if n < 0 else signal[-1])
        elif mode == "circular":
            row.append(signal[n % len(signal)])
        else:
            place, step = 0, 1 if n > 0 else -1
            for _ in range(abs(n)):
                if len(signal) > 1 and not 0 <= place + step < len(signal):
                    step = -step
                place += step if len(signal) > 1 else 0
            row.append(signal[place])
    return row


class TestPadBatch:
    def test_three_short_signals(self) -> None:
        batch, lengths, mask = pad_batch(ints([4, 5], [1, 2, 3], [6]))
        assert batch.tolist() == [[4, 5, 0], [1, 2, 3], [6, 0, 0]]
        assert lengths.tolist() == [2, 3, 1]
        assert mask.tolist() == [[True, True, False], [True, True, True], [True, False, False]]
        assert (batch.dtype, lengths.dtype, mask.dtype) == (torch.int64, torch.int64, torch.bool)

    @pytest.mark.parametrize(
        ("options", "wanted"),
        [
            ({"side": "left"}, [[0, 0, 1], [0, 2, 3], [4, 5, 6]]),
            ({"side": "left", "value": -1}, [[-1, -1, 1], [-1, 2, 3], [4, 5, 6]]),
            ({"side": "right"}, [[1, 0, 0], [2, 3, 0], [4, 5, 6]]),
            ({"side": "left", "length": 2, "truncate": "start"}, [[0, 1], [2, 3], [5, 6]]),
            ({"side": "left", "length": 2, "truncate": "end"}, [[0, 1], [2, 3], [4, 5]]),
            ({"side": "right", "length": 2, "truncate": "start"}, [[1, 0], [2, 3], [5, 6]]),
            ({"side": "right", "length": 2, "truncate": "end"}, [[1, 0], [2, 3], [4, 5]]),
            ({"side": "left", "length": 4}, [[0, 0, 0, 1], [0, 0, 2, 3], [0, 4, 5, 6]]),
        ],
    )
    def test_keras_tables(self, options: dict[str, Any], wanted: list[list[int]]) -> None:
        assert pad_batch(ints([1], [2, 3], [4, 5, 6]), **options).batch.tolist() == wanted

    @pytest.mark.parametrize("side", SIDES)
    @pytest.mark.parametrize("mode", MODES)
    def test_every_mode_is_the_loop_and_numpy(self, mode: str, side: str) -> None:
        signals = ints(*(range(10, 10 + size) for size in (1, 2, 3, 4, 7, 23)))
        made = pad_batch(signals, side=side, padding_mode=mode, value=-5)
        for signal, row in zip(signals, made.batch.tolist(), strict=True):
            assert row == by_hand(signal.tolist(), 23, side, mode, -5)
            width = (23 - len(signal), 0) if side == "left" else (0, 23 - len(signal))
            if mode == "constant":
                assert row == np.pad(signal.numpy(), width, constant_values=-5).tolist()
            else:
                assert row == np.pad(signal.numpy(), width, mode=NUMPY_MODES[mode]).tolist()

    @pytest.mark.parametrize("side", SIDES)
    @pytest.mark.parametrize("mode", MODES)
    def test_layouts_hold_the_same_numbers(self, mode: str, side: str) -> None:
        signals = noise(3, 5, 1)
        first = pad_batch(signals, side=side, padding_mode=mode)
        last = pad_batch(signals, side=side, padding_mode=mode, layout="NTC")
        assert first.batch.shape == (3, 2, 5)
        assert last.batch.shape == (3, 5, 2)
        assert last.batch.is_contiguous()
        assert torch.equal(first.batch, last.batch.transpose(1, 2))
        assert torch.equal(first.mask, last.mask)
        alone = pad_batch([signal[1] for signal in signals], side=side, padding_mode=mode, layout="NTC")
        assert torch.equal(first.batch[:, 1], alone.batch)

    @pytest.mark.parametrize(
        ("options", "samples", "lengths"),
        [
            ({"multiple_of": 4}, 8, [3, 5, 0]),
            ({"multiple_of": 5}, 5, [3, 5, 0]),
            ({"length": 8, "multiple_of": 4}, 8, [3, 5, 0]),
            ({"max_length": 5}, 5, [3, 5, 0]),
            ({"max_length": 9}, 5, [3, 5, 0]),
            ({"max_length": 4, "truncate": "end"}, 4, [3, 4, 0]),
            ({"max_length": 4, "truncate": "end", "multiple_of": 3}, 6, [3, 4, 0]),
            ({"max_length": 2, "truncate": "start", "length": 6}, 6, [2, 2, 0]),
            ({"max_length": 9, "truncate": "start", "length": 1}, 1, [1, 1, 0]),
        ],
    )
    def test_lengths_of_rows(self, options: dict[str, Any], samples: int, lengths: list[int]) -> None:
        made = pad_batch(noise(3, 5, 0), **options)
        assert made.batch.shape == (3, 2, samples)
        assert made.lengths.tolist() == made.mask.sum(1).tolist() == lengths

    def test_zeros_of_the_signal_are_real(self) -> None:
        assert pad_batch(ints([0, 0], [1])).mask.tolist() == [[True, True], [True, False]]

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("layout", ["NCT", "NTC"])
    def test_empty_signals_alone_need_no_padding(self, mode: str, layout: str) -> None:
        made = pad_batch(ints([], []), padding_mode=mode, layout=layout, multiple_of=4)
        assert made.batch.shape == made.mask.shape == (2, 0)
        assert made.lengths.tolist() == [0, 0]

    @pytest.mark.parametrize(
        ("dtype", "value"),
        [
            (torch.uint8, 255),
            (torch.uint16, 65535),
            (torch.int64, 2**53 + 1),
            (torch.float16, 0.1),
            (torch.bfloat16, math.nan),
            (torch.float32, -math.inf),
            (torch.float64, 0.1),
            (torch.bool, True),
            (torch.complex64, 2.5),
        ],
    )
    def test_dtypes_and_their_values_are_kept(self, dtype: torch.dtype, value: float) -> None:
        made = pad_batch([torch.ones(1).to(dtype), torch.ones(2).to(dtype)], value=value)
        wanted = torch.tensor([[1, value], [1, 1]], dtype=dtype)
        torch.testing.assert_close(made.batch, wanted, rtol=0, atol=0, equal_nan=True)

    @pytest.mark.parametrize("side", SIDES)
    @pytest.mark.parametrize("mode", MODES)
    def test_the_result_shares_no_memory_with_the_signals(self, mode: str, side: str) -> None:
        signals = noise(4, 4)
        before = [signal.clone() for signal in signals]
        pad_batch(signals, padding_mode=mode, side=side).batch.fill_(9)
        assert all(torch.equal(signal, kept) for signal, kept in zip(signals, before, strict=True))

    @pytest.mark.parametrize("mode", MODES)
    def test_gradients_count_how_often_a_sample_is_used(self, mode: str) -> None:
        signals = noise(3, 8, channels=1, requires_grad=True)
        pad_batch(signals, padding_mode=mode).batch.sum().backward()
        used = {"constant": [1, 1, 1], "reflect": [2, 4, 2], "replicate": [1, 1, 6], "circular": [3, 3, 2]}
        assert signals[0].grad is not None
        assert signals[0].grad.tolist() == [used[mode]]
        assert torch.equal(signals[1].grad, torch.ones(1, 8, dtype=torch.float64))


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"side": "both"}, "side is 'both'; use one of right, left"),
            ({"padding_mode": "zeros"}, "padding_mode is 'zeros'"),
            ({"layout": "TNC"}, "layout is 'TNC'"),
            ({"truncate": "post"}, "truncate is 'post'; use one of start, end"),
            ({"multiple_of": 0}, "multiple_of is 0; it must be at least 1"),
            ({"length": 0}, "length is 0"),
            ({"max_length": -1}, "max_length is -1"),
            ({"length": 6, "multiple_of": 4}, "length is 6, which is no multiple of 4"),
        ],
    )
    def test_options(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            pad_batch(ints([1], [2, 3]), **options)

    @pytest.mark.parametrize("size", [True, 2.0])
    def test_sizes_are_whole_numbers(self, size: Any) -> None:
        with pytest.raises(TypeError, match=f"length is {size}; give a whole number"):
            pad_batch(ints([1]), length=size)

    @pytest.mark.parametrize(
        ("signals", "error", "message"),
        [
            ([], InputError, "no signals"),
            ([torch.zeros(2), torch.tensor(1.0)], ValueError, r"signals\[1\] has shape \(\); give \(samples,\)"),
            ([torch.zeros(1, 2, 3)], ValueError, r"signals\[0\] has shape \(1, 2, 3\)"),
            ([torch.zeros(2), torch.zeros(1, 2)], ValueError, "the same channels in all"),
            ([torch.zeros(1, 2), torch.zeros(2, 2)], ValueError, "the same channels in all"),
            ([torch.zeros(2), torch.zeros(2).double()], TypeError, r"signals\[1\] is torch.float64"),
            ([torch.zeros(2), torch.zeros(2, device="meta")], ValueError, r"signals\[1\] is on meta"),
        ],
    )
    def test_signals_that_differ(self, signals: list[torch.Tensor], error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            pad_batch(signals)

    @pytest.mark.parametrize("option", ["length", "max_length"])
    def test_too_long_to_fit(self, option: str) -> None:
        with pytest.raises(InputError, match=r"signals\[1\] has 3 samples, more than the 2 .* \"start\" or \"end\""):
            pad_batch(ints([1], [1, 2, 3]), **{option: 2})

    @pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
    def test_an_empty_signal_has_nothing_to_repeat(self, mode: str) -> None:
        with pytest.raises(InputError, match=rf"signals\[1\] is empty; {mode} padding"):
            pad_batch(ints([1], [], [2]), padding_mode=mode)
        assert pad_batch(ints([1], [], [2])).batch.tolist() == [[1], [0], [2]]

    @pytest.mark.parametrize(
        ("dtype", "value"),
        [
            (torch.int64, 0.5),
            (torch.int64, math.nan),
            (torch.int64, 2**64),
            (torch.uint8, -1),
            (torch.int8, 300),
            (torch.bool, 2),
            (torch.float16, 70000),
            (torch.float32, 1e300),
            (torch.float64, 10**400),
        ],
    )
    def test_values_that_the_dtype_does_not_hold(self, dtype: torch.dtype, value: float) -> None:
        with pytest.raises(ValueError, match=f"which {dtype} does not hold"):
            pad_batch([torch.ones(1).to(dtype)], value=value)


class TestLengthMask:
    @pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
    def test_both_sides(self, dtype: torch.dtype) -> None:
        lengths = torch.tensor([0, 1, 3], dtype=dtype)
        assert length_mask(lengths, 3).int().tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 1]]
        assert length_mask(lengths, 3, side="left").int().tolist() == [[0, 0, 0], [0, 0, 1], [1, 1, 1]]

    def test_nothing(self) -> None:
        assert length_mask(torch.tensor([0, 0]), 0).shape == (2, 0)
        assert length_mask(torch.tensor([], dtype=torch.int64), 3).shape == (0, 3)

    @pytest.mark.parametrize("lengths", [[4, 1], [-1, 1]])
    def test_lengths_that_no_row_has(self, lengths: list[int]) -> None:
        with pytest.raises(ValueError, match=f"from {min(lengths)} to {max(lengths)}; rows of 3 samples"):
            length_mask(torch.tensor(lengths), 3)

    def test_what_is_no_length(self) -> None:
        for lengths in (torch.tensor([1.0]), torch.tensor([True]), torch.tensor([1j])):
            with pytest.raises(TypeError, match="give whole numbers"):
                length_mask(lengths, 3)
        with pytest.raises(ValueError, match="one a row"):
            length_mask(torch.tensor(2), 3)
        with pytest.raises(ValueError, match="samples is -1"):
            length_mask(torch.tensor([0]), -1)
        with pytest.raises(ValueError, match="side is 'top'"):
            length_mask(torch.tensor([0]), 1, side="top")  # type: ignore[arg-type]


class TestUnpadBatch:
    @settings(max_examples=50)
    @given(
        sizes=st.lists(st.integers(0, 9), min_size=1, max_size=6),
        channels=st.integers(0, 3),
        side=st.sampled_from(SIDES),
        layout=st.sampled_from(["NCT", "NTC"]),
        multiple_of=st.integers(1, 5),
    )
    def test_it_undoes_padding(self, sizes: list[int], channels: int, side: Any, layout: Any, multiple_of: int) -> None:
        signals = noise(*sizes, channels=max(1, channels))
        signals = signals if channels else [signal[0] for signal in signals]
        batch, lengths, mask = pad_batch(signals, side=side, layout=layout, multiple_of=multiple_of, value=math.nan)
        back = unpad_batch(batch, lengths, side=side, layout=layout)
        assert [signal.shape for signal in back] == [signal.shape for signal in signals]
        assert all(torch.equal(made, signal) for made, signal in zip(back, signals, strict=True))
        real = batch.isfinite() if not channels else batch.isfinite().all(1 if layout == "NCT" else 2)
        assert torch.equal(mask, real)

    def test_views_of_the_batch(self) -> None:
        batch = torch.arange(6.0).view(1, 2, 3)
        unpad_batch(batch, torch.tensor([2]))[0].zero_()
        assert batch.tolist() == [[[0, 0, 2], [0, 0, 5]]]

    def test_refusals(self) -> None:
        for batch, lengths in ((torch.zeros(3), [1, 1, 1]), (torch.zeros(2, 3), [1]), (torch.zeros(1, 1, 1, 1), [1])):
            with pytest.raises(ValueError, match="the batch has shape"):
                unpad_batch(batch, torch.tensor(lengths))
        with pytest.raises(ValueError, match="from 4 to 4; rows of 3 samples"):
            unpad_batch(torch.zeros(1, 3), torch.tensor([4]))
        with pytest.raises(TypeError, match="give whole numbers"):
            unpad_batch(torch.zeros(1, 3), torch.tensor([1.0]))
        with pytest.raises(ValueError, match="layout is 'CNT'"):
            unpad_batch(torch.zeros(1, 3), torch.tensor([1]), layout="CNT")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="side is 'up'"):
            unpad_batch(torch.zeros(1, 3), torch.tensor([1]), side="up")  # type: ignore[arg-type]
