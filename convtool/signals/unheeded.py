"""Options of reading that make no difference to an input, although they were given: a person should know."""

from __future__ import annotations

from dataclasses import fields

from convtool.files.names import show
from convtool.signals.opening import ReadOptions
from convtool.signals.signal import Signal
from convtool.signals.text.options import TextOptions

_NAMES = {"columns": "--columns", "keep": "--keep-columns"} | {
    name: f"--{name}" for name in ("header", "skip", "comment", "delimiter", "thousands", "missing", "nodata")
}
"""Options of texts alone; that of the decimal mark is for kernels and values too."""


def unheeded(signal: Signal, options: ReadOptions) -> tuple[tuple[str, str], ...]:
    """Each of `options` that was given and not heeded for `signal`: the option with what it is for, and what was found.

    >>> unheeded(Signal("WAV", 2, "float32", 44100), ReadOptions(text=TextOptions(columns="3")))
    (('--columns 3 is for text', 'WAV'),)
    """
    found: list[tuple[str, str]] = []
    if signal.format != "CSV":
        for each in fields(TextOptions):
            value = getattr(options.text, each.name)
            if each.name in _NAMES and value != each.default:
                found.append((f"{_NAMES[each.name]} {show(str(value))} is for text", signal.format))
    if options.sample_rate is not None and signal.sample_rate != options.sample_rate:
        found.append((f"--sample-rate {options.sample_rate} is for inputs that state none", f"{signal.sample_rate} Hz"))
    return tuple(found)
