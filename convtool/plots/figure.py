"""What every picture shares: its formats, its style, its titles, and how it becomes bytes."""

from __future__ import annotations

import importlib.util
import io
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convtool.errors import UsageError
from convtool.files.formats import extension
from convtool.files.names import show

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

Samples = NDArray[np.floating]
Curve = NDArray[np.float64]

DPI = 110
FORMATS = ("png", "svg", "pdf")

# Okabe and Ito, "Color Universal Design", 2008: apart for every kind of colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
INK, FAINT = "#333333", "#999999"
NAME_LENGTH = 30  # of the widest letter they still end before the right column
LEGEND = 3  # channels named in the picture, at most
CHANNEL = 11  # letters of the name of one
STYLE: Any = {  # matplotlib types its keys as literals
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "text.parse_math": False,  # names may hold dollar signs
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


def need_matplotlib() -> None:
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("a picture needs matplotlib, which is not installed: pip install 'convtool[plot]'")


def picture_format(path: str | os.PathLike[str]) -> str:
    """The format that the extension of `path` asks for: ``png``, ``svg`` or ``pdf``.

    Meant to be asked before any work: raises UsageError for any other extension, and where matplotlib is missing.

    >>> picture_format("out/Reverb.PNG")
    'png'
    """
    name = os.fspath(path)
    found = extension(name)
    if found not in FORMATS:
        raise UsageError(
            f"{show(name)}: a picture can be {', '.join(FORMATS)}, not {found or 'a file without an extension'}: "
            "name it e.g. plot.png"
        )
    need_matplotlib()
    return found


def channel_colours(channels: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(channels)]


def channel_names(names: Sequence[str] | None, channels: int) -> list[str]:
    """What `channels` are called: `names` where there is one for each, such as those of columns, else by number."""
    return list(names) if names and len(names) == channels else [f"channel {i + 1}" for i in range(channels)]


def duration(seconds: float) -> str:
    """A length of time in words.

    >>> duration(0.00002), duration(0.05), duration(3.25), duration(3725)
    ('20 µs', '50 ms', '3.25 s', '1:02:05')
    """
    if seconds >= 120:
        minutes, rest = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d} min"
    for unit, least in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= least:
            return f"{seconds / least:.4g} {unit}"
    return f"{seconds * 1e6:.4g} µs"


def shown(name: str, length: int = NAME_LENGTH) -> str:
    """`name` in printable characters that the font has, at most `length` of them; the middle is left out."""
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont("DejaVu Sans"))
    text = "".join(
        character
        if character.isprintable() and font.get_char_index(ord(character))
        else character.encode("unicode_escape").decode("ascii")
        for character in name
    )
    if len(text) <= length:
        return text
    return f"{text[: length // 2 - 1]}…{text[-length // 2 :]}"


def number(value: float, digits: int = 3) -> str:
    """`value` as it stands in a picture.

    >>> number(-0.12345), number(-1e-9), number(0)
    ('−0.123', '−1e−09', '0')
    """
    return f"{value:.{digits}g}".replace("-", "−")


def value_range(values: Samples) -> list[str]:
    """The least and the greatest finite value, in words, and how many are not finite where some are."""
    good = np.isfinite(values)
    finite = values if good.all() else values[good]
    parts = [f"{number(finite.min(), 4)} to {number(finite.max(), 4)}"] if finite.size else []
    bad = values.size - finite.size
    return [*parts, f"{bad:,} not finite"] if bad else parts


def set_style(axes: Axes, xlabel: str, ylabel: str) -> None:
    axes.set_xlabel(xlabel, fontsize=9)
    axes.set_ylabel(ylabel, fontsize=9)
    axes.grid(True, color="#e6e6e6", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=3, labelsize=9)


def named(role: str, name: str) -> str:
    """`name` with its role before it, or the role alone where that is its name."""
    return role if name == role else f"{role}: {shown(name)}"


def add_note(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=FAINT, fontsize=11)
    axes.set_yticks([])


def set_title(axes: Axes, title: str, details: str, lift: float = 0) -> None:
    """A title and what stands under it, `lift` points above their place."""
    axes.set_title(title, loc="left", fontsize=11.5, pad=22 + lift)
    axes.annotate(
        details, (0, 1), (0, 7 + lift), "axes fraction", textcoords="offset points", fontsize=9, color="#777777"
    )


def whole_ticks(most: int = 9) -> MaxNLocator:
    """Ticks at whole numbers, in steps of 1, 2 or 5 times a power of ten."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(most, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)


def add_legend(axes: Axes, handles: Sequence[Artist]) -> None:
    corner: Any = {"loc": "lower right", "bbox_to_anchor": (1.01, 0.99), "borderpad": 0.2}
    axes.legend(handles=handles, ncols=LEGEND, frameon=False, fontsize=9, handlelength=1.2, **corner)


def add_channels(axes: Axes, colours: Sequence[str], names: Sequence[str]) -> None:
    """A legend of the channels where there are several; of many the first are named, and the others counted."""
    from matplotlib.lines import Line2D

    count = len(colours)
    named = count if count <= LEGEND else LEGEND - 1
    pairs = list(zip(colours, names, strict=True))[:named]
    handles = [Line2D([], [], color=colour, label=shown(name, CHANNEL)) for colour, name in pairs]
    if count > named:
        handles.append(Line2D([], [], linestyle="none", label=f"and {count - named} more"))
    if count > 1:
        add_legend(axes, handles)


def encoded(format: str, size: tuple[float, float] | None, draw: Callable[[Figure], None]) -> bytes:
    """What `draw` makes of a figure of `size` inches, or, without, of the size that it gives the figure itself."""
    if format not in FORMATS:
        raise UsageError(f"a picture can be {', '.join(FORMATS)}, not {format!r}")
    need_matplotlib()
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    encoded = io.BytesIO()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a user's own style could make titles overlap
        matplotlib.rcParams.update(STYLE)
        layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12, wspace=0.03, hspace=0.04)
        figure = Figure(figsize=size, dpi=DPI, layout=layout)
        FigureCanvasAgg(figure)
        draw(figure)
        figure.savefig(encoded, format=format, metadata=METADATA[format])
    return encoded.getvalue()
