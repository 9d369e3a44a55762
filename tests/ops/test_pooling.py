"""Pooling over real samples against rational arithmetic, and masks after layers against torch's own layers."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.nn.functional import conv1d, max_pool1d

from convtool.ops import length_mask, masked_pool, output_lengths, output_mask, pad_batch
from tests.helpers import reference_stats

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS = ("max", "mean", "std")
FINITE = st.floats(allow_nan=False, allow_infinity=False)
NAN, INF = math.nan, math.inf


def noise(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3), dtype=dtype)


def all_real(x: torch.Tensor) -> torch.Tensor:
    return torch.ones(x.shape[0], x.shape[-1], dtype=torch.bool)


def pool_row(samples: Sequence[float], kind: Any) -> float:
    x = torch.tensor([samples], dtype=torch.float64)
    return masked_pool(x, all_real(x), kind=kind).item()


class TestPaddingCannotTouch:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("side", ["right", "left"])
    @pytest.mark.parametrize("value", [0.0, 1e30, NAN, INF, -INF])
    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
    def test_rows_pool_to_the_bits_of_the_rows_alone(
        self, kind: Any, side: Any, value: float, dtype: torch.dtype
    ) -> None:
        value = value if dtype != torch.float16 else min(value, 6e4)
        signals = [noise(3, size).to(dtype) + 5 for size in (1, 2, 7, 63, 64, 1000)]
        batch, _, mask = pad_batch(signals, side=side, value=value, multiple_of=16)
        alone = [masked_pool(signal[None], all_real(signal[None]), kind=kind) for signal in signals]
        made = masked_pool(batch, mask, kind=kind)
        assert made.dtype == dtype
        assert torch.equal(made, torch.cat(alone))
        assert torch.equal(masked_pool(batch.transpose(1, 2), mask, kind=kind, layout="NTC"), made)
        assert torch.equal(masked_pool(batch[:, 1], mask, kind=kind, layout="NTC"), made[:, 1])

    @pytest.mark.parametrize("kind", KINDS)
    def test_gradients_are_those_of_the_rows_alone(self, kind: Any) -> None:
        signals = [noise(2, size) for size in (4, 9)]
        batch, _, mask = pad_batch(signals, value=NAN)
        batch.requires_grad_()
        masked_pool(batch, mask, kind=kind).square().sum().backward()
        assert batch.grad is not None
        for row, signal in zip(batch.grad, signals, strict=True):
            signal.requires_grad_()
            masked_pool(signal[None], all_real(signal[None]), kind=kind).square().sum().backward()
            assert signal.grad is not None
            assert torch.equal(row[:, : signal.shape[1]], signal.grad)
            assert not row[:, signal.shape[1] :].any()

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_mask_may_have_holes(self, kind: Any) -> None:
        x = torch.tensor([[3.0, NAN, 1.0, INF, -7.5]])
        real = torch.tensor([[True, False, True, False, True]])
        assert masked_pool(x, real, kind=kind).item() == pytest.approx(pool_row([3, 1, -7.5], kind), rel=1e-7)

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("shape", [(2, 3, 4), (2, 3, 0), (2, 4), (2, 0)])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.int32])
    def test_a_row_of_padding_gives_0_and_no_gradient(
        self, kind: Any, shape: tuple[int, ...], dtype: torch.dtype
    ) -> None:
        x = torch.full(shape, 7, dtype=dtype)
        x = x.requires_grad_() if dtype.is_floating_point else x
        made = masked_pool(x, torch.zeros(shape[0], shape[-1], dtype=torch.bool), kind=kind)
        assert torch.equal(made, torch.zeros(shape[:-1], dtype=made.dtype))
        assert made.dtype == (torch.float64 if dtype == torch.int32 and kind != "max" else dtype)
        if dtype.is_floating_point:
            mixed = masked_pool(torch.cat([x, x + 1]), torch.zeros(4, shape[-1], dtype=torch.bool), kind=kind)
            assert not mixed.any()

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_gradient_of_a_row_of_padding_is_0(self, kind: Any) -> None:
        x = torch.tensor([[NAN, INF], [1.0, 2.0]], requires_grad=True)
        masked_pool(x, torch.tensor([[False, False], [True, True]]), kind=kind).sum().backward()
        assert x.grad is not None
        assert x.grad[0].tolist() == [0, 0]
        assert x.grad[1].abs().sum() > 0


class TestNumbers:
    @settings(max_examples=150)
    @given(st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=40), st.sampled_from([0, 2**52, -(2**49)]))
    def test_mean_and_std_are_exact_but_for_rounding(self, samples: list[int], offset: int) -> None:
        numbers = [Fraction(float(sample + offset)) for sample in samples]
        mean = sum(numbers) / len(numbers)
        var = sum((number - mean) ** 2 for number in numbers) / len(numbers)
        made = [pool_row([float(number) for number in numbers], kind) for kind in ("mean", "std")]
        assert abs(Fraction(made[0]) - mean) <= Fraction(4e-16) * max(map(abs, numbers))
        assert abs(Fraction(made[1]) ** 2 - var) <= Fraction(1e-14) * var
        assert made[1] >= 0

    @settings(max_examples=100)
    @given(constant=FINITE, count=st.integers(1, 300))
    def test_constants_have_themselves_as_mean_and_no_spread(self, constant: float, count: int) -> None:
        assert [pool_row([constant] * count, kind) for kind in KINDS] == [constant, constant, 0]

    def test_one_in_a_long_row_of_offset_noise(self) -> None:
        x = noise(1, 30000) + 1e10
        exact = x.double() - 1e10  # noise to 2e-6, exactly representable after the offset
        wanted = torch.std(exact, correction=0).item()
        assert pool_row(x[0].tolist(), "std") == pytest.approx(wanted, rel=1e-12)

    @pytest.mark.parametrize(
        ("samples", "wanted"),
        [
            ([1, NAN, 2], (NAN, NAN, NAN)),
            ([1, INF, 2], (INF, INF, NAN)),
            ([INF, 1], (INF, INF, NAN)),
            ([-INF, 1], (1, -INF, NAN)),
            ([INF, -INF], (INF, NAN, NAN)),
            ([-INF, -INF], (-INF, -INF, NAN)),
            ([1.5], (1.5, 1.5, 0)),
            ([-1, -3], (-1, -2, 1)),
            ([1e-200, 3e-200], (3e-200, 2e-200, 1e-200)),
            ([1e308, 1e308, 1.5e308, 1.5e308], (1.5e308, 1.25e308, 2.5e307)),
        ],
    )
    def test_special_numbers(self, samples: list[float], wanted: tuple[float, ...]) -> None:
        made = [pool_row(samples, kind) for kind in KINDS]
        assert made == pytest.approx(list(wanted), rel=1e-15, abs=0, nan_ok=True)

    def test_nan_stays_in_its_row_and_channel(self) -> None:
        x = noise(2, 2, 5)
        x[1, 0, 2] = NAN
        for kind in KINDS:
            assert masked_pool(x, all_real(x), kind=kind).isnan().tolist() == [[False, False], [True, False]]

    def test_integers(self) -> None:
        x = torch.tensor([[2**62 + 1, 2**62], [-4, -5]])
        made = masked_pool(x, torch.tensor([[True, True], [True, False]]), kind="max")
        assert made.dtype == torch.int64
        assert made.tolist() == [2**62 + 1, -4]
        mean = masked_pool(torch.tensor([[1, 2]], dtype=torch.uint8), torch.tensor([[True, True]]), kind="mean")
        assert mean.dtype == torch.float64
        assert mean.tolist() == [1.5]

    @pytest.mark.parametrize("kind", KINDS)
    def test_gradcheck(self, kind: Any) -> None:
        x = noise(2, 2, 6).requires_grad_()
        mask = length_mask(torch.tensor([6, 3]), 6)
        assert torch.autograd.gradcheck(lambda samples: masked_pool(samples, mask, kind=kind), x)

    def test_gradients_where_there_is_no_derivative(self) -> None:
        x = torch.full((1, 4), 3.0, requires_grad=True)
        masked_pool(x, all_real(x), kind="std").sum().backward()
        assert x.grad is not None
        assert x.grad.tolist() == [[0, 0, 0, 0]]
        x.grad = None
        masked_pool(x, all_real(x), kind="max").sum().backward()
        assert x.grad.tolist() == [[0.25, 0.25, 0.25, 0.25]]

    def test_the_input_is_left_alone(self) -> None:
        x = noise(2, 3, 4)
        before = x.clone()
        for kind in KINDS:
            masked_pool(x, length_mask(torch.tensor([4, 1]), 4), kind=kind).fill_(0)
        assert torch.equal(x, before)


class TestRefusals:
    def test_names(self) -> None:
        x = noise(2, 3)
        with pytest.raises(ValueError, match="kind is 'sum'; use one of max, mean, std"):
            masked_pool(x, all_real(x), kind="sum")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="layout is 'CTN'"):
            masked_pool(x, all_real(x), kind="max", layout="CTN")  # type: ignore[arg-type]

    @pytest.mark.parametrize("x", [torch.zeros(1, 2, dtype=torch.bool), torch.zeros(1, 2, dtype=torch.complex64)])
    def test_numbers_without_an_order(self, x: torch.Tensor) -> None:
        with pytest.raises(TypeError, match="give real numbers"):
            masked_pool(x, all_real(x), kind="max")

    def test_a_mask_of_numbers(self) -> None:
        with pytest.raises(TypeError, match=r"the mask is torch\.int64; give torch\.bool"):
            masked_pool(noise(2, 3), torch.ones(2, 3, dtype=torch.int64), kind="mean")

    @pytest.mark.parametrize(
        ("shape", "mask", "layout"),
        [
            ((2, 3), (2, 4), "NCT"),
            ((2, 3), (3, 3), "NCT"),
            ((2, 3, 4), (2, 3), "NCT"),
            ((2, 3, 4), (2, 4), "NTC"),
            ((0, 3), (0, 3), "NCT"),
            ((3,), (3,), "NTC"),
            ((), (), "NCT"),
            ((1, 1, 1, 3), (1, 3), "NCT"),
        ],
    )
    def test_shapes(self, shape: tuple[int, ...], mask: tuple[int, ...], layout: Any) -> None:
        with pytest.raises(ValueError, match="the mask has shape"):
            masked_pool(torch.zeros(shape), torch.ones(mask, dtype=torch.bool), kind="mean", layout=layout)


LAYERS = [
    {"kernel_size": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    for kernel, stride, padding, dilation in itertools.product((1, 2, 3, 5), (1, 2, 3), (0, 1, 2), (1, 2))
]


class TestOutputLengths:
    def test_they_are_those_of_conv1d(self) -> None:
        lengths = torch.arange(1, 14)
        for layer in LAYERS:
            sizes = {name: size for name, size in layer.items() if name != "kernel_size"}
            made = output_lengths(lengths, **layer).tolist()
            for length, count in zip(lengths.tolist(), made, strict=True):
                if length + 2 * layer["padding"] <= layer["dilation"] * (layer["kernel_size"] - 1):
                    assert count == 0
                else:
                    kernel = torch.ones(1, 1, layer["kernel_size"])
                    assert count == conv1d(torch.zeros(1, 1, length), kernel, **sizes).shape[-1]

    @pytest.mark.parametrize("ceil_mode", [False, True])
    def test_they_are_those_of_max_pool1d(self, ceil_mode: bool) -> None:
        for layer in LAYERS:
            if layer["padding"] > layer["kernel_size"] // 2:  # which torch refuses
                continue
            for length in range(layer["dilation"] * (layer["kernel_size"] - 1) + 1, 14):
                pooled = max_pool1d(torch.zeros(1, 1, length), **layer, ceil_mode=ceil_mode)
                made = output_lengths(torch.tensor(length), **layer, ceil_mode=ceil_mode)
                assert made.item() == pooled.shape[-1]
                assert made.dtype == torch.int64

    def test_empty_signals_have_no_outputs(self) -> None:
        lengths = torch.tensor([[0, 1], [2, 0]], dtype=torch.uint8)
        assert output_lengths(lengths, kernel_size=2, padding=3).tolist() == [[0, 6], [7, 0]]

    @pytest.mark.parametrize(
        ("sizes", "error", "message"),
        [
            ({"kernel_size": 0}, ValueError, "kernel_size is 0; it must be at least 1"),
            ({"kernel_size": 1, "stride": 0}, ValueError, "stride is 0"),
            ({"kernel_size": 1, "padding": -1}, ValueError, "padding is -1; it must be at least 0"),
            ({"kernel_size": 1, "dilation": 0}, ValueError, "dilation is 0"),
            ({"kernel_size": 1.5}, TypeError, "kernel_size is 1.5; give a whole number"),
        ],
    )
    def test_refusals(self, sizes: dict[str, Any], error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            output_lengths(torch.tensor([3]), **sizes)
        with pytest.raises(TypeError, match=r"the lengths are torch\.float32"):
            output_lengths(torch.tensor([3.0]), kernel_size=1)


class TestOutputMask:
    @pytest.mark.parametrize("side", ["right", "left"])
    def test_windows_are_those_of_the_row(self, side: Any) -> None:
        lengths, samples = torch.arange(12), 11
        for layer in LAYERS:
            made = output_mask(lengths, samples, side=side, **layer)
            whole = output_lengths(torch.tensor(samples), **layer).item()
            assert made.shape == (12, whole)
            reach = layer["dilation"] * (layer["kernel_size"] - 1)
            for length, row in zip(lengths.tolist(), made.tolist(), strict=True):
                first = samples - length if side == "left" else 0
                low, high = first - layer["padding"], first + length - 1 + layer["padding"]
                starts = [n * layer["stride"] - layer["padding"] for n in range(whole)]
                assert row == [length > 0 and low <= start and start + reach <= high for start in starts]

    def test_rounding_up_lets_the_last_window_hang_over(self) -> None:
        lengths = torch.tensor([5, 4, 1, 0])
        right = output_mask(lengths, 5, kernel_size=2, stride=2, ceil_mode=True)
        assert right.int().tolist() == [[1, 1, 1], [1, 1, 0], [1, 0, 0], [0, 0, 0]]
        left = output_mask(lengths, 5, kernel_size=2, stride=2, ceil_mode=True, side="left")
        assert left.int().tolist() == [[1, 1, 1], [0, 1, 1], [0, 0, 1], [0, 0, 0]]

    @pytest.mark.parametrize("side", ["right", "left"])
    @pytest.mark.parametrize("kind", KINDS)
    def test_padding_changes_nothing_in_a_network(self, side: Any, kind: Any) -> None:
        torch.manual_seed(0)
        one, two = torch.nn.Conv1d(1, 4, 5, padding=2).double(), torch.nn.Conv1d(4, 3, 3, stride=2).double()

        def network(x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
            mask = output_mask(lengths, x.shape[-1], kernel_size=5, padding=2, side=side)
            hidden = one(x).relu() * mask[:, None]
            mask = output_mask(lengths, x.shape[-1], kernel_size=3, stride=2, side=side)
            return masked_pool(two(hidden), mask, kind=kind)

        signals = [noise(1, size) for size in (40, 12, 20, 4)]  # lengths that the stride keeps aligned on the left
        batch, lengths, _ = pad_batch(signals, side=side)
        made = network(batch, lengths)
        for row, signal in zip(made, signals, strict=True):
            alone = network(signal[None], torch.tensor([signal.shape[-1]]))[0]
            torch.testing.assert_close(row, alone, rtol=1e-12, atol=1e-14)

    def test_refusals(self) -> None:
        with pytest.raises(ValueError, match="rows of 3 samples have from 0 to 3 real ones"):
            output_mask(torch.tensor([4]), 3, kernel_size=1, stride=9)
        with pytest.raises(ValueError, match="side is 'end'"):
            output_mask(torch.tensor([1]), 3, kernel_size=1, side="end")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="samples is -3"):
            output_mask(torch.tensor([1]), -3, kernel_size=1)
        with pytest.raises(TypeError, match=r"the lengths are torch\.bool"):
            output_mask(torch.tensor([True]), 3, kernel_size=1)


@given(st.lists(st.floats(-1.79e308, 1.79e308), min_size=1, max_size=9))
@example([1.7e308] * 3 + [-1.7e308] * 3)
@example([1.7e308, -1.7e308])
@example([1.7e308] * 5)
@example([1e-200, 3e-200])
@example([5e-324, 0.0])
def test_samples_of_any_size_against_fractions(samples: list[float]) -> None:
    x, real = torch.tensor([samples], dtype=torch.float64), torch.ones(1, len(samples), dtype=torch.bool)
    mean, std = (float(masked_pool(x, real, kind=kind)) for kind in ("mean", "std"))
    numbers = [Fraction(sample) for sample in samples]
    exact, var = sum(numbers) / len(numbers), reference_stats.exact_var(samples)
    largest = max(map(abs, numbers))
    assert abs(Fraction(mean) - exact) <= largest * Fraction(2.0**-50) + Fraction(5e-324)
    # By the square, as the root need not be a fraction; each side with room for the rounding of results near 0.
    low, high = (Fraction(max(0.0, std + way * 5e-324)) * (1 + way * Fraction(1e-12)) for way in (-1, 1))
    assert low**2 <= var <= high**2


def test_the_square_root_is_correctly_rounded() -> None:
    rows = torch.randint(-99, 99, (500, 8), generator=torch.Generator().manual_seed(1)).double()
    made = masked_pool(rows, torch.ones(500, 8, dtype=torch.bool), kind="std").tolist()
    assert made == [math.sqrt(float(reference_stats.exact_var(row))) for row in rows.tolist()]
