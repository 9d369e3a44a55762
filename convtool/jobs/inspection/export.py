"""Arrays from weight files into NPY or CSV files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convtool.arrays.writing import Array, create
from convtool.errors import InputError, UsageError
from convtool.files.formats import extension, family
from convtool.files.names import counted, show
from convtool.jobs.inspection.listing import size
from convtool.jobs.inspection.selection import Selection, has_responses
from convtool.runs.plan import refuse_collisions, refuse_existing
from convtool.signals.opening import Output, WriteOptions
from convtool.signals.signal import BLOCK_SAMPLES, Signal

WHOLE = ("safetensors", "npz", "pt", "pth")
"""The extensions of files of many tensors, which `convtool.jobs.inspection.whole` writes."""


def check_outputs(
    read: Sequence[str], output: str | None, others: Sequence[tuple[str, str]], *, overwrite: bool
) -> None:
    """Refuse, before any work, formats that can't be written, and files that exist or are `read`.

    Args:
        read: the inputs.
        output: where numbers go.
        others: what else is written, and by which option; a ``--plot`` is a picture.
        overwrite: whether files may be replaced.
    """
    for path, option in others:
        if option == "--plot":
            from convtool.plots import picture_format

            picture_format(path)
    if output is not None and family(extension(output)) not in ("NPY", "CSV") and extension(output) not in WHOLE:
        known = f".npy, .csv, .tsv or .txt, all of a file as .{', .'.join(WHOLE)}"
        raise UsageError(f"-o {show(output)}: tensors are exported as {known}")
    written = [*([(output, "-o")] if output is not None else []), *others]
    refuse_collisions((), read, written)
    if not overwrite:
        refuse_existing([path for path, _ in written])


def is_text(path: str) -> bool:
    """Whether the file at `path` is to be text."""
    return family(extension(path)) == "CSV"


def export_selection(path: str, selected: Selection, *, overwrite: bool = False) -> None:
    """Write what is looked at to `path`.

    NPY keeps shape and dtype. Text has the rows and columns of a matrix; the taps of 1-D filters run down, and there
    is a column for each filter, of all inputs one after the other: so `convolve` reads kernels.

    Raises:
        InputError: text can't hold so many axes, or such numbers.
    """
    if not is_text(path) or not has_responses(selected.listed.described):
        export(path, selected.values, overwrite=overwrite)
        return
    outputs, inputs, taps = selected.bank.shape
    if outputs * inputs == 1:
        export(path, selected.bank.reshape(taps), overwrite=overwrite)
        return
    names = [label + f" in {index}" * (inputs > 1) for index in range(inputs) for label in selected.labels]
    export(path, selected.bank.swapaxes(0, 1).reshape(-1, taps).T, names, overwrite=overwrite)


def export(
    path: str | None, values: NDArray[Any], names: Sequence[str] | None = None, *, overwrite: bool = False
) -> None:
    """Write `values` to `path`, or as text on standard output.

    NPY keeps the shape and the dtype. Text has rows and columns, `names` above them; a vector is a single row.

    Raises:
        InputError: text can't hold so many axes, or such numbers.
    """
    if path is not None and not is_text(path):
        file = create(path, [Array("values", values.dtype.str, values.shape)], {}, replace=overwrite)
        try:
            file.write("values", 0, values)
            file.commit()
        finally:
            file.discard()
        return
    if values.dtype.kind not in "fiub" or values.ndim > 2:
        raise InputError(
            f"{values.dtype} of shape {size(values.shape)} does not fit rows and columns of text; write .npy, "
            "or choose a --filter"
        )
    if values.dtype.kind == "b":
        values = values.astype(np.int8)
    flat = values.ndim < 2
    block = np.atleast_2d(values) if flat else values.T
    signal = Signal("CSV", len(block), str(values.dtype), flat=flat, names=tuple(names) if names else None)
    output = Output(path, signal, WriteOptions(overwrite=overwrite))
    try:
        for part in np.array_split(block, max(1, block.size // BLOCK_SAMPLES), axis=-1):
            output.write(output.encode(part))
        output.commit()
    finally:
        output.discard()


def kernel_options(selected: Selection, path: str) -> str | None:
    """What else `convolve` must be told to work with the file at `path` as the layer does; None if it can't.

    It takes an NPY of 1-D filters ``(out, in/groups, taps)``, and text with the columns that `export_selection` writes,
    which has no room for groups. Where the file does not tell these it is what a layer without them does, see
    `kernel_doubt`.
    """
    described, bank = selected.listed.described, selected.bank
    groups = described.groups if described.tells_groups else 1
    if "conv1d" not in described.kind:
        return None
    if selected.values.ndim == 3 and not is_text(path):
        if described.layout == "keras":
            return None
        return f" --groups {groups}" if groups > 1 and bank.shape[:2] != (groups, 1) else ""
    if described.kind == "depthwise_conv1d":
        return "" if is_text(path) and len(bank) == described.groups else None
    inputs = described.tensor.shape[described.axes.index("in")] if groups == 1 else 0
    if bank.shape[1] != inputs:
        return None
    return " --matrix" if inputs > 1 else ""


def kernel_doubt(selected: Selection, path: str | None) -> str:
    """For which inputs the command of `kernel_options` is, where the file does not tell the layer's groups.

    `path` is the file that was written, or None where the command takes the tensor from the weight file.
    """
    described = selected.listed.described
    if described.tells_groups:
        return ""
    text = path is not None and is_text(path)
    guessed = described.kind.startswith("depthwise") and (path is None or text)
    axis = next(index for index, name in enumerate(described.axes) if name in ("in", "1"))
    inputs = described.groups if guessed else described.tensor.shape[axis]
    start = f"the file does not tell the layer's groups; the command is for an INPUT of {counted(inputs, 'channel')}"
    if guessed or text:
        return f"{start}, with groups write all filters as .npy"
    return f"{start}, with G groups it has {inputs} x G, and --groups G is to be added"
