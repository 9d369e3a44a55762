"""One tensor on the terminal, in a file, or in a picture: its numbers, filters, gates and responses."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from convtool.cli import messages
from convtool.cli.show.tables import coloured, matrix, terminal_width
from convtool.files.names import show

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convtool.cli.inspect_weights import Options
    from convtool.jobs.inspection.listing import Listing
    from convtool.jobs.inspection.selection import Selection

_SHOWN = 64  # matrices, or curves, that a terminal is shown; a pipe or a file takes them all
_COLUMNS = 1024  # of a matrix on a terminal
_NUMBERS = 4096  # of a matrix on a terminal
_CURVE_LINES = 9
_CURVE_WIDTHS = (40, 100)
_POINTS = 257


def look(listing: Listing, options: Options) -> None:
    """Print, write or draw what the options ask of one tensor."""
    if options.response:
        _look_at_responses(listing, options)
        return
    found = _selected(listing, options)
    _warn_of_conversion(listing, found)
    if options.output:
        from convtool.jobs.inspection.export import export_selection

        export_selection(options.output, found, overwrite=options.overwrite)
        _tell_use(listing.path, found, options.output, options)
    elif not options.plot:
        _print(found)
    if options.plot:
        from convtool.files.atomic import write_file

        write_file(options.plot, _picture(found, options.plot), replace=options.overwrite)


def _warn_of_conversion(listing: Listing, found: Selection) -> None:
    """Say what there is to say of the conversion of the tensor that is looked at."""
    for note in listing.told:
        if note.is_about(found.listed.described):
            messages.warn(f"{show(listing.path)}: {show(str(note))}")


def _picture(found: Selection, path: str) -> bytes:
    """Filters and gates each in a place, any other tensor of one or two axes as what it is."""
    from convtool.jobs.inspection.selection import gate_names, has_filters
    from convtool.plots import picture_format, render_filters, render_matrix

    listed, form = found.listed, picture_format(path)
    whole = found.values.shape == tuple(listed.tensor.shape)
    if whole and found.values.ndim in (1, 2) and not has_filters(listed.described):
        axes, gates = listed.described.axes, gate_names(listed)
        return render_matrix(found.values, name=listed.name, axes=axes, gates=gates, format=form)
    return render_filters(found.bank, name=listed.name, labels=found.labels, told=found.told, format=form)


def _selected(listing: Listing, options: Options) -> Selection:
    """What the options ask to look at; a picture, or the text of a convolution, is of its filters."""
    from convtool.jobs.inspection import selection

    name, place, output = options.tensor, options.filter, options.output
    if options.gates:
        return selection.select_gates(selection.choose(listing, name, selection.has_gates, "gates"))
    if place is not None or (name is None and options.plot):
        listed = selection.choose(listing, name, selection.has_filters, "filters")
        if place is None and len(listed.tensor.shape) <= 2 and not selection.has_filters(listed.described):
            return selection.select_all(listed)
        if place is not None:
            selection.refuse_without_filters(listing, listed)
        return selection.select_filters(listed, place or ())
    listed = selection.choose(listing, name, lambda _: True, "values")
    by_filter = selection.has_filters(listed.described)
    if output and by_filter:
        from convtool.jobs.inspection.export import is_text

        by_filter = is_text(output) and selection.has_responses(listed.described)
    return selection.select_filters(listed) if by_filter else selection.select_all(listed)


def _print(found: Selection) -> None:
    """The matrices, each under its title; of many or large ones a terminal is shown a part."""
    import numpy as np

    finite = np.abs(found.values[np.isfinite(found.values)])
    peak = float(finite.max()) if coloured() and finite.size else 0.0
    width = terminal_width()
    whole = True
    for number, (title, values) in enumerate(found.matrices()):
        if number == _SHOWN and width is not None:
            whole = False
            break
        part = values if width is None else values[: max(1, _NUMBERS // max(1, values.shape[1])), :_COLUMNS]
        whole = whole and part.shape == values.shape
        if title:
            messages.out(("\n" if number else "") + title)
        for line in matrix(part, width=width, peak=peak):
            messages.out(line)
    if not whole:
        shape = "x".join(map(str, found.values.shape))
        messages.note(f"that is a part of {shape} numbers; a pipe or -o FILE takes all")


def _tell_use(source: str, found: Selection, output: str, options: Options) -> None:
    """How `convolve` does what the layer does: layers correlate."""
    from convtool.jobs.inspection.export import kernel_doubt, kernel_options

    if found.listed.described.kind not in ("conv1d", "depthwise_conv1d"):
        return
    more = kernel_options(found, output)
    path: str | None = output
    if more is not None:
        start, kernel = "the taps are in the layer's order, unflipped; the layer's output", output
    elif options.framework is None and options.source is None:  # as the file itself has the tensor
        start = "convolve does not take the layer in this form; the layer's output"
        kernel, more, path = f"{source}::{found.listed.name}", "", None
    else:
        return
    if doubt := kernel_doubt(found, path):
        messages.note(doubt)
    command = f"convtool convolve INPUT -k {show(shlex.quote(kernel))} --correlate --mode valid{more}"
    messages.note(f"{start}, but for bias, stride and padding, is {command}")


def _look_at_responses(listing: Listing, options: Options) -> None:
    """As columns of numbers, a picture, or curves where a person is looking."""
    from convtool.jobs.inspection import selection

    listed = selection.choose(listing, options.tensor, selection.has_responses, "1-D filters")
    selection.refuse_without_filters(listing, listed)
    found = selection.select_1d_filters(listed, options.filter or ())
    _warn_of_conversion(listing, found)
    rate, points = options.sample_rate, options.points or _POINTS
    frequency, magnitude, names = selection.responses(found, points=points, sample_rate=rate)
    if options.plot:
        from convtool.files.atomic import write_file
        from convtool.plots import picture_format, render_response

        form = picture_format(options.plot)
        picture = render_response(frequency, magnitude, labels=names, sample_rate=rate, name=listed.name, format=form)
        write_file(options.plot, picture, replace=options.overwrite)
    width = terminal_width()
    if options.output or (width is None and not options.plot):
        import numpy as np

        from convtool.jobs.inspection.export import export

        table = np.vstack([frequency, magnitude]).T
        export(options.output, table, ["frequency", *names], overwrite=options.overwrite)
    elif width is not None and not options.plot:
        _print_curves(frequency, magnitude, names, width, rate)


def _print_curves(
    frequency: NDArray[Any], magnitude: NDArray[Any], names: Sequence[str], width: int, rate: int | None
) -> None:
    from convtool.cli.show.curves import terminal_curve

    plain = "utf" not in (sys.stdout.encoding or "").lower()
    across = sorted((*_CURVE_WIDTHS, width))[1]
    for number, (name, curve) in enumerate(zip(names[:_SHOWN], magnitude.tolist(), strict=False)):
        messages.out(("\n" if number else "") + name)
        lines = terminal_curve(
            frequency.tolist(),
            curve,
            width=across,
            height=_CURVE_LINES,
            unit="Hz" if rate else "cycles/sample",
            ascii=plain,
        )
        messages.out("\n".join(lines))
    if len(names) > _SHOWN:
        messages.note(f"those are the first {_SHOWN} of {len(names)} responses; a pipe or -o FILE takes all")
