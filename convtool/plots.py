"""Pictures of a convolution: waveforms and spectra of what went in and what came out.

matplotlib is imported here alone, and only once a picture is drawn. Nothing is written to disk: a picture is bytes.
"""

from __future__ import annotations

import importlib.util
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convtool.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Samples = NDArray[np.floating]
Curve = NDArray[np.float64]
Starts = NDArray[np.intp]

FORMATS = ("png", "svg", "pdf")

# Okabe and Ito, "Color Universal Design", 2008: apart for every kind of colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
INK, FAINT = "#333333", "#999999"
COLUMNS = 1000  # the stretches that a long waveform is drawn with: about as many as its pixels
POINTS = 480  # of a spectrum
SEGMENT = 1 << 16  # samples in one transform of a long signal
SMOOTH = 16384  # the least length of a transform: what is shorter gets zeros, for a smooth curve
STEMS = 64  # samples up to which each is drawn by itself
NAME_LENGTH = 34  # of the widest letter they still end before the right column
LEGEND = 3  # channels named in the picture, at most
DECADES = 1000.0  # top over bottom of the frequency axis
DEPTH = 120.0  # dB that a spectrum shows below its peak, at most
STYLE: Any = {  # matplotlib types its keys as literals
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "text.usetex": False,
    "axes.edgecolor": "#bbbbbb",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.use_locale": False,
    "xtick.color": "#777777",
    "ytick.color": "#777777",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "svg.hashsalt": "convtool",
    "path.simplify": False,
}


# What would carry the time of the day or a version.
METADATA = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


@dataclass(frozen=True)
class _Spectrum:
    """Frequencies ``(points,)``; the mean, least and greatest power around each of them ``(channels, points)``.

    The powers are of the signal over its peak; `level` is that peak in dB. 0 dB of the whole is a magnitude of 1.
    """

    level: float
    frequency: Curve
    mean: Curve
    low: Curve
    high: Curve


def _need_matplotlib() -> None:
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("a picture needs matplotlib, which is not installed: pip install 'convtool[plot]'")


def picture_format(path: str | os.PathLike[str]) -> str:
    """The format that the extension of `path` asks for: ``png``, ``svg`` or ``pdf``.

    Meant to be asked before any work: raises UsageError for any other extension, and where matplotlib is missing.

    >>> picture_format("out/Reverb.PNG")
    'png'
    """
    name = os.fspath(path)
    extension = os.path.splitext(name)[1].lower().removeprefix(".")
    if extension not in FORMATS:
        raise UsageError(
            f"{name}: a picture can be {', '.join(FORMATS)}, not {extension or 'a file without an extension'}: "
            "name it e.g. plot.png"
        )
    _need_matplotlib()
    return extension


def envelope(signal: Samples, columns: int) -> tuple[Starts, Samples, Samples]:
    """The least and the greatest value in each of `columns` stretches of ``(channels, samples)``.

    Gives the first index of each stretch ``(columns,)`` and the two extremes ``(channels, columns)``: every peak of
    the signal is in the picture, whatever its length. NaN and infinities are left out; a stretch of nothing else is
    NaN. Needs ``1 <= columns <= samples``.

    >>> starts, low, high = envelope(np.array([[0.0, 5.0, -1.0, 2.0]]), 2)
    >>> starts.tolist(), low.tolist(), high.tolist()
    ([0, 2], [[0.0, -1.0]], [[5.0, 2.0]])
    """
    starts = (np.arange(columns) * signal.shape[-1]) // columns
    finite = np.isfinite(signal)
    if not finite.all():
        signal = np.where(finite, signal, np.nan)
    return starts, np.fmin.reduceat(signal, starts, axis=-1), np.fmax.reduceat(signal, starts, axis=-1)


def _power(channel: Samples, peak: float) -> Curve:
    """``|X(f)|^2`` of one channel ``(samples,)`` over `peak`, in equal steps from 0 to half the sample rate.

    A long channel is worked in Hann windows that overlap by half, and their powers are added: the spectrum of the
    whole, smoothed to a resolution of 1 / SEGMENT (Welch 1967). The sum of their squares is 3/4 on the average.
    NaN and infinities count as 0.
    """
    samples = len(channel)
    if samples <= 2 * SEGMENT:
        size = max(SMOOTH, 1 << (samples - 1).bit_length())
        whole: Curve = np.abs(np.fft.rfft(_finite(channel) / peak, size)) ** 2
        return whole
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(SEGMENT) / SEGMENT)
    total = np.zeros(SEGMENT // 2 + 1)
    for start in range(-(SEGMENT // 2), samples, SEGMENT // 2):
        piece = np.zeros(SEGMENT)
        found = channel[max(0, start) : start + SEGMENT]
        piece[max(0, -start) :][: len(found)] = _finite(found) / peak
        total += np.abs(np.fft.rfft(piece * window)) ** 2 / 0.75
    return total


def _finite(signal: Samples) -> Curve:
    return np.nan_to_num(signal.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)


def _spectrum(signal: Samples, sample_rate: int | None) -> _Spectrum | None:
    """The powers of ``(channels, samples)``, gathered to the points of the frequency axis; None for silence.

    With a sample rate the points lie in equal ratios (Hz, three decades), without in equal steps (cycles a sample).
    """
    peak = _peak(signal)
    if not peak:
        return None
    power = np.stack([_power(channel, peak) for channel in signal])
    frequency = np.linspace(0, 0.5 * (sample_rate or 1), power.shape[-1])
    lowest = frequency[-1] / DECADES
    edges = np.geomspace(lowest, frequency[-1], POINTS) if sample_rate else np.linspace(0, 0.5, POINTS)
    starts = np.unique(np.searchsorted(frequency, edges[:-1]))
    counts = np.diff(starts, append=len(frequency))
    return _Spectrum(
        20 * float(np.log10(peak)),
        frequency[starts + (counts - 1) // 2],
        np.add.reduceat(power, starts, axis=-1) / counts,
        np.minimum.reduceat(power, starts, axis=-1),
        np.maximum.reduceat(power, starts, axis=-1),
    )


def _shown(name: str) -> str:
    """`name` in printable characters that the font has, at most NAME_LENGTH of them; the middle is left out."""
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont("DejaVu Sans"))
    text = "".join(
        character
        if character.isprintable() and font.get_char_index(ord(character))
        else character.encode("unicode_escape").decode("ascii")
        for character in name
    )
    if len(text) <= NAME_LENGTH:
        return text
    return f"{text[: NAME_LENGTH // 2 - 1]}…{text[-NAME_LENGTH // 2 :]}"


def _peak(signal: Samples) -> float:
    """The greatest finite magnitude, 0 without any."""
    if not signal.size:
        return 0.0
    _, low, high = envelope(signal, 1)
    return float(np.nan_to_num(np.maximum(abs(low.astype(np.float64)), abs(high.astype(np.float64)))).max(initial=0))


def _details(signal: Samples, sample_rate: int | None) -> str:
    channels, samples = signal.shape
    peak = _peak(signal)
    parts = [f"{channels} channels"] if channels > 1 else []
    parts.append(f"{samples:,} sample{'s' if samples != 1 else ''}")
    if sample_rate:
        parts.append(f"{samples / sample_rate:.4g} s")
    parts.append(
        f"peak {peak:.4g}" + (f" ({20 * np.log10(peak):.1f} dB)".replace("-", "−") if sample_rate and peak else "")
    )
    bad = signal.size - int(np.isfinite(signal).sum())
    return "   ".join([*parts, f"{bad:,} not finite"] if bad else parts)


def _style(axes: Axes, xlabel: str, ylabel: str) -> None:
    axes.set_xlabel(xlabel, fontsize=9)
    axes.set_ylabel(ylabel, fontsize=9)
    axes.grid(True, color="#e6e6e6", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=3, labelsize=9)


def _note(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=FAINT, fontsize=11)
    axes.set_yticks([])


def _draw_waveform(axes: Axes, signal: Samples, colours: Sequence[str], sample_rate: int | None) -> None:
    from matplotlib.ticker import MaxNLocator

    _style(axes, "time (s)" if sample_rate else "time (samples)", "amplitude")
    samples = signal.shape[-1]
    if not signal.size:
        return _note(axes, "empty")
    step = 1 / (sample_rate or 1)
    many = samples > 2 * COLUMNS
    starts, lows, highs = envelope(signal, COLUMNS if many else samples)
    time = np.append(starts, samples) * step if many else starts * step
    axes.axhline(0, color="#bbbbbb", linewidth=0.8, zorder=0.6)
    for low, high, colour in zip(lows, highs, colours, strict=True):
        if many:
            ends = np.append(low, low[-1]), np.append(high, high[-1])
            axes.fill_between(time, *ends, step="post", color=colour, linewidth=0.5, alpha=0.65)
        elif samples > STEMS:
            axes.plot(time, low, color=colour, linewidth=1.1, alpha=0.85)
        else:
            axes.vlines(time, 0, low, color=colour, linewidth=1.6, alpha=0.8)
            axes.plot(time, low, "o", color=colour, markersize=5, mec="white", mew=0.7)
    # Room on the left, or a first sample that is a peak would lie on the axis.
    margin = 0.6 if samples <= STEMS else 0.01 * samples
    axes.set_xlim(-margin * step, (samples - 1 + margin) * step)
    if samples <= STEMS and not sample_rate:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return None


def _draw_spectrum(
    axes: Axes, spectrum: _Spectrum | None, colours: Sequence[str], sample_rate: int | None, reference: float
) -> None:
    """The spectrum in dB over `reference`: the mean as a line, what lies around it as a band."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    _style(axes, "frequency (Hz)" if sample_rate else "frequency (cycles/sample)", "magnitude (dB)")
    if sample_rate:
        top = sample_rate / 2
        axes.set_xscale("log")
        axes.set_xlim(top / DECADES, top)
        ticks = [d * 10.0**e for e in range(-9, 12) for d in (1, 2, 5) if top / DECADES <= d * 10.0**e <= top]
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda f, _: f"{f / 1000:g}k" if f >= 1000 else f"{f:g}"))
    else:
        axes.set_xlim(0, 0.5)
    if spectrum is None:
        return _note(axes, "silent")
    floor = spectrum.high.max() * 1e-30
    mean, low, high = (
        10 * np.log10(np.maximum(power, floor)) + spectrum.level - reference
        for power in (spectrum.mean, spectrum.low, spectrum.high)
    )
    for i, colour in enumerate(colours):
        axes.fill_between(spectrum.frequency, low[i], high[i], color=colour, alpha=0.22, linewidth=0)
        axes.plot(spectrum.frequency, mean[i], color=colour, linewidth=1.1, alpha=0.8, label=f"channel {i + 1}")
    if len(colours) > 1:
        handles = axes.get_legend_handles_labels()[0][:LEGEND]
        corner: Any = {"loc": "lower right", "bbox_to_anchor": (1.01, 0.99), "borderpad": 0.2}
        axes.legend(handles=handles, ncols=LEGEND, frameon=False, fontsize=9, handlelength=1.2, **corner)
    top = float(high.max())
    bottom = max(float(mean[spectrum.mean > floor].min()), top - DEPTH)  # a silent channel is below any axis
    margin = max(3.0, 0.06 * (top - bottom))
    axes.set_ylim(bottom - margin, top + margin)
    return None


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
    if format not in FORMATS:
        raise UsageError(f"a picture can be {', '.join(FORMATS)}, not {format!r}")
    _need_matplotlib()
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    signals = [np.asarray(each) for each in (signal, kernel, output)]
    spectra = [_spectrum(each, sample_rate) for each in signals]
    measured = spectra[0].level + 10 * float(np.log10(spectra[0].mean.max())) if spectra[0] else 0.0
    encoded = io.BytesIO()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a user's own style could make titles overlap
        matplotlib.rcParams.update(STYLE)
        figure = Figure(
            figsize=(12.5, 9), dpi=110, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12, wspace=0.03, hspace=0.04)
        )
        FigureCanvasAgg(figure)
        roles = ("input", "kernel", "output")
        rows = zip(figure.subplots(3, 2), signals, spectra, names, roles, strict=True)
        for (left, right), samples, spectrum, name, role in rows:
            colours = [COLOURS[i % len(COLOURS)] for i in range(len(samples))]
            _draw_waveform(left, samples, colours, sample_rate)
            _draw_spectrum(right, spectrum, colours, sample_rate, 0.0 if role == "kernel" else measured)
            title = role if name == role else f"{role}: {_shown(name)}"
            left.set_title(title, loc="left", fontsize=11.5, pad=22, parse_math=False)
            right.set_title("gain" if role == "kernel" else "spectrum", loc="left", fontsize=11.5, pad=22)
            zero = "0 dB: unchanged" if role == "kernel" else "0 dB: the input's highest"
            for axes, text in ((left, _details(samples, sample_rate)), (right, zero)):
                axes.annotate(
                    text, (0, 1), (0, 7), "axes fraction", textcoords="offset points", fontsize=9, color="#777777"
                )
        figure.savefig(encoded, format=format, metadata=METADATA[format])
    return encoded.getvalue()
