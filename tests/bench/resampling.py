"""Speed and quality of `convtool.ops.resample` beside soxr: `python tests/bench/resampling.py`.

Three signals for each pair of rates, with N half of the lower one: sines at N / 2 and 0.9 N, and an exponential sweep
from 20 Hz to 0.9 N. They are known at any time, so the error is measured against the formula, away from the ends;
it holds the droop of the pass band too. Aliases are what is left of a sine at 1.05 times the new Nyquist frequency.
Times are the median of several runs over ten seconds of stereo in float32, with one thread.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable

import numpy as np
import soxr
import torch

from convtool.ops.resampling import resample

Samples = np.ndarray[tuple[int, ...], np.dtype[np.floating]]
Converter = Callable[[Samples, int, int], Samples]

RATES = [(44100, 48000), (48000, 44100), (96000, 44100), (44100, 192000), (48000, 8000), (44100, 48001), (48001, 8000)]
SECONDS = 10


def with_convtool(signal: Samples, orig: int, new: int) -> Samples:
    output: Samples = resample(torch.from_numpy(signal.T), orig_rate=orig, new_rate=new).numpy().T
    return output


def with_soxr(quality: str) -> Converter:
    return lambda signal, orig, new: soxr.resample(signal, orig, new, quality=quality)


def sine(frequency: float, rate: int, samples: int) -> Samples:
    wave: Samples = np.sin(2 * np.pi * frequency / rate * np.arange(samples))
    return wave


def sweep(top: float, rate: int, samples: int) -> Samples:
    """From 20 Hz at 0 s to `top` Hz at 2 s."""
    growth = math.log(top / 20) / 2
    wave: Samples = np.sin(2 * np.pi * 20 / growth * np.expm1(growth * np.arange(samples) / rate))
    return wave


def decibels(ratio: float) -> float:
    return 20 * math.log10(max(ratio, 1e-20))


def rms(signal: Samples) -> float:
    return float(np.sqrt(np.mean(signal**2)))


def snr(convert: Converter, make: Callable[[float, int, int], Samples], part: float, orig: int, new: int) -> float:
    """Signal over error in dB, in float64, over the middle of two seconds, at or up to `part` of N."""
    top = part * min(orig, new) / 2
    output = convert(make(top, orig, 2 * orig), orig, new)
    expected = make(top, new, len(output))
    middle = slice(new // 8, -new // 8)
    return decibels(rms(expected[middle]) / rms((output - expected)[middle]))


def alias(convert: Converter, orig: int, new: int) -> str:
    """What a sine above the new Nyquist frequency leaves behind, in dB of full scale."""
    frequency = 1.05 * new / 2
    if frequency >= orig / 2:
        return "-"
    output = convert(sine(frequency, orig, 2 * orig), orig, new)
    return f"{decibels(float(np.abs(output[new // 8 : -new // 8]).max())):.0f}"


def seconds(convert: Converter, orig: int, new: int) -> float:
    signal = np.random.default_rng(0).standard_normal((SECONDS * orig, 2)).astype(np.float32)
    convert(signal, orig, new)
    times = []
    for _ in range(7):
        start = time.perf_counter()
        convert(signal, orig, new)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    torch.set_num_threads(1)
    converters = {"convtool": with_convtool, "soxr VHQ": with_soxr("VHQ"), "soxr HQ": with_soxr("HQ")}
    heads = ("N/2 dB", "0.9N dB", "sweep dB", "alias dB", "x real time", "time/VHQ")
    print(f"{'rates':>15}  {'by':8}", *(f"{head:>11}" for head in heads))
    for orig, new in RATES:
        base = seconds(converters["soxr VHQ"], orig, new)
        for name, convert in converters.items():
            taken = base if name == "soxr VHQ" else seconds(convert, orig, new)
            signals = [snr(convert, make, part, orig, new) for make, part in ((sine, 0.5), (sine, 0.9), (sweep, 0.9))]
            cells = [*(f"{each:.1f}" for each in signals), alias(convert, orig, new)]
            cells += [f"{SECONDS / taken:.0f}", f"{taken / base:.2f}"]
            print(f"{f'{orig} to {new}':>15}  {name:8}", *(f"{cell:>11}" for cell in cells))


if __name__ == "__main__":
    main()
