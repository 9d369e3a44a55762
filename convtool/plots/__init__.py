"""Pictures of what went in and what came out, and of what a weight file holds: one module a picture.

matplotlib is imported here alone, and only once a picture is drawn. Nothing is written to disk: a picture is bytes.
"""

from convtool.plots.before_after import render_before_after
from convtool.plots.convolution import render_convolution
from convtool.plots.figure import picture_format
from convtool.plots.filters import render_filters
from convtool.plots.grid_stats import render_grid_stats
from convtool.plots.lengths import render_lengths
from convtool.plots.local_stats import render_local_stats
from convtool.plots.matrix import render_matrix
from convtool.plots.response import render_response
from convtool.plots.waveform import Trace

__all__ = [
    "Trace",
    "picture_format",
    "render_before_after",
    "render_convolution",
    "render_filters",
    "render_grid_stats",
    "render_lengths",
    "render_local_stats",
    "render_matrix",
    "render_response",
]
