"""How figures are laid out on a terminal: tables, sizes in human units, matrices.

The tables are not those of `rich`: to import it takes a tenth of a second and a row a millisecond, a thousand times
what it takes here; it folds names anywhere, not at their separators; and a pipe needs the columns without it anyway.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from numpy.typing import NDArray

GAP = "  "
_ELLIPSIS = "…"
_FIRST = 18  # cells that the first column keeps where the width is scarce
_LINES = 4  # over which a cell of the first column is folded, about
_DIGITS = 4  # of a number on a terminal
_BLOCK = 1 << 16  # numbers that are text at once
_BLUES = (245, 110, 74, 68, 33)  # of 256 colours, which more terminals have than others
_REDS = (245, 137, 173, 209, 202)  # apart from the blues for every kind of colour vision
_NOT_FINITE = 201


def terminal_width() -> int | None:
    """The columns of the terminal that standard output is, or None where it is none: nothing is cut there."""
    if not sys.stdout.isatty():
        return None
    import shutil  # takes three times as long as all else here

    return shutil.get_terminal_size().columns


def coloured() -> bool:
    """Whether standard output shows colours, and nobody asked for none (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def cells(text: str) -> int:
    """Columns of a terminal that `text` takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def fitting(header: Sequence[str], rows: Sequence[Sequence[str]], *, width: int, spare: Sequence[str]) -> list[int]:
    """The columns of a table that stay where a line has `width` cells.

    Those named in `spare` are left out one after the other until the first column has its width, or 18 cells.
    """
    wide = [_width(column) for column in zip(header, *rows, strict=True)]
    kept = list(range(len(header)))
    least = min(wide[0], _FIRST)
    for name in spare:
        if sum(wide[i] for i in kept[1:]) + len(GAP) * (len(kept) - 1) + least <= width:
            break
        kept.remove(header.index(name))
    return kept


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str], width: int | None
) -> list[str]:
    """The header and the rows of a table in aligned columns, the first of which is folded where `width` is too narrow.

    Args:
        header: the columns' names.
        rows: cells that show as they are; one for each column.
        right: the names of the columns that are set flush right.
        width: cells of a line; None is as wide as it takes.

    >>> table(["name", "bytes"], [["conv", "36"], ["dense", "1024"]], right=["bytes"], width=None)
    ['name   bytes', 'conv      36', 'dense   1024']
    """
    first, *others = zip(header, *rows, strict=True)
    padded = [_padded(column, _width(column), to_right=column[0] in right) for column in others]
    size = _width(first)
    if width is not None:
        size = min(size, max(width - sum(cells(column[0]) + len(GAP) for column in padded), _FIRST))
    names = [folded(cell, size) for cell in first]
    leading = _padded([name[0] for name in names], size, to_right=False)
    lines = [GAP.join(parts).rstrip() for parts in zip(leading, *padded, strict=True)]
    return ["\n".join([line, *name[1:]]) for line, name in zip(lines, names, strict=True)]


def _width(column: Sequence[str]) -> int:
    return max(map(len if "".join(column).isascii() else cells, column))


def _padded(column: Sequence[str], size: int, *, to_right: bool) -> list[str]:
    if to_right:
        return [" " * (size - cells(cell)) + cell for cell in column]
    return [cell + " " * (size - cells(cell)) for cell in column]


def folded(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` cells, cut behind a separator where one is near the end of a line.

    What takes many lines loses its middle.

    >>> folded("encoder.layer.11.attention.weight", 16)
    ['encoder.layer.', '  11.attention.', '  weight']
    """
    if cells(text) <= width:
        return [text]
    text = shortened(text, (width - len(GAP)) * _LINES)
    lines: list[str] = []
    indent = ""
    while cells(text) > width - len(indent):
        end = _prefix(text, width - len(indent))
        cut = 1 + max(text.rfind(sign, end // 2, end) for sign in "./_") or end
        lines.append(indent + text[:cut])
        text, indent = text[cut:], GAP
    return [*lines, indent + text]


def shortened(text: str, width: int) -> str:
    """`text` in at most `width` cells, 5 at the least, without its middle: both ends tell a tensor from others.

    >>> shortened("encoder.layer.11.attention.weight", 16)
    'encoder.….weight'
    """
    if cells(text) <= width:
        return text
    tail = _prefix(text[::-1], (width - 1) // 2)
    head = _prefix(text, width - 1 - cells(text[len(text) - tail :]))
    return text[:head] + _ELLIPSIS + text[len(text) - tail :]


def _prefix(text: str, width: int) -> int:
    """How many characters from the start of `text` fit into `width` cells; one at the least."""
    end = min(len(text), width)
    while end > 1 and cells(text[:end]) > width:
        end -= 1
    return max(end, 1)


@lru_cache  # the tensors of a file have few sizes
def human_bytes(count: int) -> str:
    """A size in binary units, three digits of it.

    >>> [human_bytes(n) for n in (0, 1023, 1024, 1536, 2 << 30)]
    ['0 B', '1023 B', '1 KiB', '1.5 KiB', '2 GiB']
    """
    return _human(count, 1024, ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"))


def human_count(count: int) -> str:
    """A number of things, three digits of it.

    >>> [human_count(n) for n in (320, 9248, 25_557_032)]
    ['320', '9.25 k', '25.6 M']
    """
    return _human(count, 1000, ("", "k", "M", "G", "T", "P", "E")).rstrip()


def _human(count: int, step: int, units: Sequence[str]) -> str:
    if count < step:
        return f"{count} {units[0]}"
    power = 0
    while power < len(units) - 1 and round(count / step**power) >= step:
        power += 1
    value = count / step**power
    digits = f"{value:.{max(0, 3 - len(str(int(value))))}f}"
    return f"{digits.rstrip('0').rstrip('.') if '.' in digits else digits} {units[power]}"


def matrix(values: NDArray[Any], *, width: int | None = None, peak: float = 0.0) -> Iterator[str]:
    """The lines of a matrix ``(rows, columns)`` in aligned columns.

    Every number is there to its last bit; but with a `width`, of a terminal, to 4 digits, and as many columns at a
    time as fit. With a `peak` above 0 each is coloured: blue below zero and red above, the stronger the nearer to it.
    """
    rows, columns = values.shape
    if not values.size:
        return
    step = max(1, _BLOCK // columns)
    parts = [slice(start, start + step) for start in range(0, rows, step)]
    wide = [max(each) for each in zip(*(_text_widths(values[part], width) for part in parts), strict=True)]
    blocks = _blocks(wide, width)
    for block in blocks:
        if rows > 1 and len(blocks) > 1:
            yield f"columns {block.start} to {block.stop - 1}"
        for part in parts:
            yield from _rows(values[part, block], wide[block], width, peak)


def _texts(values: NDArray[Any], width: int | None) -> list[str]:
    """Each of the numbers as it is written."""
    if width is not None and values.dtype.kind in "fc":
        return [f"{value:.{_DIGITS}g}" for value in values.ravel().tolist()]
    from convtool.signals.text.writer import join_numbers

    return join_numbers(values.ravel(), "\n").split("\n")


def _text_widths(values: NDArray[Any], width: int | None) -> list[int]:
    columns = values.shape[1]
    texts = _texts(values, width)
    return [max(map(len, texts[column::columns])) for column in range(columns)]


def _blocks(wide: Sequence[int], width: int | None) -> list[slice]:
    """The columns that fit side by side into `width` cells; one at the least."""
    starts, used = [0], 0
    for column, size in enumerate(wide):
        if width is not None and used and used + size > width:
            starts.append(column)
            used = 0
        used += size + len(GAP)
    return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], len(wide)], strict=True)]


def _rows(values: NDArray[Any], wide: Sequence[int], width: int | None, peak: float) -> Iterator[str]:
    columns = len(wide)
    texts = [text.rjust(wide[i % columns]) for i, text in enumerate(_texts(values, width))]
    if peak > 0:
        texts = [click.style(text, fg=_shade(value, peak)) for text, value in zip(texts, values.flat, strict=True)]
    for row in range(len(values)):
        yield GAP.join(texts[row * columns : (row + 1) * columns])


def _shade(value: Any, peak: float) -> int:
    """Grey at zero; NaN and infinities stand out."""
    share = abs(value) / peak
    if not share <= 1:  # beyond the peak of the finite numbers, or NaN
        return _NOT_FINITE
    shades = _BLUES if value.real < 0 else _REDS
    return shades[round(float(share) * (len(shades) - 1))]
