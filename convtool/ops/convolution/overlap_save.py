"""Convolution by FFT: overlap-save over batches of rows, the kernel cut into partitions when it is long.

A row covers `hop` outputs. Its window of ``hop + span`` samples is transformed, multiplied by the kernel's spectrum
and transformed back; the first `hop` values of the circular result are those that did not wrap around (Oppenheim
and Schafer, Discrete-Time Signal Processing, section 8.7.3). A kernel too long for one row is cut into Q partitions of
`hop` taps, and a row adds up Q products of spectra, each spectrum of the signal serving Q rows (Wefers, Partitioned
Convolution Algorithms for Real-Time Auralization, 2015, section 5.3).

A row's outputs are a function of its own window alone, so they do not depend on how many rows are computed together.
MKL keeps that promise from two rows on: a single row takes another code path, so it is always given a companion.

Where numbers could leave the range of the dtype inside the transforms, each window and each row of taps is brought to
a size of about 1 by a power of two of its own, and what they give is brought back before channels are mixed: so a loud
channel never decides how exact a quiet one is.
"""

from __future__ import annotations

from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from convtool.ops.convolution.silence import silenced
from convtool.ops.convolution.taps import Taps, exponents, needs_grad
from convtool.ops.exact import scaled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BATCH = 1 << 18
"""Samples transformed by one call: small enough for the cache, large enough to forget the planning."""

PLANNED = 16
"""Rows that could be transformed in the time that MKL plans a call, for most sizes."""

EASY = (5 << 12, 5 << 13, 1 << 17)
"""Sizes that are planned in the time of one or two rows."""

HELD = 1 << 22
"""Samples that the partitions of a long kernel have transformed by one call, so that what it takes stays small."""

MULTIPLIED = 1 << 17
"""Values of one call that multiplies the spectra of partitions: a few such arrays stay in the cache."""

BANDS = (slice(0, -1), slice(-1, None))
"""All bins but the last, and the last. The vector instructions for complex products round otherwise than the ones for
what is left over at the end of an array; half of an FFT's size of bins in each row leaves nothing over (it is a
multiple of their width, but for tiny sizes), and the last, at half the sample rate, is real, where both agree."""


def row_size(span: int) -> tuple[int, int]:
    """The FFT size of a row and the number of partitions for a window of ``span + 1`` samples.

    The limits are where one size takes as long for an output as the next, measured with `BATCH` samples a call. No FFT
    is longer than 2^19: beyond, float32 loses digits.
    """
    for limit, size in zip((256, 2400, 6000, 9500, 26_000), (1 << 11, 1 << 13, *EASY), strict=True):
        if span < limit:
            return size, 1
    half = 16 if span < 1 << 18 else 17
    return 2 << half, -(-(span + 1) // (1 << half))


@lru_cache(maxsize=64)
def short_row_size(span: int, outputs: int) -> int:
    """The FFT size for `outputs` outputs: where they are few, a long row would be mostly empty.

    A row of n points costs n log n, and there are at least two (a lone one is given a companion); a call plans first,
    for as much as so many rows.
    """
    longest, _ = row_size(span)
    if outputs >= 4 * longest:
        return longest
    sizes = [size for size in (*(1 << k for k in range(1, 17)), *EASY) if span < size <= longest]

    def cost(size: int) -> int:
        rows = max(2, -(-outputs // (size - span)))
        return ((2 if size in EASY else PLANNED) + rows) * size * size.bit_length()

    return min(sizes, key=cost)


class OverlapSave:
    """Rows of outputs from the samples under them.

    Args:
        taps: the kernel, finite.
        outputs: how many are expected, if that is known.

    Attributes:
        hop: outputs a row.
        reach: samples that a row needs beyond its first `hop`.
    """

    def __init__(self, taps: Taps, outputs: int | None = None) -> None:
        self.taps = taps
        self.size, self.partitions = row_size(taps.span)
        if outputs is not None and self.partitions == 1:
            self.size = short_row_size(taps.span, outputs)
        self.hop = self.size - taps.span if self.partitions == 1 else self.size // 2
        self.reach = self.size - self.hop if self.partitions == 1 else self.partitions * self.hop
        self._exponents = taps.exponents.unsqueeze(-1)  # as `_spectra` has them, but for Q
        self._extreme = taps.extreme
        self._known: list[_Spectra] = []

    def describe(self) -> str:
        """The method in a few words."""
        parts = f", {self.partitions} partitions" if self.partitions > 1 else ""
        return f"fft, {self.size}-point rows{parts}"

    def stage(self, segment: Tensor, skip: int, stride: int, place: int) -> Callable[[Tensor | None], Tensor]:
        """The outputs ``(B, O, n)`` of the next R rows, from their samples ``(B, C, R * hop + reach)``.

        They are all but the first `skip`, every `stride`-th. The function returned may be given the tensor to put
        them into.
        """
        if self.partitions == 1 or self._extreme:
            return lambda out: self._finish(segment, self._rows, out)[..., skip::stride]
        have = sum(piece.rows for piece in self._known)
        known = [*self._known, _Spectra(segment[..., have * self.hop :], self.size, self.hop)]
        self._known = _last(known, self.partitions - 1)
        return lambda out: self._finish(segment, lambda windows: self._multiplied(windows, known), out)[
            ..., skip::stride
        ]

    def _finish(
        self, segment: Tensor, compute: Callable[[Tensor], Iterator[tuple[int, Tensor]]], out: Tensor | None
    ) -> Tensor:
        windows = segment.unfold(-1, self.hop + self.reach, self.hop)
        batch, received, rows, _ = windows.shape
        parts = ((at, self._repaired(windows[:, :, at : at + y.shape[2]], y)) for at, y in compute(windows))
        if needs_grad(segment, self.taps.values):
            return silenced(torch.cat([y for _, y in parts], 2).flatten(-2), segment, self.taps)
        if out is None:
            out = segment.new_empty((batch, self.taps.channels(received), rows * self.hop))
        places = out.view(*out.shape[:-1], rows, self.hop)
        for at, y in parts:
            places[:, :, at : at + y.shape[2]] = y
        return silenced(out, segment, self.taps)

    def _rows(self, windows: Tensor) -> Iterator[tuple[int, Tensor]]:
        """The outputs of whole rows, some rows at a time, each with the number of its first row."""
        batch, received, rows, _ = windows.shape
        wide = batch * max(received, self.taps.channels(received))
        for some in _steps(rows, max(2, BATCH // (self.size * wide))):
            yield some.start, self._outputs(windows[:, :, some])

    def _outputs(self, windows: Tensor) -> Tensor:
        return self._apart(windows) if self._extreme else self._transformed(windows)

    def _transformed(self, windows: Tensor) -> Tensor:
        """``(B, C, R, window) -> (B, O, R, hop)``, by the kernel's spectra, from nothing but the windows."""
        kernel = self._spectra(windows)
        rows = windows.shape[2]
        if rows == 1 and windows.shape[0] * min(windows.shape[1], self.taps.channels(windows.shape[1])) == 1:
            windows = windows.expand(-1, -1, 2, -1)
        return self._back(self._product(windows, kernel, self.taps.mixes))[:, :, :rows]

    def _apart(self, windows: Tensor) -> Tensor:
        """As `_transformed`, for windows and taps of any size."""
        kernel = self._spectra(windows, moderate=True)
        rows = windows.shape[2]
        windows = windows.expand(-1, -1, rows + (rows == 1), -1)
        loudness = exponents(windows)
        windows = scaled(windows, -loudness)
        if not self.taps.mixes:
            return scaled(self._back(self._product(windows, kernel, False)), loudness + self._exponents)[:, :, :rows]
        total = windows.new_zeros(())
        for channel in range(windows.shape[1]):
            one = slice(channel, channel + 1)
            y = self._back(self._product(windows[:, one], kernel[:, :, channel], False))
            total = total + scaled(y, loudness[:, one] + self._exponents[:, channel])
        return total[:, :, :rows]

    def _product(self, windows: Tensor, kernel: Tensor, mixes: bool) -> Tensor:
        """The spectra of the outputs ``(B, O, R, bins)``."""
        if self.partitions == 1:
            # The copy reads the signal in order; MKL would jump from row to row in memory that no cache holds yet.
            return _times(torch.fft.rfft(windows.contiguous()), kernel[0], mixes)
        cells = torch.fft.rfft(windows.unfold(-1, self.size, self.hop))
        spectrum = _times(cells[..., 0, :], kernel[0], mixes)
        for part in range(1, self.partitions):
            spectrum = spectrum + _times(cells[..., part, :].clone(), kernel[part], mixes)
        return spectrum

    def _back(self, spectrum: Tensor) -> Tensor:
        y: Tensor = torch.fft.irfft(spectrum, n=self.size)
        return y[..., : self.hop]

    def _multiplied(self, windows: Tensor, known: list[_Spectra]) -> Iterator[tuple[int, Tensor]]:
        """As `_rows` for partitions, on spectra that earlier rows may have computed already."""
        kernel = self._spectra(windows)
        batch, received, rows, _ = windows.shape
        pieces = [piece.get() for piece in known]
        bins = self.size // 2 + 1
        channels = self.taps.channels(received)
        if needs_grad(*pieces, kernel):
            cells = torch.cat(pieces, 2)
            products = [_times(cells[:, :, q : q + rows], kernel[q], self.taps.mixes) for q in range(self.partitions)]
            y = torch.stack(products).sum(0)
        else:
            y = pieces[0].new_empty((batch, channels, rows, bins))
            step = min(bins - 1, max(1 << 10, 1 << (MULTIPLIED // (batch * channels * rows)).bit_length()))
            for part in (*(slice(low, low + step) for low in range(0, bins - 1, step)), BANDS[1]):
                cells = torch.cat([piece[..., part] for piece in pieces], 2)
                total = y[..., part]
                for q in range(self.partitions):
                    _add_times(total, cells[:, :, q : q + rows], kernel[q, ..., part], self.taps.mixes, first=q == 0)
        if batch * channels * rows == 1:
            yield 0, self._back(y.expand(-1, -1, 2, -1))[:, :, :1]
            return
        for some in _steps(rows, max(2, HELD // (self.size * batch * channels))):
            yield some.start, self._back(y[:, :, some])

    def _spectra(self, like: Tensor, *, moderate: bool = False) -> Tensor:
        """The kernel's conjugate spectra ``(Q, C, 1, bins)`` or ``(Q, O, I, 1, bins)``, computed once.

        Where they are `moderate`, each row of taps is about 1, and `Taps.exponents` says by what.
        """
        return self.taps.once((self.size, moderate), lambda: self._spectra_of_taps(like, moderate=moderate))

    def _spectra_of_taps(self, like: Tensor, *, moderate: bool) -> Tensor:
        values = scaled(self.taps.values, -self._exponents.squeeze(-1)) if moderate else self.taps.values
        length = self.size if self.partitions == 1 else self.partitions * self.hop
        cells = _cells(self.taps.map(lambda _: values), length, self.partitions)
        if needs_grad(like, values):
            spectra: Tensor = torch.fft.rfft(cells, n=self.size).conj().resolve_conj().unsqueeze(-2)
            return spectra
        return _spectra_of(cells, self.size).unsqueeze(-2)

    def _repaired(self, windows: Tensor, y: Tensor) -> Tensor:
        """Undo what a NaN, an infinity or an overflow did to the other outputs of its row.

        An FFT spreads what is not finite over the whole row, so a sum of everything tells whether there is any; the
        sum may overflow as well where there is none.
        """
        if bool(y.detach().sum(-1).sum().isfinite()):
            return y
        wrong = ~y.detach().isfinite().all(-1)
        batch, row = wrong.any(1).nonzero(as_tuple=True)
        if not len(row):
            return y
        chosen = windows[batch, :, row].unsqueeze(2)
        finite = torch.where(chosen.isfinite(), chosen, 0)
        clean = self._outputs(finite)
        overflown = ~clean.isfinite().all(-1, keepdim=True)
        if not self._extreme and bool(overflown.any()):
            clean = torch.where(overflown, self._apart(finite), clean)
        clean = spoil(chosen.squeeze(2), clean.squeeze(2), self.taps)
        y = y.clone()
        y[batch, :, row] = torch.where(wrong[batch, :, row].unsqueeze(-1), clean, y[batch, :, row])
        return y


class _Spectra:
    """The spectra of a few rows of the signal, computed by the first that asks for them."""

    def __init__(self, segment: Tensor, size: int, hop: int) -> None:
        self._windows = segment.unfold(-1, size, hop)
        self.rows = self._windows.shape[2]
        self._lock = Lock()
        self._value: Tensor | None = None

    def get(self) -> Tensor:
        """``(B, C, R, bins)``."""
        with self._lock:
            if self._value is None:
                windows = self._windows
                if windows.shape[:3].numel() == 1:
                    windows = windows.expand(-1, -1, 2, -1)
                self._value = self._transformed(windows)[:, :, : self.rows]
                del self._windows
            return self._value

    @staticmethod
    def _transformed(windows: Tensor) -> Tensor:
        """The spectra of `windows`, which overlap: a few of them at a time are copied, in the order of the signal."""
        if needs_grad(windows):
            recorded: Tensor = torch.fft.rfft(windows.contiguous())
            return recorded
        steps = _steps(windows.shape[2], max(2, HELD // (windows.shape[-1] * windows.shape[:2].numel())))
        first = next(steps)
        found: Tensor = torch.fft.rfft(windows[:, :, first].contiguous())
        if first.stop == windows.shape[2]:
            return found
        whole = found.new_empty((*windows.shape[:3], found.shape[-1]))
        whole[:, :, first] = found
        for some in steps:
            whole[:, :, some] = torch.fft.rfft(windows[:, :, some].contiguous())
        return whole


class _Tail(_Spectra):
    """The last rows of other spectra."""

    def __init__(self, whole: _Spectra, rows: int) -> None:
        self._whole = whole
        self.rows = rows

    def get(self) -> Tensor:
        return self._whole.get()[:, :, -self.rows :]


def _steps(rows: int, step: int) -> Iterator[slice]:
    """`rows` rows in runs of `step`, which is 2 or more, and no row alone: see above."""
    at = 0
    while at < rows:
        stop = rows if at + step + 1 >= rows else at + step
        yield slice(at, stop)
        at = stop


def _cells(taps: Taps, length: int, partitions: int) -> Tensor:
    """The taps in their places, zeros between and behind them, cut into partitions ``(Q, ..., length / Q)``."""
    values = taps.values
    spread = values.new_zeros((*values.shape[:-1], length))
    places = torch.arange(taps.count, device=values.device) * taps.dilation
    if needs_grad(values):
        spread = spread.index_copy(-1, places, values)
    else:
        spread.index_copy_(-1, places, values)
    return spread.view(*values.shape[:-1], partitions, -1).movedim(-2, 0)


def _spectra_of(cells: Tensor, size: int) -> Tensor:
    """The conjugate spectra of the partitions ``(Q, ..., taps)`` of a kernel, a few of them at a time."""
    spectra = [
        torch.fft.rfft(cells[some], n=size).conj().resolve_conj()
        for some in _steps(len(cells), max(2, HELD // (size * cells[0].shape[:-1].numel())))
    ]
    return torch.cat(spectra) if len(spectra) > 1 else spectra[0].contiguous()


def _last(pieces: list[_Spectra], rows: int) -> list[_Spectra]:
    """The last `rows` rows of `pieces`."""
    kept: list[_Spectra] = []
    for piece in reversed(pieces):
        if rows == 0:
            break
        part = piece if piece.rows <= rows else _Tail(piece, rows)
        kept.insert(0, part)
        rows -= part.rows
    return kept


def _times(signal: Tensor, kernel: Tensor, mixes: bool) -> Tensor:
    """The product of spectra ``(B, C, R, bins)`` with the kernel's; `signal` may be overwritten."""
    if needs_grad(signal, kernel):
        return (signal.unsqueeze(1) * kernel).sum(2) if mixes else signal * kernel
    fits = not mixes and signal.shape[1] >= kernel.shape[0]
    out = signal if fits else signal.new_empty((signal.shape[0], kernel.shape[0], *signal.shape[2:]))
    for band in BANDS:
        _add_times(out[..., band], signal[..., band], kernel[..., band], mixes, first=True)
    return out


def _add_times(total: Tensor, signal: Tensor, kernel: Tensor, mixes: bool, *, first: bool) -> None:
    """``total (+)= signal * kernel``, in place."""
    pairs = [(signal[:, i : i + 1], kernel[:, i]) for i in range(signal.shape[1])] if mixes else [(signal, kernel)]
    for left, right in pairs:
        if first:
            torch.mul(left, right, out=total)
        else:
            total.addcmul_(left, right)
        first = False


def spoil(segment: Tensor, y: Tensor, taps: Taps) -> Tensor:
    """Put into `y`, computed without them, what the NaNs and infinities of `segment` give by direct arithmetic.

    An infinity times a tap is an infinity of the product's sign, times a zero tap a NaN; infinities of both signs add
    up to NaN. So it is enough to count, for each output, which of them meet: exact sums of ones, by FFT.
    """
    size = 1 << (segment.shape[-1] - 1).bit_length()
    x, values = segment.detach(), taps.values.detach()
    spread = values.new_zeros((*values.shape[:-1], taps.span + 1), dtype=torch.float64)

    def of_signal(where: Tensor) -> Tensor:
        spectrum: Tensor = torch.fft.rfft(where.to(torch.float64), n=size)
        return spectrum.unsqueeze(2)

    def of_taps(where: Tensor) -> Tensor:
        ones = spread.clone()
        ones[..., :: taps.dilation] = where.to(torch.float64)
        spectrum: Tensor = torch.fft.rfft(ones, n=size)
        return spectrum.conj().resolve_conj().unsqueeze(-2)

    def met(*pairs: tuple[Tensor, Tensor]) -> Tensor:
        products = torch.stack([_times(left.clone(), right, taps.mixes) for left, right in pairs])
        counts: Tensor = torch.fft.irfft(products.sum(0), n=size)
        return counts.squeeze(2)[..., : y.shape[-1]] > 0.5

    plus, minus, nan = of_signal(x == torch.inf), of_signal(x == -torch.inf), of_signal(x.isnan())
    up, down, none = of_taps(values > 0), of_taps(values < 0), of_taps(values == 0)
    rise, fall = met((plus, up), (minus, down)), met((plus, down), (minus, up))
    unknown = met((nan, up + down + none), (plus + minus, none)) | (rise & fall)
    y = torch.where(rise, torch.inf, torch.where(fall, -torch.inf, y))
    return torch.where(unknown, torch.nan, y)
