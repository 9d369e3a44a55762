#!/usr/bin/env bash
# An exception from a Python file object, Ctrl-C among them, is lost within soundfile, and what was read until then is
# given back as the whole signal.
#
# soundfile 0.14.0 with libsndfile 1.2.2 and cffi 2.1.1, on Linux.
# Expected: an exception that `readinto` or `write` of a file object raises ends soundfile.read or soundfile.write.
# Seen: libsndfile calls the object through cffi, which hands the exception to sys.unraisablehook and answers 0 bytes.
#   libsndfile takes that for the end: of 100000 samples, read() gives 20480 (WAV), 24576 (AIFF), 39616 (OGG) or 47279
#   (MP3), and write() gives an OGG of 78496 and an MP3 of 99119 samples, without an error; FLAC, and writing WAV, fail
#   with an error that names something else. A handler of SIGTERM that raises SystemExit is lost in the same way, and
#   the program goes on.
# What to do: let the file object keep what fails, and ask it afterwards; for signals, look at what comes to
#   sys.unraisablehook.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check soundfile==0.14.0 numpy==2.4.6 cffi==2.1.1
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import io
import os
import signal
import sys

import numpy
import soundfile

assert soundfile.__libsndfile_version__ == "1.2.2", soundfile.__libsndfile_version__
samples = numpy.random.default_rng(0).uniform(-0.5, 0.5, 100_000)
lost = []
sys.unraisablehook = lambda unraisable: lost.append(unraisable.exc_type.__name__)


def end(*_):
    raise SystemExit(143)


signal.signal(signal.SIGTERM, end)


class File(io.BytesIO):
    """A file whose call number `last` of those that move bytes is interrupted."""

    def __init__(self, data=b"", last=0, number=signal.SIGINT):
        super().__init__(data)
        self.last, self.number, self.calls = last, number, 0

    def interrupt(self):
        self.calls += 1
        if self.calls == self.last:
            os.kill(os.getpid(), self.number)

    def readinto(self, buffer):
        self.interrupt()
        return super().readinto(buffer)

    def write(self, data):
        self.interrupt()
        return super().write(data)


def encoded(format, file):
    soundfile.write(file, samples, 44100, format=format)
    return file


def interrupted(work):
    """What `work` gives, or the name of its error, and what was lost meanwhile."""
    lost.clear()
    try:
        return work(), lost[:1]
    except BaseException as error:
        return type(error).__name__, lost[:1]


seen = {}
for format in ("WAV", "AIFF", "OGG", "MP3", "FLAC"):
    whole = encoded(format, File())
    reading = File(whole.getvalue())
    assert len(soundfile.read(reading)[0]) == len(samples)
    for number in (signal.SIGINT, signal.SIGTERM):
        file = File(whole.getvalue(), reading.calls // 2, number)
        seen["read", format, number.name] = interrupted(lambda: len(soundfile.read(file)[0]))
    file = File(last=whole.calls // 2)
    seen["write", format, "SIGINT"] = interrupted(
        lambda: len(soundfile.read(io.BytesIO(encoded(format, file).getvalue()))[0])
    )
for key, value in seen.items():
    print(*key, value)
for number, name in (("SIGINT", "KeyboardInterrupt"), ("SIGTERM", "SystemExit")):
    for format, count in (("WAV", 20480), ("AIFF", 24576), ("OGG", 39616), ("MP3", 47279)):
        assert seen["read", format, number] == (count, [name]), (format, number)
    assert seen["read", "FLAC", number] == ("LibsndfileError", [name])
for format, count in (("OGG", 78496), ("MP3", 99119), ("WAV", "AssertionError")):
    assert seen["write", format, "SIGINT"] == (count, ["KeyboardInterrupt"]), format
print("As described.")
PYTHON
