"""The mathematics: plain functions on tensors, and their block-wise cores."""

from convtool.ops.convolution import Convolution, convolve
from convtool.ops.resampling import Resampling, resample

__all__ = ["Convolution", "Resampling", "convolve", "resample"]
