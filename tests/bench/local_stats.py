"""Time and error of `local_var` beside its peers, in pairs: ``python tests/bench/local_stats.py [repeats]``.

Each round times every method once, one after the other, so that a slow minute of the machine slows all of them; the
medians of the rounds are compared. A method's error is the largest relative one over windows of three float64 signals,
against a two-pass computation of each window in extended precision: noise on an offset of 1e6, noise on 1e8, and noise
that steps between 1e6 and 1e-6. Peers that are not installed, and those that would take minutes, are left out.
"""

from __future__ import annotations

import importlib
import importlib.util
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.ndimage
import torch
from torch.nn import functional

from convtool.ops.windows.local_stats import local_stats, local_var

if TYPE_CHECKING:
    from collections.abc import Callable

    Method = Callable[[Any, int], Any]

SAMPLES = 10_000_000
SIDE = 4096
WINDOWS = (3, 10, 100, 1000, 100_000)
SQUARES = (3, 7, 31, 101)
SLOW = 2e9  # samples times window that a method whose cost grows with the window may take


def threads(count: int, function: Method) -> Method:
    """`function` while torch may use `count` threads."""

    def run(x: Any, window: int) -> Any:
        before = torch.get_num_threads()
        torch.set_num_threads(count)
        try:
            return function(x, window)
        finally:
            torch.set_num_threads(before)

    return run


def by_pooling(x: Any, window: int) -> Any:
    """E[x^2] - E[x]^2 from two average pools."""
    rows = torch.from_numpy(x)[None, None]
    mean = functional.avg_pool1d(rows, window, 1)
    return (functional.avg_pool1d(rows * rows, window, 1) - mean * mean)[0, 0].numpy()


def by_uniform_filter(x: Any, window: int) -> Any:
    """E[x^2] - E[x]^2 from SciPy's running means, in float64, of the windows that lie inside."""
    x = x.astype(np.float64)
    mean = scipy.ndimage.uniform_filter(x, window)
    var = scipy.ndimage.uniform_filter(x * x, window) - mean * mean
    inside = tuple(slice(window // 2, size - (window - 1) // 2) for size in x.shape)
    return var[inside]


def by_box_filter(x: Any, window: int) -> Any:
    """E[x^2] - E[x]^2 from OpenCV's box filters, of the windows that lie inside."""
    cv2 = importlib.import_module("cv2")
    mean = cv2.boxFilter(x, -1, (window, window))
    var = cv2.sqrBoxFilter(x, -1, (window, window)) - mean * mean
    inside = slice(window // 2, -((window - 1) // 2) or None)
    return var[inside, inside]


def signal_methods() -> dict[str, Method]:
    """The methods for signals; those named "slow" grow with the window."""
    methods: dict[str, Method] = {
        "convtool": lambda x, window: local_var(torch.from_numpy(x), window).numpy(),
        "convtool, 1 thread": threads(1, lambda x, window: local_var(torch.from_numpy(x), window).numpy()),
    }
    if importlib.util.find_spec("bottleneck"):
        move_var = importlib.import_module("bottleneck").move_var
        methods["bottleneck move_var"] = lambda x, window: move_var(x, window)[window - 1 :]
    if importlib.util.find_spec("pandas"):
        series = importlib.import_module("pandas").Series
        methods["pandas rolling var"] = lambda x, window: series(x).rolling(window).var(ddof=0).to_numpy()[window - 1 :]
    methods["SciPy uniform_filter"] = by_uniform_filter
    methods["torch avg_pool (slow)"] = by_pooling
    methods["torch unfold, var (slow)"] = lambda x, window: (
        torch.from_numpy(x).unfold(0, window, 1).var(-1, unbiased=False).numpy()
    )
    return methods


def grid_methods() -> dict[str, Method]:
    """The methods for grids, with square windows."""
    methods: dict[str, Method] = {
        "convtool": lambda x, window: local_var(torch.from_numpy(x), (window, window)).numpy(),
        "convtool, 1 thread": threads(1, lambda x, window: local_var(torch.from_numpy(x), (window, window)).numpy()),
        "SciPy uniform_filter": by_uniform_filter,
    }
    if importlib.util.find_spec("cv2"):
        methods["OpenCV box filters"] = by_box_filter
    return methods


def milliseconds(methods: dict[str, Method], x: Any, window: int, repeats: int) -> dict[str, float]:
    """The median time of each method, taken in turns."""
    taken: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(repeats):
        for name, method in methods.items():
            start = time.perf_counter()
            method(x, window)
            taken[name].append((time.perf_counter() - start) * 1e3)
    return {name: statistics.median(times) for name, times in taken.items()}


def worst_error(method: Method, x: Any, window: int) -> float:
    """The largest relative error over some windows of `x`, in one dimension or two."""
    made = method(x, window)
    views = np.lib.stride_tricks.sliding_window_view(x, (window,) * x.ndim)
    random = np.random.default_rng(2)
    worst = 0.0
    for _ in range(300):
        place = tuple(int(random.integers(size)) for size in made.shape)
        samples = views[place].astype(np.longdouble).ravel()
        samples -= samples[0]
        exact = np.mean((samples - samples.mean()) ** 2)
        worst = max(worst, float(abs(made[place] - exact) / exact))
    return worst


def hard_inputs(shape: tuple[int, ...]) -> list[Any]:
    """Noise on 1e6, noise on 1e8, and noise that steps between 1e6 and 1e-6 along the last axis."""
    noise = np.random.default_rng(1).standard_normal(shape)
    third = shape[-1] // 3
    steps = noise * np.where((np.arange(shape[-1]) // third) % 2 == 0, 1e6, 1e-6)
    return [noise + 1e6, noise + 1e8, steps]


def table(title: str, methods: dict[str, Method], x: Any, windows: tuple[int, ...], repeats: int) -> None:
    """Print time and errors of every method at every window."""
    print(f"\n{title}, medians of {repeats} rounds")
    print(f"{'window':>7}  {'method':<25} {'ms':>8} {'1e6+noise':>10} {'1e8+noise':>10} {'steps':>10}")
    own: list[float] = []
    for window in windows:
        fit = {name: run for name, run in methods.items() if "slow" not in name or x.size * window <= SLOW}
        hard = hard_inputs((3 * window + 3000,) if x.ndim == 1 else (window + 60, 3 * window + 60))
        taken = milliseconds(fit, x, window, repeats)
        own.append(taken["convtool"])
        for name, run in fit.items():
            errors = " ".join(f"{worst_error(run, each, window):10.1e}" for each in hard)
            print(f"{window:7}  {name.replace(' (slow)', ''):<25} {taken[name]:8.0f} {errors}", flush=True)
        rivals = [name for name in fit if "convtool" not in name and "slow" not in name]
        print(f"{'':7}  convtool / " + ", ".join(f"{name}: {own[-1] / taken[name]:.2f}" for name in rivals))
    print(f"convtool, longest / shortest: {max(own) / min(own):.2f}")


def main(repeats: int = 5) -> None:
    """Print the tables."""
    random = np.random.default_rng(1)
    signal = random.standard_normal(SAMPLES, dtype=np.float32)
    table(f"{SAMPLES:,} float32 samples", signal_methods(), signal, WINDOWS, repeats)
    grid = random.standard_normal((SIDE, SIDE), dtype=np.float32)
    table(f"{SIDE} x {SIDE} float32 grid", grid_methods(), grid, SQUARES, repeats)
    print(f"\nOther statistics, {SAMPLES // 10:,} float32 samples, ms")
    few = signal[: SAMPLES // 10]
    others: dict[str, Method] = {
        stat: lambda x, window, stat=stat: local_stats(torch.from_numpy(x), window, stats=(stat,))
        for stat in ("mean", "std", "rms", "min", "median")
    }
    if importlib.util.find_spec("bottleneck"):
        from bottleneck import move_median

        others["bottleneck move_median"] = move_median
    for name, method in others.items():
        times = [f"{window}: {milliseconds({name: method}, few, window, 3)[name]:.0f}" for window in (3, 100, 10_000)]
        print(f"{name:>22}  {'   '.join(times)}")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
