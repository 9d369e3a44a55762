"""What every format and subtype that libsndfile writes gives back, as a table."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from convtool.errors import ConvtoolError
from convtool.files.formats import AUDIO
from convtool.signals.inputs import Input
from convtool.signals.opening import Output, ReadOptions, WriteOptions, open_reader
from convtool.signals.signal import Signal, as_float

CHANNELS = (1, 2, 8, 128, 255, 1024)
RATES = (8000, 44_100, 44_101, 48_000, 96_000, 192_000)
LENGTHS = (1, 20, 1000)
NAMES = {format: name for name, format in reversed(AUDIO.items())}
"""An extension of each format."""


class Kept(NamedTuple):
    """What a file gave back of what was written into it."""

    channels: int
    rate: int | None
    samples: int
    level: float
    """Of a sine, over what it was."""
    told: tuple[str, ...]


def kept(path: Path, subtype: str, *, channels: int = 1, rate: int = 8000, samples: int = 300) -> Kept | None:
    """Write a sine and read it back; None where that is refused."""
    times = np.arange(samples) + 5 * np.arange(channels)[:, np.newaxis]
    written = 0.25 * np.sin(2 * np.pi * 440 / rate * (times + 3))
    signal = Signal("NPY", channels, "float64", rate)
    try:
        output = Output(str(path), signal, WriteOptions(path.suffix[1:], subtype, overwrite=True))
        try:
            output.write(output.encode(written))
            output.commit()
        finally:
            output.discard()
    except ConvtoolError:
        return None
    with open_reader(Input.of_word(str(path)), ReadOptions()) as reader:
        read = np.concatenate(
            [np.zeros((channels, 0)), *(as_float(b, reader.signal) for b in reader.blocks())], axis=-1
        )
        level = np.sqrt(np.square(read[:, :samples]).mean() / np.square(written).mean()) if read.size else 0.0
        told = (*output.writer.notes, *reader.notes)
        return Kept(reader.signal.channels, reader.signal.sample_rate, read.shape[-1], float(level), told)


@lru_cache(maxsize=1)
def measured() -> dict[tuple[str, str], dict[tuple[str, int], Kept | None]]:
    """By format and subtype what became of signals of so many channels, of such a rate, of such a length."""
    probes = [("channels", each) for each in CHANNELS] + [("rate", each) for each in RATES]
    probes += [("samples", each) for each in LENGTHS]
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for format in sorted(set(soundfile.available_formats()) & set(NAMES)):
            path = Path(folder) / f"a.{NAMES[format]}"
            for subtype in sorted(soundfile.available_subtypes(format)):
                if kept(path, subtype) is not None:
                    found[format, subtype] = {probe: kept(path, subtype, **dict([probe])) for probe in probes}
    return found


def audio_formats() -> str:
    """The table: a row for all subtypes of a format that are alike."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for (format, subtype), results in measured().items():
        rows.setdefault((format, *_cells(results)), []).append(subtype)
    lines = ["| format | subtypes | channels | sample rates | length | level |", "|---|---|---|---|---|---|"]
    lines += [f"| {row[0]} | {', '.join(subtypes)} | {' | '.join(row[1:])} |" for row, subtypes in rows.items()]
    return "\n".join(lines) + "\n"


def _cells(results: Mapping[tuple[str, int], Kept | None]) -> tuple[str, ...]:
    """Channels, rates, length and level."""
    most = max(count for count in CHANNELS if results["channels", count])
    rates = [rate for rate in RATES if results["rate", rate]]
    told = [each for each in (results["samples", count] for count in LENGTHS) if each is None or each.told]
    level = next(each.level for each in (results["samples", LENGTHS[-1]],) if each)
    decibels = 20 * np.log10(level)
    return (
        f"{most} and more" if most == CHANNELS[-1] else str(most),
        "any" if len(rates) == len(RATES) else ", ".join(map(str, rates)),
        "whole blocks" if told else "kept",
        "kept" if abs(decibels) < 0.2 else f"{decibels:+.1f} dB",
    )
