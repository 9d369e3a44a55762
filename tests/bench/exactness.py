"""Errors of the arithmetic, against extended precision and fractions: ``python tests/bench/exactness.py``.

What it prints are the figures of the page on exactness in the documentation.
"""

from __future__ import annotations

import math
import time
from fractions import Fraction

import numpy as np
import scipy.signal
import torch

from convtool.ops import convolve, local_stats, rescale

RANDOM = np.random.default_rng(0)
TONE = 2 * np.pi * 997 / 44100
OUTPUTS = 300  # of a convolution, that are computed in extended precision
PAIRS = ((200_000, 100), (200_000, 3000), (200_000, 88_200), (5000, 5000), (300_000, 300_000))


def exact_outputs(x: np.ndarray, h: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Some outputs of a convolution, term by term in extended precision."""
    x, h = x.astype(np.longdouble), h.astype(np.longdouble)
    sums = []
    for n in places:
        first, last = max(0, n - len(h) + 1), min(n, len(x) - 1)
        sums.append((x[first : last + 1] * h[n - last : n - first + 1][::-1]).sum())
    return np.array(sums)


def kinds(samples: int) -> dict[str, np.ndarray]:
    """Signals of zero mean, of one sign, and of one frequency."""
    tone = np.sin(TONE * np.arange(samples))
    return {"noise": RANDOM.standard_normal(samples), "positive": RANDOM.random(samples) + 0.5, "tone": tone}


def convolution() -> None:
    """The largest error of an output, over ``eps * norm(x) * norm(h)`` of the dtype."""
    for dtype in (np.float64, np.float32):
        print(f"\n{dtype.__name__}, FFT: largest error / (eps |x| |h|)\n{'samples x taps':>18} {'':9} convtool   SciPy")
        for samples, taps in PAIRS:
            for (name, x), h in zip(kinds(samples).items(), kinds(taps).values(), strict=True):
                x, h = x.astype(dtype), h.astype(dtype)
                places = RANDOM.integers(0, samples + taps - 1, OUTPUTS)
                exact = exact_outputs(x, h, places)
                unit = np.finfo(dtype).eps * np.linalg.norm(x.astype(float)) * np.linalg.norm(h.astype(float))
                made = convolve(torch.from_numpy(x), torch.from_numpy(h), method="fft").numpy()[places]
                errors = [np.abs(y - exact).max() / unit for y in (made, scipy.signal.oaconvolve(x, h)[places])]
                print(f"{samples:>9} x {taps:6} {name:9} {errors[0]:8.3f} {errors[1]:7.3f}", flush=True)


def stop_band() -> None:
    """What is left of a tone in the stop band of a filter that is better than the dtype."""
    taps = scipy.signal.firwin(1001, 4000, fs=44100, window=("kaiser", 20))
    x = np.sin(2 * np.pi * 9000 / 44100 * np.arange(100_000))
    for dtype in (np.float32, np.float64):
        y = convolve(torch.from_numpy(x.astype(dtype)), torch.from_numpy(taps.astype(dtype)), mode="valid").numpy()
        print(f"\nstop band, {dtype.__name__}: {20 * np.log10(np.abs(y).max()):.0f} dB")


def twenty_four_bits() -> None:
    """Samples that float32 arithmetic rounds to another step than exact arithmetic, and what float64 costs."""
    steps = np.round(RANDOM.standard_normal(2_000_000) * 0.15 * 2**23)
    x = torch.from_numpy(steps / 2**23)
    print()
    for taps in (5, 100, 88_200):
        h = torch.from_numpy(RANDOM.standard_normal(taps) / np.sqrt(taps))
        off, seconds = [], {torch.float32: [], torch.float64: []}
        for _ in range(3):
            for dtype, taken in seconds.items():
                a, b = x.to(dtype), h.to(dtype)
                start = time.perf_counter()
                made = convolve(a, b)
                taken.append(time.perf_counter() - start)
                off.append(np.rint(made.double().numpy() * 2**23))
        apart = np.abs(off[0] - off[1])
        ratio = np.median(seconds[torch.float64]) / np.median(seconds[torch.float32])
        share = f"{(apart > 0).mean():.1%} off, {apart.max():.0f} steps at most"
        print(f"24 bits, {taps} taps: {share}; float64 takes {ratio:.2f} times as long")


def variances() -> None:
    """The largest relative error of a variance, on offsets, steps and mixtures of sizes."""
    worst = 0.0
    for window in (2, 3, 5, 7, 10, 49, 50, 100, 1000):
        noise = RANDOM.standard_normal(20 * window + 200)
        for x in (noise + 1e6, noise + 1e15, np.exp(20 * noise), noise * np.where(noise > 0, 1e6, 1e-6)):
            made = local_stats(torch.from_numpy(x), window)[0].tolist()
            for n in RANDOM.integers(0, len(made), 40):
                view = [Fraction(value) for value in x[n : n + window].tolist()]
                mean = sum(view) / window
                exact = sum((value - mean) ** 2 for value in view) / window
                worst = max(worst, float(abs(Fraction(made[n]) - exact) / exact)) if exact else worst
    print(f"\nvariance: relative error {worst:.1e} at most")


def ranges() -> None:
    """The largest error of `rescale`, in units of the last place of the result."""
    for low, high in ((-1.0, 1.0), (0.0, 1e-308)):
        worst = 0.0
        for _ in range(200):
            x = RANDOM.standard_normal(100) * 10.0 ** RANDOM.integers(-300, 300)
            a, b = Fraction(x.min()), Fraction(x.max())
            for number, made in zip(x.tolist(), rescale(torch.from_numpy(x), low=low, high=high).tolist(), strict=True):
                exact = Fraction(low) + (Fraction(number) - a) * (Fraction(high) - Fraction(low)) / (b - a)
                worst = max(worst, float(abs(Fraction(made) - exact) / Fraction(math.ulp(made))))
        print(f"rescale to {low:g}:{high:g}: {worst:.3f} units in the last place at most")


def recurrent() -> None:
    """How far float32 runs of LSTMs are from float64 ones."""
    x = torch.from_numpy(RANDOM.standard_normal((1, 44100, 1)) * 0.3)
    for layers in (1, 3):
        torch.manual_seed(layers)
        wide = torch.nn.LSTM(1, 32, num_layers=layers, batch_first=True).double().requires_grad_(False)
        for weights in wide.parameters():
            weights *= 3  # as large as trained models have them
        exact = wide(x)[0]
        narrow = wide.float()(x.float())[0]
        print(f"LSTM of {layers} layers: float32 differs by {float((narrow - exact).abs().max()):.1e} at most")


if __name__ == "__main__":
    for measure in (variances, ranges, recurrent, stop_band, twenty_four_bits, convolution):
        measure()
