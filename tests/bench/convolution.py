"""Time `convolve` beside SciPy's best method, in pairs: ``python tests/bench/convolution.py [repeats]``.

Ten million float32 samples in memory. Each round times every method once, one after the other, so that a slow minute
of the machine slows all of them; the medians of the rounds are compared.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import scipy.signal
import torch

from convtool.ops.convolution.convolve import Convolution, convolve

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLES = 10_000_000
KERNELS = (3, 11, 101, 1001, 10_000, 100_000, 1_000_000)
TARGET = 0.35


def milliseconds(function: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    function()
    return (time.perf_counter() - start) * 1e3


def with_threads(threads: int, signal: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """`convolve`, torch being allowed `threads` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return convolve(signal, kernel)
    finally:
        torch.set_num_threads(before)


def main(repeats: int = 5) -> None:
    """Print one line a kernel length."""
    random = np.random.default_rng(1)
    x = random.standard_normal(SAMPLES, dtype=np.float32)
    signal = torch.from_numpy(x)
    print(f"{SAMPLES:,} float32 samples, medians of {repeats} rounds in ms")
    print(
        f"{'taps':>8} {'SciPy':>8} {'by':>10} {'1 thread':>9} {'2 threads':>9} {'ratio':>6} "
        f"{'rel. L2':>8} {'max':>8}  method"
    )
    for taps in KERNELS:
        h = (random.standard_normal(taps) / np.sqrt(taps)).astype(np.float32)
        kernel = torch.from_numpy(h)
        ways: dict[str, Callable[[], object]] = {
            "1": lambda kernel=kernel: with_threads(1, signal, kernel),
            "2": lambda kernel=kernel: with_threads(2, signal, kernel),
            "oaconvolve": lambda h=h: scipy.signal.oaconvolve(x, h),
            "fft": lambda h=h: scipy.signal.convolve(x, h, method="fft"),
        }
        if taps <= 101:
            ways["direct"] = lambda h=h: scipy.signal.convolve(x, h, method="direct")
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(repeats):
            for name, way in ways.items():
                times[name].append(milliseconds(way))
        medians = {name: statistics.median(values) for name, values in times.items()}
        one, two = medians.pop("1"), medians.pop("2")
        best = min(medians, key=lambda name: medians[name])
        exact = scipy.signal.oaconvolve(x.astype(np.float64), h.astype(np.float64))
        error = convolve(signal, kernel).numpy() - exact
        relative = np.linalg.norm(error) / np.linalg.norm(exact)
        print(
            f"{taps:>8} {medians[best]:>8.1f} {best:>10} {one:>9.1f} {two:>9.1f} {two / medians[best]:>6.2f} "
            f"{relative:>8.1e} {np.abs(error).max():>8.1e}  {Convolution(kernel).describe()}",
            flush=True,
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
