"""Pictures of what went in and what came out: of a convolution, and of statistics of sliding windows.

matplotlib is imported here alone, and only once a picture is drawn. Nothing is written to disk: a picture is bytes.
"""

from __future__ import annotations

import importlib.util
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convtool.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
PANELS = 4  # channels that have a row of their own, at most
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


def _stretches(signal: Samples) -> tuple[bool, Curve, Samples, Samples]:
    """Whether ``(channels, samples)`` are too many to draw each; where the drawing has points, the extremes there.

    Of stretches, the last end comes after their beginnings, and repeats the last value.
    """
    samples = signal.shape[-1]
    if samples <= 2 * COLUMNS:
        starts, low, high = envelope(signal, samples)
        return False, starts.astype(np.float64), low, high
    starts, low, high = envelope(signal, COLUMNS)
    low, high = (np.concatenate([each, each[:, -1:]], -1) for each in (low, high))
    return True, np.append(starts, float(samples)), low, high


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


def _title(axes: Axes, title: str, details: str) -> None:
    axes.set_title(title, loc="left", fontsize=11.5, pad=22, parse_math=False)
    axes.annotate(details, (0, 1), (0, 7), "axes fraction", textcoords="offset points", fontsize=9, color="#777777")


def _legend(axes: Axes, handles: Sequence[Artist]) -> None:
    corner: Any = {"loc": "lower right", "bbox_to_anchor": (1.01, 0.99), "borderpad": 0.2}
    axes.legend(handles=handles, ncols=LEGEND, frameon=False, fontsize=9, handlelength=1.2, **corner)


def _draw_waveform(axes: Axes, signal: Samples, colours: Sequence[str], sample_rate: int | None) -> None:
    from matplotlib.ticker import MaxNLocator

    _style(axes, "time (s)" if sample_rate else "time (samples)", "amplitude")
    samples = signal.shape[-1]
    if not signal.size:
        return _note(axes, "empty")
    step = 1 / (sample_rate or 1)
    axes.axhline(0, color="#bbbbbb", linewidth=0.8, zorder=0.6)
    many, at, lows, highs = _stretches(signal)
    time = at * step
    for low, high, colour in zip(lows, highs, colours, strict=True):
        if many:
            axes.fill_between(time, low, high, step="post", color=colour, linewidth=0.5, alpha=0.65)
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
        _legend(axes, axes.get_legend_handles_labels()[0][:LEGEND])
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
    signals = [np.asarray(each) for each in (signal, kernel, output)]
    spectra = [_spectrum(each, sample_rate) for each in signals]
    measured = spectra[0].level + 10 * float(np.log10(spectra[0].mean.max())) if spectra[0] else 0.0

    def draw(figure: Figure) -> None:
        roles = ("input", "kernel", "output")
        rows = zip(figure.subplots(3, 2), signals, spectra, names, roles, strict=True)
        for (left, right), samples, spectrum, name, role in rows:
            colours = _colours(len(samples))
            _draw_waveform(left, samples, colours, sample_rate)
            _draw_spectrum(right, spectrum, colours, sample_rate, 0.0 if role == "kernel" else measured)
            zero = "0 dB: unchanged" if role == "kernel" else "0 dB: the input's highest"
            _title(left, role if name == role else f"{role}: {_shown(name)}", _details(samples, sample_rate))
            _title(right, "gain" if role == "kernel" else "spectrum", zero)

    return _encoded(format, (12.5, 9), draw)


def render_local_stats(
    *,
    signal: Samples,
    mean: Samples,
    var: Samples,
    window: int,
    stride: int,
    centred: bool,
    sample_rate: int | None,
    name: str = "input",
    format: str,
) -> bytes:
    """A picture of statistics of sliding windows, encoded as `format`: the same bytes for the same call.

    On top `signal` ``(channels, samples)``, a row for each of its first channels, and over it the local mean as a
    line in a band of one standard deviation to either side; under them the variance of all channels, over the same
    seconds, or samples where `sample_rate` (Hz) is None. `mean` and `var` are ``(channels, windows)``, of windows of
    `window` samples, one every `stride`, the first of them from sample 0 on, or, if `centred`, around it. Each is
    drawn at the middle of its window.

    Long signals, names, what is not finite and the errors are as in `render_convolution`.

    >>> signal, mean, var = np.array([[1, 2, 4]]), np.array([[1.5, 3]]), np.array([[0.25, 1]])
    >>> shape = {"window": 2, "stride": 1, "centred": False, "sample_rate": None}
    >>> render_local_stats(signal=signal, mean=mean, var=var, **shape, format="png")[1:4]
    b'PNG'
    """
    signal, mean, var = (np.asarray(each) for each in (signal, mean, var))
    first, step = _middle(window, centred=centred), 1 / (sample_rate or 1)
    channels = len(signal)
    colours = _colours(channels)
    panels = min(channels, PANELS)
    with np.errstate(invalid="ignore", over="ignore"):
        std = np.sqrt(var)
        bands = np.stack([mean - std, mean + std], 1)

    def draw(figure: Figure) -> None:
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

        *above, below = figure.subplots(panels + 1, 1, sharex=True)
        for i, axes in enumerate(above):
            _draw_waveform(axes, signal[i : i + 1], [FAINT], sample_rate)
            _draw_band(axes, mean[i : i + 1], bands[i], colours[i], first, stride, step)
            axes.set_xlabel("")
            axes.set_ylabel("amplitude" if channels == 1 else f"channel {i + 1}")
        drawn = {"signal": FAINT, "local mean": colours[0]}
        lines = [Line2D([], [], color=colour, label=label) for label, colour in drawn.items()]
        _legend(above[0], [*lines, Patch(color=colours[0], alpha=0.3, label="± std")])
        _title(above[0], "input" if name == "input" else f"input: {_shown(name)}", _details(signal, sample_rate))
        _style(below, "time (s)" if sample_rate else "time (samples)", "variance")
        for values, colour in zip(var, colours, strict=True):
            _draw_curve(below, values[np.newaxis], colour, first, stride, step)
        below.set_ylim(bottom=0)
        if channels > 1:
            _legend(below, [Line2D([], [], color=c, label=f"channel {i + 1}") for i, c in enumerate(colours[:LEGEND])])
        length = f" ({window / sample_rate:.4g} s)" if sample_rate else ""
        every = f", one every {stride:,}" if stride > 1 else ""
        _title(below, "local variance", f"windows of {window:,} sample{'s' * (window != 1)}{length}{every}")

    return _encoded(format, (12.5, 3 + 3 * panels), draw)


def render_grid_stats(
    *,
    grid: Samples,
    var: Samples,
    window: tuple[int, int],
    stride: tuple[int, int],
    centred: bool,
    name: str = "input",
    format: str,
) -> bytes:
    """A picture of `grid` ``(rows, columns)`` beside `var`, the variance of its windows, encoded as `format`.

    `window`, `stride` and `centred` are as in `render_local_stats`, along rows and columns; each variance covers
    `stride` cells about the middle of its window, so that it lies where the window does. What is not finite is left
    white, and counted in the title.

    >>> grid, var = np.array([[1, 2, 1], [3, 4, 1]]), np.array([[1.25, 1.5]])
    >>> shape = {"window": (2, 2), "stride": (1, 1), "centred": False}
    >>> render_grid_stats(grid=grid, var=var, **shape, format="png")[1:4]
    b'PNG'
    """
    rows, columns = grid.shape
    ratio = rows / columns
    even = 0.25 <= ratio <= 4  # cells are square but in strips, which would be too thin to see
    of = f"windows of {window[0]} × {window[1]}"

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        starts = [_middle(size, centred=centred) - step / 2 for size, step in zip(window, stride, strict=True)]
        for axes, cells, (top, start), (high, wide), colours in (
            (left, grid, (-0.5, -0.5), (1, 1), "gray"),
            (right, var, starts, stride, "cividis"),
        ):
            extent = (start, start + wide * cells.shape[1], top + high * cells.shape[0], top)
            shown = np.where(np.isfinite(cells), cells, np.nan).astype(np.float64)
            picture = axes.imshow(shown, cmap=colours, extent=extent, aspect="equal" if even else "auto")
            axes.set_xlim(-0.5, columns - 0.5)
            axes.set_ylim(rows - 0.5, -0.5)
            _style(axes, "column", "row")
            axes.grid(visible=False)
            bar = figure.colorbar(picture, cax=axes.inset_axes((1.02, 0, 0.035, 1)))
            bar.ax.tick_params(length=3, labelsize=9)
        _title(left, "input" if name == "input" else f"input: {_shown(name)}", _range(grid))
        _title(right, "local variance", f"{of}   {_range(var)}")

    return _encoded(format, (12.5, min(11.0, max(4.0, 5.2 * ratio + 1.4)) if even else 6.0), draw)


def _colours(channels: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(channels)]


def _middle(window: int, *, centred: bool) -> float:
    """Where the middle of the first window is."""
    return (window - 1) / 2 - (window // 2 if centred else 0)


def _range(cells: Samples) -> str:
    finite = cells[np.isfinite(cells)]
    parts = [f"{cells.shape[0]:,} × {cells.shape[1]:,}"]
    if finite.size:
        parts.append(f"{finite.min():.4g} to {finite.max():.4g}".replace("-", "−"))
    bad = cells.size - finite.size
    return "   ".join([*parts, f"{bad:,} not finite"] if bad else parts)


def _draw_curve(axes: Axes, values: Samples, colour: str, first: float, stride: int, step: float) -> None:
    """One channel ``(1, windows)`` as a line, or the extremes of its stretches."""
    many, at, lows, highs = _stretches(values)
    time = (first + stride * at) * step
    if many:
        axes.fill_between(time, lows[0], highs[0], step="post", color=colour, linewidth=0.9, alpha=0.85)
    else:
        few = values.shape[-1] <= STEMS
        axes.plot(time, lows[0], "o-" if few else "-", color=colour, linewidth=1.3, alpha=0.9, markersize=4)


def _draw_band(axes: Axes, mean: Samples, band: Samples, colour: str, first: float, stride: int, step: float) -> None:
    """The mean ``(1, windows)`` of one channel in its band, ``(2, windows)``."""
    many, at, lows, highs = _stretches(band)
    time = (first + stride * at) * step
    look: Any = {"step": "post" if many else None, "linewidth": 0, "alpha": 0.3, "zorder": 2.1, "label": "band"}
    axes.fill_between(time, lows[0], highs[1], color=colour, **look)
    if band.shape[-1] <= STEMS:
        axes.vlines(time, lows[0], highs[1], color=colour, linewidth=1, alpha=0.6)
    _draw_curve(axes, mean, colour, first, stride, step)


def _encoded(format: str, size: tuple[float, float], draw: Callable[[Figure], None]) -> bytes:
    """What `draw` makes of a figure of `size` inches."""
    if format not in FORMATS:
        raise UsageError(f"a picture can be {', '.join(FORMATS)}, not {format!r}")
    _need_matplotlib()
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    encoded = io.BytesIO()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a user's own style could make titles overlap
        matplotlib.rcParams.update(STYLE)
        layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12, wspace=0.03, hspace=0.04)
        figure = Figure(figsize=size, dpi=110, layout=layout)
        FigureCanvasAgg(figure)
        draw(figure)
        figure.savefig(encoded, format=format, metadata=METADATA[format])
    return encoded.getvalue()
