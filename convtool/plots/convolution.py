"""The picture of a convolution: input, kernel and output, over time and over frequency."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convtool.plots.figure import Samples, channel_colours, encoded, named, set_title
from convtool.plots.spectra import draw_spectrum, spectrum_of
from convtool.plots.waveform import details, draw_waveform

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def render_convolution(
    *,
    signal: Samples,
    kernel: Samples,
    output: Samples,
    sample_rate: int | None,
    names: tuple[str, str, str] = ("input", "kernel", "output"),
    format: str,
) -> bytes:
    """A picture of a convolution, encoded as `format` (``png``, ``svg`` or ``pdf``): the same bytes for the same call.

    Three rows, for `signal`, `kernel` and `output` ``(channels, samples)``, integers or floating point; a colour for
    each channel. On the left the waveform over seconds, or over samples where `sample_rate` (Hz) is None; a long one
    as the least and greatest value under each point. On the right the magnitude of the spectrum in dB, over Hz on a
    logarithmic axis or over cycles a sample; a line is the mean power around a point, the band behind it reaches from
    the least to the greatest. The kernel's is its gain; the input's and output's are measured from the highest point
    of the input's line, so that the kernel's gain is what lies between them.

    `names` are the titles; what can't be printed in them is escaped. Silent and empty signals say so in the picture.
    NaN and infinities are left out, and counted in the title.

    Raises UsageError for another format, or where matplotlib is missing.

    >>> four, three, six = np.array([[4, 1, 2, 5]]), np.array([[1, 2, -1]]), np.array([[4, 9, 0, 8, 8, -5]])
    >>> picture = render_convolution(signal=four, kernel=three, output=six, sample_rate=None, format="png")
    >>> picture[1:4]
    b'PNG'
    """
    signals = [np.asarray(each) for each in (signal, kernel, output)]
    spectra = [spectrum_of(each, sample_rate) for each in signals]
    measured = spectra[0].level + 10 * float(np.log10(spectra[0].mean.max())) if spectra[0] else 0.0

    def draw(figure: Figure) -> None:
        roles = ("input", "kernel", "output")
        rows = zip(figure.subplots(3, 2), signals, spectra, names, roles, strict=True)
        for (left, right), samples, spectrum, name, role in rows:
            colours = channel_colours(len(samples))
            draw_waveform(left, samples, colours, sample_rate)
            draw_spectrum(right, spectrum, colours, sample_rate, 0.0 if role == "kernel" else measured)
            zero = "0 dB: unchanged" if role == "kernel" else "0 dB: the input's highest"
            set_title(left, named(role, name), details(samples, sample_rate))
            set_title(right, "gain" if role == "kernel" else "spectrum", zero)

    return encoded(format, (12.5, 9), draw)
