"""Convolution against its definition, SciPy and torch, and what it promises of every sample."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from convtool.errors import InputError
from convtool.ops import parallel
from convtool.ops.convolution import overlap_save, silence
from convtool.ops.convolution.convolve import Convolution, convolve
from convtool.ops.convolution.taps import Taps
from tests.helpers import reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

SIZES = range(1, 8)
F64 = torch.float64
METHODS = ("direct", "fft")


def random(*shape: int, dtype: torch.dtype = F64, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=[(64, 1), (32, 3), (64, 5)], ids=["whole", "three partitions", "five partitions"])
def small_rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """FFT rows short enough for a test; gives a kernel length that they suit."""
    size, partitions = request.param
    monkeypatch.setattr(overlap_save, "row_size", lambda _: (size, partitions))
    return 20 if partitions == 1 else partitions * size // 2 - 3


@given(st.data())
def test_taps_beside_the_kernel_proper(data: st.DataObject) -> None:
    taps, dilation = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 3))
    samples, ahead = data.draw(st.integers(dilation * 8 + 1, 60)), data.draw(st.integers(0, taps - 1))
    behind = data.draw(st.integers(0, taps - 1 - ahead))
    signal, kernel = list(range(1, samples + 1)), [3**k for k in range(taps)]
    full = reference.convolve(signal, kernel, dilation=dilation)
    early, span = ahead * dilation, (taps - 1) * dilation
    centre = early + (span - early - behind * dilation) // 2
    expected = {"full": full[early:], "same": full[centre : centre + samples], "valid": full[span : len(full) - span]}
    for mode, outputs in expected.items():
        for correlate in (False, True):
            h = torch.tensor(kernel[::-1] if correlate else kernel)
            operation = Convolution(h, mode=mode, dilation=dilation, ringing=(ahead, behind), correlate=correlate)
            assert [*operation.push(torch.tensor(signal)).tolist(), *operation.finish().tolist()] == outputs
    for wrong in ((-1, 0), (0, -1), (1, taps - 1)):
        with pytest.raises(ValueError, match="ringing is"):
            Convolution(torch.tensor(kernel), ringing=wrong)


def streamed(signal: Tensor, kernel: Tensor, cuts: Sequence[int], **options: Any) -> Tensor:
    """The outputs of blocks between `cuts`."""
    operation = Convolution(kernel, before=signal, samples=signal.shape[-1], **options)
    edges = [0, *cuts, signal.shape[-1]]
    parts = [operation.push(signal[..., a:b]) for a, b in itertools.pairwise(edges)]
    return torch.cat([*parts, operation.finish()], -1)


# The definition


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("mode", ["full", "same", "valid", "causal", "aligned"])
def test_small_sizes_are_the_definition(mode: str, method: str) -> None:
    for length, taps, correlate, stride, dilation in itertools.product(SIZES, SIZES, (False, True), (1, 2, 3), (1, 2)):
        options = {"correlate": correlate, "stride": stride, "dilation": dilation}
        signal, kernel = random(length), random(taps, seed=1)
        expected = reference.convolve(signal.tolist(), kernel.tolist(), mode, **options)
        if expected:
            y = convolve(signal, kernel, mode=mode, method=method, **options)
            torch.testing.assert_close(y, torch.tensor(expected, dtype=F64), rtol=0, atol=1e-13)
        else:
            with pytest.raises(InputError, match="at least as long as the kernel"):
                convolve(signal, kernel, mode=mode, method=method, **options)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("taps", [1, 2, 9, 100, 301])
def test_as_scipy(taps: int, method: str) -> None:
    signal, kernel = random(300), random(taps, seed=1)
    for mode in ("full", "same"):
        if mode == "same" and taps > 300:
            continue
        expected = scipy.signal.convolve(signal.numpy(), kernel.numpy(), mode)
        np.testing.assert_allclose(convolve(signal, kernel, mode=mode, method=method).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("dilation", [1, 4])
@pytest.mark.parametrize("shape", [(3, 2, 5), (5, 4, 3), (1, 2, 6), (3, 1, 2)])
def test_matrices_as_conv1d(shape: tuple[int, int, int], dilation: int, stride: int, method: str) -> None:
    signal, kernel, bias = random(2, shape[1], 90), random(*shape, seed=1), random(shape[0], seed=2)
    y = convolve(
        signal,
        kernel,
        mode="valid",
        correlate=True,
        stride=stride,
        dilation=dilation,
        bias=bias,
        method=method,
    )
    expected = functional.conv1d(signal, kernel, bias, stride=stride, dilation=dilation)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("taps", [1, 2, 5, 8])
@pytest.mark.parametrize("padding_mode", ["reflect", "replicate", "circular"])
def test_padding_as_in_torch(padding_mode: str, taps: int, method: str) -> None:
    signal, kernel = random(1, 2, 11), random(taps, seed=1)
    span = 2 * (taps - 1)
    if padding_mode != "replicate" and span - span // 2 > 10:
        return
    padded = functional.pad(signal, (span - span // 2, span // 2), padding_mode)
    expected = convolve(padded, kernel, mode="valid", dilation=2, method="direct")
    y = convolve(signal, kernel, mode="same", dilation=2, padding_mode=padding_mode, method=method)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-13)


def test_shapes() -> None:
    cases = [
        ((9,), (3,), (11,)),
        ((2, 9), (3,), (2, 11)),
        ((4, 2, 9), (3,), (4, 2, 11)),
        ((4, 2, 9), (1, 3), (4, 2, 11)),
        ((4, 2, 9), (2, 3), (4, 2, 11)),
        ((4, 1, 9), (2, 3), (4, 2, 11)),
        ((9,), (2, 3), (2, 11)),
        ((9,), (1, 3), (1, 11)),
        ((9,), (5, 1, 3), (5, 11)),
        ((4, 3, 2, 9), (5, 2, 3), (4, 3, 5, 11)),
    ]
    for (signal, kernel, expected), method in itertools.product(cases, METHODS):
        assert convolve(random(*signal), random(*kernel), method=method).shape == expected


@pytest.mark.parametrize("method", METHODS)
def test_each_channel_meets_its_own_taps(method: str) -> None:
    signal, kernel = random(3, 2, 50), random(2, 13, seed=1)
    y = convolve(signal, kernel, method=method)
    for row, channel in itertools.product(range(3), range(2)):
        torch.testing.assert_close(y[row, channel], convolve(signal[row, channel], kernel[channel], method=method))
    mono = convolve(signal[:, :1], kernel, method=method)
    torch.testing.assert_close(mono[1, 1], convolve(signal[1, 0], kernel[1], method=method))


@given(st.data())
@settings(max_examples=60)
def test_linear_and_shift_invariant(data: st.DataObject) -> None:
    length, taps = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 60))
    method, shift = data.draw(st.sampled_from(METHODS)), data.draw(st.integers(0, 20))
    a, b, kernel = random(length), random(length, seed=1), random(taps, seed=2)
    y = convolve(a, kernel, method=method)
    both = convolve(2 * a - 3 * b, kernel, method=method)
    torch.testing.assert_close(both, 2 * y - 3 * convolve(b, kernel, method=method), rtol=0, atol=1e-11)
    later = convolve(torch.cat([torch.zeros(shift, dtype=F64), a]), kernel, method=method)
    torch.testing.assert_close(later[shift:], y, rtol=0, atol=1e-12)
    assert not later[:shift].any()


# Blocks


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels", ["shared", "pairwise", "mono", "matrix", "wide matrix", "one"])
def test_blocks_give_the_bits_of_the_whole(small_rows: int, dtype: torch.dtype, channels: str, method: str) -> None:
    taps = small_rows
    leading, kernel = {
        "shared": ((3,), (taps,)),
        "pairwise": ((2, 2), (2, taps)),
        "mono": ((1,), (3, taps)),
        "matrix": ((2,), (3, 2, taps)),
        "wide matrix": ((4,), (4, 4, min(taps, 9))),
        "one": ((), (taps,)),
    }[channels]
    signal, h = random(*leading, 700, dtype=dtype), random(*kernel, dtype=dtype, seed=1)
    signal[..., 300:500] = 0
    whole = convolve(signal, h, method=method)
    generator = torch.Generator().manual_seed(3)
    hop = 64 - (taps - 1) if taps == 20 else 32
    cuts = [[hop - 1], [hop], [hop + 1], [0, 0, 1, 2], list(range(0, 700, 7)), [2 * hop + taps, 2 * hop + taps + 1]]
    cuts += [sorted(torch.randint(0, 701, (n,), generator=generator).tolist()) for n in (1, 3, 9)]
    for some in cuts:
        assert torch.equal(streamed(signal, h, some, method=method), whole), some


@given(st.data())
@settings(max_examples=60)
def test_any_cuts_any_options(data: st.DataObject) -> None:
    length = data.draw(st.integers(20, 90))
    signal, kernel = random(2, length), random(data.draw(st.integers(1, 10)), seed=1)
    mode = data.draw(st.sampled_from(["full", "same", "valid", "causal", "aligned"]))
    paddings = ["zeros", "reflect", "replicate", "circular"] if mode == "same" else ["zeros"]
    options: dict[str, Any] = {
        "mode": mode,
        "padding_mode": data.draw(st.sampled_from(paddings)),
        "stride": data.draw(st.integers(1, 4)),
        "dilation": data.draw(st.integers(1, 2)),
        "method": data.draw(st.sampled_from(METHODS)),
        "bias": data.draw(st.sampled_from([None, 1.5])),
    }
    cuts = sorted(data.draw(st.lists(st.integers(0, length), max_size=8)))
    assert torch.equal(streamed(signal, kernel, cuts, **options), convolve(signal, kernel, **options))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("taps", [1, 5, 40, 1500, 5000, 150_000])
def test_a_long_signal_in_pieces_has_the_same_bits(taps: int, channels: int, threads: int) -> None:
    signal, kernel = random(channels, (1 << 20) + 12_345, dtype=torch.float32), random(taps, dtype=torch.float32)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for options in ({}, {"stride": 3, "bias": torch.ones(channels)}):
            whole = convolve(signal, kernel, mode="same", **options)
            assert torch.get_num_threads() == threads
            assert torch.equal(streamed(signal, kernel, [1, 70_000, 600_000], mode="same", **options), whole)
        edges = convolve(signal, kernel, mode="same", padding_mode="reflect")
        assert torch.equal(streamed(signal, kernel, [200_000], mode="same", padding_mode="reflect"), edges)
    finally:
        torch.set_num_threads(before)


def test_an_error_in_a_thread_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    signal = torch.full((1 << 20,), 1 << 40)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(InputError, match="64-bit"):
            convolve(signal, torch.tensor([1, 1 << 40]))
    finally:
        torch.set_num_threads(before)


def test_works_run_in_any_order_on_any_thread(small_rows: int) -> None:
    signal, kernel = random(2, 3000), random(small_rows, seed=1)
    operation = Convolution(kernel, method="fft")
    works = [operation.stage(block) for block in signal.split(170, -1)] + [operation.stage_end()]
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda work: work(), reversed(works)))
    assert torch.equal(torch.cat(parts[::-1], -1), convolve(signal, kernel, method="fft"))


def test_blocks_may_change_after_staging() -> None:
    for method, kernel in itertools.product(METHODS, (random(1), random(4))):
        signal = random(300)
        block, operation = signal.clone(), Convolution(kernel, method=method, samples=300)
        work = operation.stage(block)
        block.zero_()
        assert torch.equal(torch.cat([work(), operation.finish()]), convolve(signal, kernel, method=method))


def test_a_short_signal_is_worked_at_its_end(small_rows: int) -> None:
    signal, kernel = random(2, 3000), random(small_rows, seed=1)
    expected = convolve(signal, kernel, method="fft")
    operation = Convolution(kernel, method="fft", samples=3000)
    parts = [operation.push(block) for block in signal.split(170, -1)]
    assert not any(part.shape[-1] for part in parts)
    assert torch.equal(operation.finish(), expected)
    longer = Convolution(kernel, method="fft", samples=1000)
    parts = [longer.push(block) for block in signal.split(170, -1)]
    assert [part.shape[-1] > 0 for part in parts[:8]] == [False] * 5 + [True] * 3
    bound = torch.finfo(F64).eps * signal.norm() * kernel.norm()
    assert (torch.cat([*parts, longer.finish()], -1) - expected).abs().max() <= bound


def test_each_kernel_has_its_own_spectra(small_rows: int) -> None:
    signal, kernel = random(300), random(small_rows, seed=1)
    kernels = [kernel, kernel.flip(-1), kernel.float(), kernel * 1e300, torch.stack([kernel, -kernel])]
    cases: list[tuple[Tensor, dict[str, Any]]] = [(h, {}) for h in kernels] + [(kernel[:9], {"dilation": 2})] * 2
    for h, options in 2 * cases:
        x = signal.to(h.dtype)
        y = convolve(x, h, method="fft", **options)
        expected = convolve(x, h, method="direct", **options)
        assert (y - expected).abs().max() <= torch.finfo(h.dtype).eps * x.norm() * h.norm() * 2
    tracked = kernel.clone().requires_grad_()
    convolve(signal, tracked, method="fft").sum().backward()
    assert tracked.grad is not None
    with torch.inference_mode():
        convolve(signal, kernel * 3, method="fft")
    followed = signal.clone().requires_grad_()
    convolve(followed, kernel * 3, method="fft").sum().backward()
    assert followed.grad is not None


def test_what_is_found_of_a_kernel_is_kept_twice() -> None:
    taps, made = Taps(torch.ones(1, 3), 1), []

    def compute(key: int) -> Tensor:
        made.append(key)
        return torch.tensor(key)

    for key in (1, 2, 1, 3, 2, 1):
        assert int(taps.once(key, lambda key=key: compute(key))) == key  # type: ignore[misc]
    assert made == [1, 2, 3, 1]


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("method", ["direct", "fft"])
def test_one_convolution_after_another(small_rows: int, method: Literal["direct", "fft"], dtype: torch.dtype) -> None:
    kernel = random(small_rows, seed=1)
    first = Convolution(kernel, method=method, bias=0.5)
    for samples in (300, 1000, 300, 20_000, 300):
        signal = random(2, samples).to(dtype)
        operation = first.again(samples=samples)
        parts = [operation.push(block) for block in signal.split(170, -1)]
        expected = convolve(signal, kernel, method=method, bias=0.5)
        assert torch.equal(torch.cat([*parts, operation.finish()], -1), expected)


@pytest.mark.parametrize("padding_mode", ["reflect", "replicate", "circular"])
def test_padding_of_a_signal_that_arrives_sample_by_sample(padding_mode: str) -> None:
    signal, kernel = random(2, 12), random(9, seed=1)
    options: dict[str, Any] = {"mode": "same", "padding_mode": padding_mode}
    assert torch.equal(streamed(signal, kernel, range(12), **options), convolve(signal, kernel, **options))


def test_outputs_are_counted() -> None:
    operation = Convolution(torch.ones(3), stride=2)
    assert [operation.push(torch.ones(n)).shape[-1] for n in (0, 1, 4)] == [0, 1, 2]
    assert operation.outputs == 3
    assert operation.finish().tolist() == [1.0]


# Numbers


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.int32])
def test_the_unit_kernel_returns_every_bit(dtype: torch.dtype) -> None:
    signal = (random(1000) * 100).to(dtype)
    signal[:2] = torch.tensor([0.0, -0.0]).to(dtype)
    y = convolve(signal, torch.ones(1, dtype=dtype))
    assert torch.equal(y, signal.to(y.dtype))
    assert torch.equal(y.signbit(), signal.signbit())


@pytest.mark.parametrize("taps", [3, 1000])
def test_a_delay_returns_every_bit(taps: int) -> None:
    signal, kernel = random(3000, dtype=torch.float32), torch.zeros(taps)
    kernel[taps - 1] = 1
    assert torch.equal(convolve(signal, kernel), functional.pad(signal, (taps - 1, 0)))


def test_dtypes() -> None:
    kernel = torch.tensor([1.0, 0.5])
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        signal = torch.tensor([1, 2, 4], dtype=dtype)
        y = convolve(signal, kernel.double(), bias=1)
        assert y.dtype == dtype
        assert y.tolist() == [2, 3.5, 6, 3]
        assert torch.equal(y[:2], streamed(signal, kernel.double(), [1], bias=1)[:2])
    y = convolve(torch.tensor([1, 2, 4], dtype=torch.int16), kernel)
    assert y.dtype == F64
    assert y.tolist() == [1, 2.5, 5, 2]
    assert convolve(torch.tensor([1, 2]), torch.tensor([1, 1]), bias=0.5).tolist() == [1.5, 3.5, 2.5]
    assert convolve(torch.tensor([1, 2]), torch.tensor([1, 1]), bias=7).tolist() == [8, 10, 9]


@given(
    st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=12), st.lists(st.integers(-(2**28), 2**28), min_size=1)
)
@settings(max_examples=60)
def test_integers_are_exact(signal: list[int], kernel: list[int]) -> None:
    x, h = torch.tensor(signal), torch.tensor(kernel)
    expected = reference.convolve(signal, kernel)
    if max(map(abs, expected)) < 2**63:
        y = convolve(x, h, method="fft")
        assert y.dtype == torch.int64
        assert y.tolist() == expected
    else:
        with pytest.raises(InputError):
            convolve(x, h)


def test_integers_near_the_end_of_int64() -> None:
    top = 2**63 - 1
    assert convolve(torch.tensor([top, -top]), torch.tensor([1])).tolist() == [top, -top]
    x = torch.tensor([[2**62, 2**62, 5], [1, 2, 3]])
    assert convolve(x, torch.tensor([1, -1])).tolist()[0] == [2**62, 0, 5 - 2**62, -5]
    mixed = convolve(x, torch.tensor([[[1], [-1]]]), bias=torch.tensor([-3]))
    assert convolve(torch.tensor([-(2**62), 2**62]), torch.tensor([[[1, 1]]])).tolist() == [[-(2**62), 0, 2**62]]
    assert mixed.tolist() == [[2**62 - 4, 2**62 - 5, -1]]
    with pytest.raises(InputError, match=r"output sample 1 of channel 1 is 9223372036854775808, .*float64"):
        convolve(torch.tensor([[0, 0], [2**62, 2**62]]), torch.tensor([1, 1]))
    with pytest.raises(InputError, match="output sample 1 of channel 0"):
        streamed(torch.tensor([0, 0, 2**62, 2**62]), torch.tensor([1, 1]), [1, 2], stride=3)
    with pytest.raises(InputError, match="uint64"):
        convolve(torch.tensor([2**63 + 5], dtype=torch.uint64), torch.tensor([1]))
    assert convolve(torch.tensor([7], dtype=torch.uint64), torch.tensor([2])).tolist() == [14]


@pytest.mark.parametrize("channels", [(), (2,), (3, 2), (5, 5)])
def test_integer_matrices_and_pairs(channels: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(1)
    kernel = torch.randint(-9, 9, (*channels, 4), generator=generator)
    signal = torch.randint(-99, 99, (channels[-1] if channels else 2, 30), generator=generator)
    expected = convolve(signal.double(), kernel.double(), method="direct").long()
    assert torch.equal(convolve(signal, kernel), expected)
    large = convolve(signal * 2**40, kernel * 2**10)
    assert torch.equal(large, expected * 2**50)


def test_accuracy_float64() -> None:
    for taps in (100, 3000, 20_000):
        signal, kernel = random(60_000), random(taps, seed=1)
        exact = scipy.signal.convolve(signal.numpy().astype(np.longdouble)[:40], kernel.numpy().astype(np.longdouble))
        y = convolve(signal[:40], kernel, method="fft").numpy()
        limit = np.finfo(float).eps * float(signal[:40].norm() * kernel.norm())
        assert np.abs(y - exact).max() <= limit
        y = convolve(signal, kernel, method="fft")
        some = [0, 1, 777, 59_999]
        for n in some:
            terms = kernel[: n + 1].numpy().astype(np.longdouble) * signal[max(0, n - taps + 1) : n + 1].flip(0).numpy()
            assert abs(float(y[n]) - terms.sum()) <= np.finfo(float).eps * float(signal.norm() * kernel.norm())


@pytest.mark.parametrize("taps", [50, 2000, 30_000, 270_000])
def test_accuracy_float32(taps: int) -> None:
    signal, kernel = random(300_000, dtype=torch.float32), random(taps, dtype=torch.float32, seed=1)
    exact = torch.from_numpy(scipy.signal.oaconvolve(signal.double().numpy(), kernel.double().numpy()))
    assert (convolve(signal, kernel) - exact).norm() <= 5e-7 * exact.norm()


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_a_quiet_tail_after_a_burst(dtype: torch.dtype, limit: float) -> None:
    signal, kernel = random(100_000, dtype=dtype), random(101, dtype=dtype, seed=1)
    signal[5000:] *= 1e-9
    y = convolve(signal, kernel)[12_000:]
    exact = convolve(signal.double(), kernel.double(), method="direct")[12_000:]
    assert (y - exact).norm() <= limit * exact.norm()


def test_denormals_come_through() -> None:
    signal = torch.full((200,), 1e-40)
    y = convolve(signal, torch.full((20,), 1e3), mode="valid", method="fft")
    torch.testing.assert_close(y, torch.full_like(y, 2e-36), rtol=1e-4, atol=0)


# Silence


@pytest.mark.parametrize("dilation", [1, 3])
@pytest.mark.parametrize("mixed", [False, True])
def test_silence_stays_silence(small_rows: int, mixed: bool, dilation: int) -> None:
    taps = (small_rows - 1) // dilation + 1
    signal = random(2, 1500, dtype=torch.float32)
    signal[:, 401 : 401 + small_rows + 40] = 0
    signal[0, 1000:] = 0
    signal[:, ::50] = 0
    kernel = random(*(2, 2) if mixed else (2,), taps, dtype=torch.float32, seed=1)
    y = convolve(signal, kernel, dilation=dilation, method="fft", bias=0.25)
    heard = (signal != 0).any(0, keepdim=True).expand(2, -1) if mixed else signal != 0
    touched = convolve(heard.double(), torch.ones(taps, dtype=F64), dilation=dilation, method="direct") > 0
    assert bool((y[~touched] == 0.25).all())
    assert int((~touched).sum()) > 40
    exact = convolve(signal.double(), kernel.double(), dilation=dilation, method="direct")
    torch.testing.assert_close(y.double(), exact + 0.25, rtol=0, atol=2e-4)


def test_what_is_still_behind_the_last_output_is_of_no_account() -> None:
    segment = torch.cat([torch.ones(1, 1, 10), torch.zeros(1, 1, 50)], -1)
    y = torch.ones(1, 1, 3)
    assert silence.silenced(y, segment, Taps(torch.ones(1, 4), 1)).all()


@pytest.mark.parametrize("few", [0, 64])
@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize(("shape", "channels"), [((1,), 2), ((2,), 2), ((3,), 1), ((3, 2), 2)])
def test_exactly_what_is_silent_is_zero(
    few: int, recorded: bool, shape: tuple[int, ...], channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "_FEW", few)
    torch.manual_seed(0)
    for _ in range(60):
        count, dilation, outputs, behind = (int(torch.randint(1, most, ())) for most in (9, 4, 60, 7))
        taps = Taps(torch.ones(*shape, count), dilation)
        density = (0.02, 0.1, 0.9)[int(torch.randint(3, ()))]
        x = (torch.rand(2, channels, outputs + taps.span + behind) < density).float()
        heard = x.bool().any(1, keepdim=True) if taps.mixes else x.bool()
        wanted = torch.stack([heard[..., k * dilation :][..., :outputs] for k in range(count)]).any(0)
        y = torch.ones(2, taps.channels(channels), outputs, requires_grad=recorded)
        found = silence.silenced(y, x, taps)
        assert torch.equal(found.detach(), wanted.expand(found.shape).float())
        if recorded:
            found.sum().backward()
            assert y.grad is not None
            assert bool((y.grad == 1).all())


def test_silence_without_a_minus() -> None:
    y = convolve(torch.zeros(40), -torch.ones(5))
    assert not y.signbit().any()
    assert not convolve(torch.zeros(40), -torch.ones(50)).any()


# NaN and infinity


@pytest.mark.parametrize("shape", [(), (2,), (2, 2)])
@pytest.mark.parametrize("dilation", [1, 2])
def test_what_is_not_finite_spoils_as_in_direct_arithmetic(
    small_rows: int, shape: tuple[int, ...], dilation: int
) -> None:
    taps = (small_rows - 1) // dilation + 1
    kernel = random(*shape, taps, seed=1)
    kernel[..., 3:6] = 0
    for places in ({100: torch.nan}, {50: torch.inf, 51: torch.inf}, {70: -torch.inf, 75: torch.inf, 400: torch.nan}):
        signal = random(2, 600)
        for n, value in places.items():
            signal[0, n] = value
        y = convolve(signal, kernel, dilation=dilation, method="fft")
        full = kernel if len(shape) == 2 else kernel.expand(2, -1)
        rows = []
        for out in range(2):
            terms = torch.zeros(2, 600 + (taps - 1) * dilation, dtype=F64)
            for channel, k in itertools.product(range(2), range(taps)):
                h = full[out, channel, k] if len(shape) == 2 else full[out, k]
                terms[channel, k * dilation : k * dilation + 600] += signal[channel] * h
            rows.append(terms.sum(0) if len(shape) == 2 else terms[out])
        expected = torch.stack(rows)
        torch.testing.assert_close(y, expected, rtol=0, atol=1e-11, equal_nan=True)
        assert int((~y.isfinite()).sum()) <= (1 + (len(shape) == 2)) * taps * len(places)
        assert torch.equal(streamed(signal, kernel, [97, 333], dilation=dilation, method="fft").isnan(), y.isnan())


def test_zero_taps_of_a_sparse_kernel_meet_infinities() -> None:
    kernel = torch.zeros(50)
    kernel[[2, 40]] = torch.tensor([1.0, -1.0])
    signal = torch.ones(200)
    signal[60] = torch.inf
    assert Convolution(kernel).method == "direct"
    y = convolve(signal, kernel, stride=2)
    expected = torch.zeros(249)
    for k in range(50):
        expected[k : k + 200] += signal * kernel[k]
    assert torch.equal(y.isnan(), expected[::2].isnan())
    torch.testing.assert_close(y, expected[::2], equal_nan=True)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_kernel_that_is_not_finite(value: float) -> None:
    kernel = random(40)
    kernel[7] = value
    operation = Convolution(kernel, method="fft")
    assert operation.method == "direct"
    y = convolve(random(100), kernel, method="fft")
    assert not y.isfinite().any()
    assert torch.equal(y[8:99].isinf().all(), torch.tensor(value == torch.inf))


@pytest.mark.parametrize(("dtype", "large"), [(torch.float32, 3e38), (torch.float64, 1e308)])
def test_near_the_largest_number(small_rows: int, dtype: torch.dtype, large: float) -> None:
    for shape in ((), (2, 2)):
        signal, kernel = random(2, 500, dtype=dtype), random(*shape, small_rows, dtype=dtype, seed=1)
        kernel /= kernel.abs().sum() * 1.01
        signal[:, 100:300] = large * signal[:, 100:300].sign()
        exact = convolve(signal.double() / large, kernel.double(), method="direct") * large
        y = convolve(signal, kernel, method="fft")
        assert y.isfinite().all()
        assert (y - exact).abs().max() <= 1e-6 * large


def test_kernels_of_any_size() -> None:
    for factor in (1e-38, 1e37, 1e-30):
        kernel, signal = random(40, dtype=torch.float32) * factor, random(300, dtype=torch.float32)
        exact = convolve(signal.double(), kernel.double(), method="direct")
        y = convolve(signal, kernel, method="fft")
        assert (y - exact).norm() <= 1e-5 * exact.norm()


@pytest.mark.parametrize("taps", [16, 3000, 60_000])
def test_sums_past_the_dtype_are_no_overflow(taps: int) -> None:
    y = convolve(torch.full((300_000,), 1e34), torch.ones(taps), mode="valid", method="fft")
    assert y.shape == (300_001 - taps,)
    torch.testing.assert_close(y, torch.full_like(y, 1e34 * taps) if taps < 30_000 else y.new_full(y.shape, torch.inf))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("mixed", [False, True])
@given(data=st.data())
@settings(max_examples=40)
def test_no_channel_is_too_quiet_beside_another(data: st.DataObject, mixed: bool, dtype: torch.dtype) -> None:
    tiny, huge = (-120, 120) if dtype == torch.float32 else (-1000, 1000)
    eps, smallest = torch.finfo(dtype).eps, torch.finfo(dtype).smallest_normal

    def rows(*shape: int, seed: int) -> torch.Tensor:
        sizes = data.draw(st.lists(st.integers(tiny, huge), min_size=prod(shape[:-1]), max_size=prod(shape[:-1])))
        signs = random(*shape, dtype=dtype, seed=seed).sign()
        return signs * (1.5 * torch.tensor(2.0, dtype=dtype) ** torch.tensor(sizes).reshape(*shape[:-1], 1))

    x, h = rows(2, 70, seed=1), rows(*(2, 2) if mixed else (2,), 14, seed=2)
    y = convolve(x, h, method="fft")
    for out in range(2):
        pairs = [(x[i], h[out, i]) for i in range(2)] if mixed else [(x[out], h[out])]
        made = [reference.convolve(exact(a), exact(b)) for a, b in pairs]
        size = sum(Fraction(float(a.abs().max())) * Fraction(float(b.abs().max())) for a, b in pairs) * 14
        for n, value in enumerate(y[out].tolist()):
            total = sum(row[n] for row in made)
            if abs(total) + size <= Fraction(torch.finfo(dtype).max):
                assert abs(Fraction(value) - total) <= size * Fraction(4 * eps) + Fraction(32 * smallest * eps)


def exact(x: torch.Tensor) -> list[Fraction]:
    return [Fraction(value) for value in x.tolist()]


@pytest.mark.parametrize("partitions", [1, 3])
def test_loud_and_quiet_kernels(monkeypatch: pytest.MonkeyPatch, partitions: int) -> None:
    monkeypatch.setattr(overlap_save, "row_size", lambda _: (32, partitions))
    for dtype, loud, quiet in ((F64, 1e200, 1e-200), (torch.float32, 1e20, 1e-25), (torch.float32, 1e13, 1e-30)):
        kernel = torch.tensor([[loud], [quiet]], dtype=dtype).expand(2, 16)
        expected = 16 * kernel[:, :1].expand(2, 85)
        torch.testing.assert_close(convolve(torch.ones(100, dtype=dtype), kernel, mode="valid", method="fft"), expected)
        whole = convolve(torch.ones(1, 100, dtype=dtype), kernel.unsqueeze(1), mode="valid", method="fft")
        torch.testing.assert_close(whole, expected)
        # A quiet input that only a loud row of taps makes heard, beside a loud one behind a quiet row.
        x = torch.tensor([[quiet], [loud]], dtype=dtype).expand(2, 100)
        y = convolve(x, kernel.flip(0).unsqueeze(0).flip(1), mode="valid", method="fft")
        torch.testing.assert_close(y, torch.full_like(y, 32 * loud * quiet))


# Gradients


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [((6,), (3,)), ((2, 6), (2, 3)), ((1, 6), (2, 3)), ((2, 2, 6), (3, 2, 3))])
def test_gradients(shape: tuple[tuple[int, ...], tuple[int, ...]], method: str) -> None:
    signal, kernel = random(*shape[0]).requires_grad_(), random(*shape[1], seed=1).requires_grad_()
    bias = random(1).requires_grad_()
    for options in ({}, {"stride": 2, "dilation": 2}, {"mode": "same", "padding_mode": "reflect"}):
        assert torch.autograd.gradcheck(
            lambda x, h, b, options=options: convolve(x, h, bias=b, method=method, **options), (signal, kernel, bias)
        )


def test_gradients_through_partitions_and_repairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap_save, "row_size", lambda _: (16, 3))
    signal, kernel = random(40), random(20, seed=1)
    signal[5:30] = 0
    for shape in ((20,), (2, 1, 10)):
        inputs = (signal.clone().requires_grad_(), kernel.reshape(shape).clone().requires_grad_())
        assert torch.autograd.gradcheck(lambda x, h: convolve(x, h, method="fft"), inputs)
    loud = (random(25).requires_grad_(), random(2, seed=1).requires_grad_())  # 24 outputs: two full rows
    monkeypatch.setattr(overlap_save, "row_size", lambda _: (13, 1))
    assert torch.autograd.gradcheck(lambda x, h: convolve(x, h, mode="valid", method="fft"), loud)
    monkeypatch.setattr(overlap_save, "row_size", lambda _: (16, 3))
    broken = signal.clone()
    broken[3] = torch.nan
    broken.requires_grad_()
    y = convolve(broken, kernel, method="fft")
    y[y.isfinite()].sum().backward()
    assert broken.grad is not None
    assert broken.grad[30:].any()


@pytest.mark.parametrize("method", METHODS)
def test_no_gradient_is_recorded_unless_wanted(method: str) -> None:
    signal, kernel = random(100).requires_grad_(), random(5).requires_grad_()
    expected = convolve(signal, kernel, method=method)
    assert expected.requires_grad
    with torch.no_grad():
        assert not convolve(signal, kernel, method=method).requires_grad
    with torch.inference_mode():
        y = convolve(signal, kernel, method=method)
    torch.testing.assert_close(y, expected.detach())


# The choice of a method


def test_the_method_follows_the_kernel() -> None:
    sparse = torch.zeros(1000)
    sparse[::100] = 1
    cases: list[tuple[Tensor, dict[str, Any], str]] = [
        (torch.ones(1), {}, "direct, 1 tap"),
        (torch.ones(12), {}, "direct, 12 taps"),
        (torch.ones(13), {}, "fft, 2048-point rows"),
        (torch.ones(13), {"stride": 2}, "direct, 13 taps"),
        (torch.ones(3), {"method": "fft"}, "fft, 2048-point rows"),
        (torch.ones(300), {"method": "direct"}, "direct, 300 taps"),
        (sparse, {}, "direct, 1000 taps"),
        (torch.ones(2, 1001), {}, "fft, 8192-point rows"),
        (torch.ones(3, 2, 100), {}, "fft, 2048-point rows"),
        (torch.ones(1_000_000), {}, "fft, 262144-point rows, 8 partitions"),
    ]
    for kernel, options, text in cases:
        operation = Convolution(kernel, **options)
        assert operation.describe() == text
        assert operation.method == text.split(",")[0]
    operation = Convolution(torch.ones(100, dtype=torch.int64))
    operation.push(torch.arange(3))
    assert operation.method == "direct"
    assert operation.describe() == "direct, 100 taps, exact integers"


def test_no_row_is_longer_than_float32_bears() -> None:
    for span in (0, 255, 256, 5000, 10_000, 20_000, 100_000, 200_000, 10_000_000):
        size, partitions = overlap_save.row_size(span)
        assert size <= 1 << 19
        assert span < size if partitions == 1 else span < partitions * size // 2


def test_memory_for_large_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "LARGE", 1)
    like = torch.zeros(1)
    assert parallel.empty((2, 3), like, F64).fill_(1).sum() == 6
    monkeypatch.delattr(parallel.mmap, "MADV_HUGEPAGE", raising=False)
    assert parallel.empty((2, 3), like, F64).shape == (2, 3)


# Misuse


@pytest.mark.parametrize(
    ("error", "match", "signal", "kernel", "options"),
    [
        (ValueError, 'padding_mode "reflect" needs mode "same"', (9,), (3,), {"padding_mode": "reflect"}),
        (ValueError, "mode is 'most'", (9,), (3,), {"mode": "most"}),
        (ValueError, "method is 'best'", (9,), (3,), {"method": "best"}),
        (ValueError, "padding_mode is 'ones'", (9,), (3,), {"padding_mode": "ones"}),
        (ValueError, "stride is 0", (9,), (3,), {"stride": 0}),
        (ValueError, "dilation is -1", (9,), (3,), {"dilation": -1}),
        (ValueError, r"the kernel's shape is \(0,\)", (9,), (0,), {}),
        (ValueError, r"the kernel's shape is \(\)", (9,), (), {}),
        (ValueError, "takes 3 channels and the signal has 2", (2, 9), (3, 4), {}),
        (ValueError, "takes 1 channels and the signal has 2", (2, 9), (3, 1, 4), {}),
        (ValueError, "no channels", (0, 9), (3,), {}),
        (ValueError, "no dimensions", (), (3,), {}),
        (ValueError, r"bias has shape \(1, 1\)", (9,), (3,), {"bias": torch.ones(1, 1)}),
        (ValueError, "bias has 2 numbers", (3, 9), (3,), {"bias": torch.ones(2)}),
        (InputError, "the signal is empty", (0,), (3,), {}),
        (InputError, "the signal is empty", (2, 0), (3,), {"mode": "valid"}),
        (InputError, "spans 5 samples; the signal has 4", (4,), (3,), {"mode": "valid", "dilation": 2}),
        (
            InputError,
            "more than 2 samples of signal, which has 2",
            (2,),
            (5,),
            {"mode": "same", "padding_mode": "reflect"},
        ),
        (
            InputError,
            "needs at least as many of signal, which has 1",
            (1,),
            (5,),
            {"mode": "same", "padding_mode": "circular"},
        ),
    ],
)
def test_misuse(
    error: type[Exception], match: str, signal: tuple[int, ...], kernel: tuple[int, ...], options: dict[str, Any]
) -> None:
    with pytest.raises(error, match=match):
        convolve(torch.ones(signal), torch.ones(kernel), **options)


def test_types_without_an_order() -> None:
    numbers = torch.ones(3)
    for wrong in (numbers.bool(), numbers.to(torch.complex64)):
        with pytest.raises(TypeError, match="the signal is torch"):
            convolve(wrong, numbers)
        with pytest.raises(TypeError, match="the kernel is torch"):
            convolve(numbers, wrong)
        with pytest.raises(TypeError, match="the bias is torch"):
            convolve(numbers, numbers, bias=wrong[:1])


def test_blocks_that_do_not_fit() -> None:
    operation = Convolution(torch.ones(3))
    with pytest.raises(InputError, match="empty"):
        operation.finish()
    operation.push(torch.ones(2, 5))
    with pytest.raises(ValueError, match="a block of shape"):
        operation.push(torch.ones(3, 5))
    circular = Convolution(torch.ones(3), mode="same", padding_mode="circular")
    with pytest.raises(ValueError, match=r"as `before`, .* it is None"):
        circular.push(torch.ones(5))
    assert (circular.left, circular.right) == (1, 1)
    assert Convolution(torch.ones(1), mode="same", padding_mode="circular").push(torch.ones(5)).tolist() == [1] * 5
    lied = Convolution(torch.ones(9), mode="same", padding_mode="circular", before=torch.ones(9))
    lied.push(torch.ones(3))
    with pytest.raises(InputError, match="at least 4 samples of signal, which has 3"):
        lied.finish()


def test_inputs_are_not_changed() -> None:
    signal, kernel = random(2, 3000, dtype=torch.float32), random(40, dtype=torch.float32)
    copies = signal.clone(), kernel.clone()
    for method in METHODS:
        y = convolve(signal, kernel, method=method, bias=1.0)
        y.zero_()
    assert torch.equal(signal, copies[0])
    assert torch.equal(kernel, copies[1])


@pytest.mark.parametrize("length", [1, 500, 3000, 9000, 70_000, 300_000])
def test_a_wrong_guess_of_the_length_changes_no_more_than_rounding(length: int) -> None:
    signal, kernel = random(9000), random(3000, seed=1)
    guessed = Convolution(kernel, method="fft", samples=length)
    result = torch.cat([guessed.push(signal), guessed.finish()])
    bound = torch.finfo(signal.dtype).eps * signal.norm() * kernel.norm()
    assert (result - convolve(signal, kernel, method="direct")).abs().max() <= bound


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_few_rows_at_a_time_give_the_bits_of_many(
    small_rows: int, channels: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    signal, kernel = torch.randn(channels, 1003, dtype=dtype), torch.randn(small_rows, dtype=dtype)
    found = []
    for batch in (1, 1 << 18):
        monkeypatch.setattr(overlap_save, "BATCH", batch)
        monkeypatch.setattr(overlap_save, "HELD", batch)
        found.append(convolve(signal, kernel, method="fft"))
    assert torch.equal(*found)
