#!/usr/bin/env bash
# pedalboard changes a file that it reads and writes unchanged: every negative sample comes out one step lower, and one
# more with each pass.
#
# pedalboard 0.9.26 with numpy 2.4.6, on Linux.
# Expected: floats that AudioFile reads from a 16-bit file are k / 32768, as soundfile and libsndfile give them, and come
#   back as the same 16-bit samples when AudioFile writes them to a 16-bit file.
# Seen: reading divides by 32767, so that -32768 becomes -1.00003; writing rounds down, so that -1 becomes -2, and after
#   four passes -5, in WAV, FLAC and AIFF alike, down to -32768; zero and positive samples stay. Floats
#   k / 32768 of another library lose a step above half of full scale. read_raw() and writing int16 keep all samples.
# What to do: read_raw() and write() of integers where nothing is worked in between; scale by 32767 / 32768 what read()
#   gives before a comparison with another library. Don't chain 16-bit files.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pedalboard==0.9.26 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import wave

import numpy
from pedalboard.io import AudioFile

STEPS = numpy.arange(-32768, 32768)


def write(name, samples):
    with AudioFile(name, "w", 8000, 1, 16) as file:
        file.write(samples)


def read(name):
    with AudioFile(name) as file:
        return file.read(file.frames)[0]


def stored(name):
    """The integers that a file holds."""
    with AudioFile(name) as file:
        return file.read_raw(file.frames)[0].astype(int)


with wave.open("before.wav", "wb") as file:
    file.setparams((1, 2, 8000, 0, "NONE", ""))
    file.writeframes(STEPS.astype("<i2").tobytes())
assert (stored("before.wav") == STEPS).all()
assert numpy.allclose(read("before.wav"), STEPS / 32767, rtol=1e-7)
print("the lowest and the highest sample are read as", read("before.wav")[[0, -1]])
for extension in ("wav", "flac", "aiff"):
    name = "before.wav"
    for passes in range(1, 5):
        samples = read(name)
        name = f"after.{extension}"
        write(name, samples)
        lower = STEPS - stored(name)
        print(f"{extension}, passes: {passes}; -1 became {stored(name)[32767]}, {(lower > 0).sum()} samples are lower")
        assert not lower[STEPS >= 0].any()
        assert (lower[STEPS < 0] == numpy.minimum(passes, STEPS[STEPS < 0] + 32768)).all()
write("integers.wav", STEPS.astype("int16"))
assert (stored("integers.wav") == STEPS).all()
write("others.wav", STEPS / 32768)
assert (stored("others.wav") == STEPS - (STEPS > 16384)).all()
print("As described.")
PYTHON
