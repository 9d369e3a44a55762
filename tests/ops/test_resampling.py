"""Resampling against a loop over the formula, known sines, and itself in pieces."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from convtool.ops.resampling import BETA, CUTOFF, GROUP, ZEROS, Resampling, resample

# Polyphase up and down, one step of many samples, and the ratios that only Chebyshev nodes can serve.
RATIOS = [(44100, 48000), (48000, 44100), (1, 2), (3, 1), (8000, 44100), (44100, 48001), (48001, 44100), (48001, 8000)]


def sinc_sum(signal: list[float], orig: int, new: int) -> list[float]:
    """The formula in the module's docstring, one output at a time."""
    cutoff, half = CUTOFF * min(1, new / orig), ZEROS * max(1, orig / new)
    outputs = []
    for m in range(math.ceil(len(signal) * new / orig)):
        times = m * orig / new - np.arange(math.floor(m * orig / new - half), math.ceil(m * orig / new + half) + 1)
        times = times[abs(times) < half]
        taps = np.sinc(cutoff * times) * np.i0(BETA * np.sqrt(1 - (times / half) ** 2))
        samples = [signal[i] if 0 <= i < len(signal) else 0.0 for i in np.rint(m * orig / new - times).astype(int)]
        outputs.append(float(np.dot(taps, samples) / taps.sum()))
    return outputs


def sine(frequency: float, rate: int, samples: int) -> Tensor:
    return torch.sin(2 * torch.pi * frequency / rate * torch.arange(samples, dtype=torch.float64) + 0.3)


def in_blocks(signal: Tensor, orig: int, new: int, cuts: list[int]) -> Tensor:
    core = Resampling(orig_rate=orig, new_rate=new)
    edges = [0, *sorted(cuts), signal.shape[-1]]
    parts = [core.push(signal[..., a:b]) for a, b in itertools.pairwise(edges)]
    return torch.cat([*parts, core.finish()], -1)


@pytest.mark.parametrize("samples", [1, 2, 57])
@pytest.mark.parametrize(("orig", "new"), [*RATIOS, (1000, 999), (7919, 7907), (2**31 - 1, 2**31 - 3)])
def test_equals_the_direct_sum(orig: int, new: int, samples: int) -> None:
    signal = torch.randn(samples, generator=torch.Generator().manual_seed(samples), dtype=torch.float64)
    expected = torch.tensor(sinc_sum(signal.tolist(), orig, new), dtype=torch.float64)
    # With nodes, taps that enter the filter between two nodes do so with a jump of 1e-9.
    torch.testing.assert_close(resample(signal, orig_rate=orig, new_rate=new), expected, rtol=0, atol=2e-9)


@pytest.mark.parametrize(("orig", "new"), RATIOS)
def test_the_pass_band_is_flat_and_in_phase(orig: int, new: int) -> None:
    for part in (0.001, 0.3, 0.9, 0.95):
        frequency = part * min(orig, new) / 2
        output = resample(sine(frequency, orig, 6000), orig_rate=orig, new_rate=new)
        edge = math.ceil(ZEROS * max(1, new / orig))
        error = (output - sine(frequency, new, len(output)))[edge:-edge]
        assert error.abs().max() < 10 ** (-140 / 20)


@pytest.mark.parametrize(("orig", "new"), [(2, 1), (48000, 44100), (48001, 8000), (96000, 44100)])
def test_nothing_above_the_new_nyquist_frequency_folds_back(orig: int, new: int) -> None:
    for frequency in np.linspace(new / 2, orig / 2, 7)[:-1]:
        output = resample(sine(frequency, orig, 8000), orig_rate=orig, new_rate=new)
        assert output[ZEROS:-ZEROS].abs().max() < 10 ** (-140 / 20)


def test_images_of_an_upsampled_signal_are_as_low() -> None:
    output = resample(sine(0.45, 1, 4000), orig_rate=1, new_rate=4)[3000:-3000]
    spectrum = torch.fft.rfft(output * torch.from_numpy(np.kaiser(len(output), 20.0))).abs()
    images = spectrum[len(spectrum) // 4 :]  # from the old Nyquist frequency up
    assert images.max() < 10 ** (-140 / 20) * spectrum.max()


@pytest.mark.parametrize(("orig", "new"), RATIOS)
@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-13), (torch.float32, 1.2e-7)])
def test_the_gain_of_a_constant_is_one(orig: int, new: int, dtype: torch.dtype, error: float) -> None:
    output = resample(torch.ones(5000, dtype=dtype), orig_rate=orig, new_rate=new)
    middle = len(output) // 2
    assert output.dtype == dtype
    assert (output[middle - 20 : middle + 20] - 1).abs().max() <= error


def test_an_impulse_stays_where_it_is() -> None:
    impulse = torch.zeros(1000, dtype=torch.float64)
    impulse[441] = 1
    output = resample(impulse, orig_rate=44100, new_rate=48000)
    assert output.argmax() == 480
    torch.testing.assert_close(output[481:681], output[280:480].flip(0), rtol=0, atol=1e-13)


@pytest.mark.parametrize(("orig", "new"), [*RATIOS, (1, 1), (1, 300), (997, 1)])
@pytest.mark.parametrize("samples", [0, 1, 2, 3, 147])
def test_lengths(orig: int, new: int, samples: int) -> None:
    output = resample(torch.ones(2, 0, samples), orig_rate=orig, new_rate=new)
    assert output.shape == (2, 0, math.ceil(samples * new / orig))


def test_thousands_of_outputs_a_sample() -> None:
    assert resample(torch.ones(2, 3), orig_rate=1, new_rate=9700).shape == (2, 29100)


def test_one_group_more_or_less() -> None:
    for samples in range(16317 - 2, 16317 + 3):
        output = resample(torch.ones(samples), orig_rate=44100, new_rate=48000)
        assert len(output) == math.ceil(samples * 160 / 147)
        assert output[-1] > 0.01


def test_equal_rates_change_nothing() -> None:
    signal = torch.tensor([[0.1, math.nan, -math.inf, -0.0, 1e-310]], dtype=torch.float64)
    output = resample(signal, orig_rate=44100, new_rate=44100)
    assert output.view(torch.int64).equal(signal.view(torch.int64))
    output[0, 0] = 5
    assert signal[0, 0] == 0.1
    assert in_blocks(signal[:, :1], 3, 3, [0, 1]).equal(signal[:, :1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("orig", "new"), RATIOS)
def test_blocks_give_the_whole_to_the_bit(orig: int, new: int, dtype: torch.dtype) -> None:
    signal = torch.randn(2, 35000, generator=torch.Generator().manual_seed(1), dtype=dtype)
    whole = resample(signal, orig_rate=orig, new_rate=new)
    for cuts in ([1, 16317, 16318], list(range(0, 35000, 1024)), [20000, 20000, 20001, 34999]):
        assert in_blocks(signal, orig, new, cuts).equal(whole)


@settings(max_examples=60)
@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 300), st.lists(st.integers(0, 300), max_size=6))
def test_any_ratio_in_any_blocks(orig: int, new: int, samples: int, cuts: list[int]) -> None:
    signal = torch.randn(samples, generator=torch.Generator().manual_seed(samples), dtype=torch.float64)
    whole = resample(signal, orig_rate=orig, new_rate=new)
    assert whole.shape == (math.ceil(samples * new / orig),)
    assert in_blocks(signal, orig, new, [min(cut, samples) for cut in cuts]).equal(whole)


def test_the_work_of_a_block_can_wait() -> None:
    signal = torch.randn(50000, generator=torch.Generator().manual_seed(2))
    core = Resampling(orig_rate=44100, new_rate=48000)
    buffer = signal[:20000].clone()
    first = core.stage(buffer)
    buffer[:] = 0
    works = [first, core.stage(signal[20000:]), core.stage_end()]
    outputs = [work() for work in reversed(works)]
    assert torch.cat(outputs[::-1]).equal(resample(signal, orig_rate=44100, new_rate=48000))


def test_leading_dimensions_are_signals_of_their_own() -> None:
    signal = torch.randn(2, 3, 500, dtype=torch.float64)
    for orig, new in ((44100, 48000), (44100, 48001)):
        output = resample(signal, orig_rate=orig, new_rate=new)
        alone = resample(signal[1, 2], orig_rate=orig, new_rate=new)
        torch.testing.assert_close(output[1, 2], alone, rtol=0, atol=1e-14)


def test_no_blocks_give_nothing() -> None:
    assert Resampling(orig_rate=2, new_rate=3).finish().shape == (0,)
    assert Resampling(orig_rate=2, new_rate=2).finish().shape == (0,)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(("orig", "new"), RATIOS)
def test_a_bad_sample_spoils_what_its_filter_reaches(orig: int, new: int, value: float) -> None:
    signal = torch.randn(2, 4000, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    whole = resample(signal, orig_rate=orig, new_rate=new)
    signal[1, 1500] = value
    output = resample(signal, orig_rate=orig, new_rate=new)
    touched = [abs(m * orig - 1500 * new) < ZEROS * max(orig, new) for m in range(output.shape[-1])]
    assert output[1].isnan().equal(torch.tensor(touched))
    assert output[0].equal(whole[0])
    torch.testing.assert_close(output.where(~output.isnan(), whole), whole, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("orig", "new"), RATIOS)
def test_silence_stays_silence(orig: int, new: int) -> None:
    assert not resample(torch.zeros(3000), orig_rate=orig, new_rate=new).any()


@pytest.mark.parametrize(("orig", "new"), [(2, 3), (44100, 48001)])
def test_gradients(orig: int, new: int) -> None:
    signal = torch.randn(2, 6, generator=torch.Generator().manual_seed(4), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: resample(x, orig_rate=orig, new_rate=new), signal)


def test_half_precision_is_kept() -> None:
    signal = torch.randn(400, generator=torch.Generator().manual_seed(5)).half()
    output = resample(signal, orig_rate=2, new_rate=3)
    assert output.dtype == torch.float16
    assert output.equal(resample(signal.double(), orig_rate=2, new_rate=3).half())


@pytest.mark.parametrize("rate", [0, -1, 44100.0, "44100", True, None])
def test_rates_that_are_none(rate: object) -> None:
    with pytest.raises(ValueError, match="new_rate is"):
        resample(torch.ones(3), orig_rate=1, new_rate=rate)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="orig_rate is"):
        resample(torch.ones(3), orig_rate=rate, new_rate=1)  # type: ignore[arg-type]


def test_too_far_down_in_one_step() -> None:
    with pytest.raises(ValueError, match=r"factor of 1000\.5.*up to 1000: resample in two steps"):
        resample(torch.ones(3), orig_rate=2001, new_rate=2)


def test_too_far_up_in_one_step() -> None:
    with pytest.raises(ValueError, match=r"from 1 Hz to 100001 Hz is a factor of 100001; .* up to 100000: resample in"):
        Resampling(orig_rate=1, new_rate=100_001)


@pytest.mark.parametrize(("orig", "new"), [(1, 50_000), (1, 1000), (48, 44100), (3, 2), (2, 3), (1000, 1), (5, 5)])
def test_parts_are_no_larger_than_the_block_and_join_to_the_whole(orig: int, new: int) -> None:
    """But for the group that is completed, which has 65 000 outputs."""
    signal = torch.randn(2, min(70_001, 5_000_000 // new), dtype=torch.float64)
    core = Resampling(orig_rate=orig, new_rate=new)
    parts = [*core.push_in_parts(signal), *core.finish_in_parts()]
    assert max(part.shape[-1] for part in parts) <= signal.shape[-1] + 4 * GROUP
    assert torch.equal(torch.cat(parts, -1), resample(signal, orig_rate=orig, new_rate=new))


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_dtypes_that_have_no_band_limit(dtype: torch.dtype) -> None:
    with pytest.raises(TypeError, match=f"{dtype}".replace(".", r"\.")):
        resample(torch.ones(3, dtype=dtype), orig_rate=1, new_rate=2)
