"""The same jobs by other means, each a process of its own: `python -m tests.bench.peers NAME ARGUMENTS...`."""

from __future__ import annotations

import gc
import os
import sys


def scipy_blocks(source: str, kernel: str, target: str) -> None:
    """SciPy's oaconvolve over blocks of 2**20 frames, the tails added by hand."""
    import numpy as np
    import soundfile
    from scipy.signal import oaconvolve

    taps = soundfile.read(kernel, dtype="float32", always_2d=True)[0]
    with soundfile.SoundFile(source) as reader:
        kind = {"samplerate": reader.samplerate, "channels": reader.channels, "subtype": reader.subtype}
        tail = np.zeros((len(taps) - 1, reader.channels), np.float32)
        with soundfile.SoundFile(target, "w", **kind) as writer:
            for block in reader.blocks(1 << 20, dtype="float32", always_2d=True):
                result = oaconvolve(block, taps, axes=0)
                result[: len(tail)] += tail
                writer.write(result[: len(block)])
                tail = result[len(block) :]
            writer.write(tail)


def copy(source: str, target: str) -> None:
    """The file read and written by soundfile, block by block: what any such job costs at least."""
    import soundfile

    with soundfile.SoundFile(source) as reader:
        kind = {"samplerate": reader.samplerate, "channels": reader.channels, "subtype": reader.subtype}
        with soundfile.SoundFile(target, "w", **kind) as writer:
            for block in reader.blocks(1 << 18, dtype="float32"):
                writer.write(block)


def import_torch() -> None:
    """A process that imports torch as convtool does, and leaves."""
    gc.disable()
    import torch  # noqa: F401

    gc.freeze()
    os._exit(0)


def folder(source: str, kernel: str, target: str) -> None:
    """A folder of files, one after the other, with soundfile and oaconvolve."""
    import soundfile
    from scipy.signal import oaconvolve

    taps, _ = soundfile.read(kernel, dtype="float32", always_2d=True)
    os.makedirs(target, exist_ok=True)
    for name in sorted(os.listdir(source)):
        samples, rate = soundfile.read(os.path.join(source, name), dtype="float32", always_2d=True)
        soundfile.write(os.path.join(target, name), oaconvolve(samples, taps, axes=0), rate)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
