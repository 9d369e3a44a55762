"""The mathematics: plain functions on tensors, and their block-wise cores."""

from convtool.ops.convolution.convolve import Convolution, convolve
from convtool.ops.dilated.stream import Dilated
from convtool.ops.padding import Batch, length_mask, pad_batch, unpad_batch
from convtool.ops.pooling import masked_pool, output_lengths, output_mask
from convtool.ops.recurrent.network import Network, Recurrent, recurrent_layer, run_network
from convtool.ops.resampling import Resampling, resample
from convtool.ops.response import frequency_response
from convtool.ops.scaling import Scaling, rescale
from convtool.ops.standardization import Spread, Standardization, standardize
from convtool.ops.windows.local_stats import GridStats, LocalStats, local_stats, local_var

__all__ = [
    "Batch",
    "Convolution",
    "Dilated",
    "GridStats",
    "LocalStats",
    "Network",
    "Recurrent",
    "Resampling",
    "Scaling",
    "Spread",
    "Standardization",
    "convolve",
    "frequency_response",
    "length_mask",
    "local_stats",
    "local_var",
    "masked_pool",
    "output_lengths",
    "output_mask",
    "pad_batch",
    "recurrent_layer",
    "resample",
    "rescale",
    "run_network",
    "standardize",
    "unpad_batch",
]
