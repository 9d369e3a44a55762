#!/usr/bin/env bash
# soundfile rounds the same floats down for a WAV and to the nearest step for a FLAC of the same bits.
#
# soundfile 0.14.0 with libsndfile 1.2.2 and numpy 2.4.6, on Linux.
# Expected: the formats without loss hold the same integers of 16 or 24 bits when they are given the same floats.
# Seen: floats between two steps go to the lower one in WAV, W64, AIFF, AU and CAF, also where they lie at 0.75 of the
#   way; to the nearest in FLAC. So a WAV is half a step too low on average, and -1e-9 is -1 in a WAV and 0 in a FLAC.
#   Floats that are a step exactly (k / 32768) are the same in all. float32 and float64, 16 and 24 bits alike.
# What to do: round first, and write integers: numpy.rint(samples * 32768).clip(-32768, 32767).astype("int16"). Compare
#   files of two formats within a step.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check soundfile==0.14.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import io

import numpy
import soundfile

assert soundfile.__libsndfile_version__ == "1.2.2", soundfile.__libsndfile_version__


def stored(samples, format, bits):
    """The steps that a file of `bits` holds of `samples`."""
    file = io.BytesIO()
    soundfile.write(file, samples, 8000, format=format, subtype=f"PCM_{bits}")
    file.seek(0)
    return soundfile.read(file, dtype="int32")[0] >> (32 - bits)


steps = numpy.arange(-32000, 32000)
for bits in (16, 24):
    for dtype in ("float32", "float64"):
        for part in (0, 0.25, 0.75):
            samples = ((steps + part) / (1 << (bits - 1))).astype(dtype)
            for format in ("WAV", "W64", "AIFF", "AU", "CAF", "FLAC"):
                above = numpy.unique(stored(samples, format, bits) - steps).tolist()
                assert above == ([1] if format == "FLAC" and part == 0.75 else [0]), (format, bits, dtype, part, above)
tiny = {format: stored(numpy.array([-1e-9]), format, 16).tolist() for format in ("WAV", "FLAC")}
print("-1e-9 with 16 bits:", tiny)
assert tiny == {"WAV": [-1], "FLAC": [0]}
noise = numpy.random.default_rng(0).uniform(-0.5, 0.5, 100_000)
mean = {format: (stored(noise, format, 16) - noise * 32768).mean() for format in ("WAV", "FLAC")}
print("mean error in steps:", mean)
assert abs(mean["WAV"] + 0.5) < 0.01 and abs(mean["FLAC"]) < 0.01
print("As described.")
PYTHON
