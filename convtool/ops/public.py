"""What `convtool.ops` offers; importing it imports torch."""

from convtool.ops.convolution.convolve import Convolution, convolve
from convtool.ops.dilated.stream import Dilated
from convtool.ops.padding import Batch, length_mask, pad_batch, unpad_batch
from convtool.ops.pooling import masked_pool, output_lengths, output_mask
from convtool.ops.recurrent.network import Network, Recurrent, recurrent_layer, run_network
from convtool.ops.resampling import Resampling, resample
from convtool.ops.response import frequency_response
from convtool.ops.scaling import Scaling, rescale
from convtool.ops.segments import cut_segments, join_segments, segment_starts
from convtool.ops.splitting import split_names
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
    "cut_segments",
    "frequency_response",
    "join_segments",
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
    "segment_starts",
    "split_names",
    "standardize",
    "unpad_batch",
]
