"""The picture of a convolution: input, kernel and output, over time and over frequency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from convtool.plots.decay import LEAST, draw_decay
from convtool.plots.figure import NAME_LENGTH, Samples, channel_colours, channel_names, encoded, set_title, shown
from convtool.plots.spectra import cut, draw_spectrum, spectrum_of
from convtool.plots.waveform import STEMS, Trace, details, draw_waveform, share_time

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DETAILS = 90  # letters above the kernel, at most


def render_convolution(
    *,
    signal: Samples | Trace,
    kernel: Samples,
    output: Samples | Trace,
    sample_rate: int | None,
    stride: int = 1,
    names: tuple[str, str, str] = ("input", "kernel", "output"),
    used: str = "",
    mixed: bool = False,
    channels: tuple[Sequence[str] | None, Sequence[str] | None, Sequence[str] | None] = (None, None, None),
    format: str,
) -> bytes:
    """A picture of a convolution, encoded as `format` (``png``, ``svg`` or ``pdf``): the same bytes for the same call.

    Three rows, for `signal`, `kernel` and `output` ``(channels, samples)``, integers or floating point; a colour for
    each channel. On the left the waveform over seconds, or over samples where `sample_rate` (Hz) is None or they are
    few; a long one as the least and greatest value under each point, of several channels each in a lane. Input and
    output have one time axis, on which a sample of the output takes the place of `stride` ones of the input. On the
    right the magnitude of the spectrum in dB, over Hz on a logarithmic axis or over cycles a sample; a line is the
    mean power around a point, the band behind it reaches from the least to the greatest. The kernel's is its gain; the
    input's and output's are measured from the highest point of the input's line, so that the kernel's gain is what
    lies between them. Under a kernel of 1000 taps or more is its decay: its level in dB, and the energy that is left.

    `names` are the titles; what can't be printed in them is escaped. `used` says in a few words what was done to the
    kernel before it was used, and `mixed` that it holds the dry signal. `channels` are the names of the channels of
    the three, where they have any. Silent and empty signals say so in the picture. NaN and infinities are left out,
    and counted in the title. Of a `Trace` that holds but the beginning, the spectrum is of that.

    Raises UsageError for another format, or where matplotlib is missing.

    >>> four, three, six = np.array([[4, 1, 2, 5]]), np.array([[1, 2, -1]]), np.array([[4, 9, 0, 8, 8, -5]])
    >>> picture = render_convolution(signal=four, kernel=three, output=six, sample_rate=None, format="png")
    >>> picture[1:4]
    b'PNG'
    """
    signals = [Trace.of(each) for each in (signal, np.asarray(kernel), output)]
    rates = (sample_rate, sample_rate, sample_rate and sample_rate / stride)
    spectra = [spectrum_of(each.samples, rate) for each, rate in zip(signals, rates, strict=True)]
    measured = spectra[0].level + 10 * float(np.log10(spectra[0].mean.max())) if spectra[0] else 0.0
    roles = ("input", "kernel with the dry signal" if mixed else "kernel", "output")
    longest = max(signals[0].total, stride * signals[2].total)
    dies_away = signals[1].total >= LEAST and signals[1].peak > 0

    def draw(figure: Figure) -> None:
        grid = figure.add_gridspec(4 if dies_away else 3, 2)
        places = (0, 1, 3 if dies_away else 2)
        axes = [(figure.add_subplot(grid[row, 0]), figure.add_subplot(grid[row, 1])) for row in places]
        for row, role in enumerate(roles):
            (left, right), trace, rate, is_kernel = axes[row], signals[row], rates[row], row == 1
            count = len(trace.samples)
            colours, called = channel_colours(count), channel_names(channels[row], count)
            # A few samples take no time that a person could read.
            time_rate = sample_rate if (trace.total if is_kernel else longest) > STEMS else None
            draw_waveform(left, trace, colours, time_rate, every=stride if row == 2 else 1, names=called)
            draw_spectrum(right, spectra[row], colours, rate, 0.0 if is_kernel else measured, called)
            zero = "0 dB: unchanged" if is_kernel else f"0 dB: the input's highest{cut(trace, rate)}"
            told = "   ".join(filter(None, (details(trace, rate), used * is_kernel)))
            set_title(left, _title(role, names[row]), shown(told, DETAILS))
            set_title(right, "gain" if is_kernel else "spectrum", zero)
        share_time(axes[0][0], axes[2][0], longest, sample_rate if longest > STEMS else None)
        if dies_away:
            draw_decay(figure.add_subplot(grid[2, :]), signals[1].samples, sample_rate)

    return encoded(format, (12.5, 12 if dies_away else 9), draw)


def _title(role: str, name: str) -> str:
    """`name` with its role before it, both no longer than there is room for."""
    return role if role.startswith(name) else f"{role}: {shown(name, NAME_LENGTH + len('kernel') - len(role))}"
