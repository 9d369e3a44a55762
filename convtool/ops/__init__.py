"""The mathematics: plain functions on tensors, and their block-wise cores."""

from convtool.ops.convolution import Convolution, convolve
from convtool.ops.local_stats import GridStats, LocalStats, local_stats, local_var
from convtool.ops.resampling import Resampling, resample

__all__ = [
    "Convolution",
    "GridStats",
    "LocalStats",
    "Resampling",
    "convolve",
    "local_stats",
    "local_var",
    "resample",
]
