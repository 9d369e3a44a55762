#!/usr/bin/env bash
# audioread gives noise, without an error, for AIFF and AU files of 24, 32 or 8 bits, for mu-law AU, and a full-scale
# offset for WAV files of 8 bits.
#
# audioread 3.1.0 with soundfile 0.14.0 and numpy 2.4.6, on Linux.
# Expected: audio_open() gives samples of 16 bits, little-endian, as its documentation says, of whatever it opens.
# Seen: AIFF and AU are right with 16 bits alone. With 24 and 32 bits the big-endian bytes are cut to 16 bits as though
#   they were little-endian, and the rest is swapped: what comes out is the lower bits, 0.1 of full scale is -0.4, and
#   0.5 is 0. Samples of 8 bits, and of mu-law, which are 16 bits in this machine's order by then, are swapped, too: 0.5
#   is 0.002. 8-bit WAV, which is unsigned, is taken for signed: silence is -1.0. WAV of 16, 24 and 32 bits is right. It
#   is the reader that is tried first, whatever else is installed.
# What to do: read AIFF, AU and 8-bit WAV with soundfile; with audioread alone, convert them to WAV of 16 bits before.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check audioread==3.1.0 soundfile==0.14.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import audioread
import numpy
import soundfile

LEVELS = numpy.array([0, 0.1, 0.5, 0.9, -0.1, -0.5, -0.9, -1])
RIGHT = {("AIFF", "PCM_16"), ("AU", "PCM_16"), ("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "PCM_32")}


def read(name):
    """The samples that audioread gives of a file, in parts of full scale, and which of its readers gave them."""
    with audioread.audio_open(name) as file:
        return numpy.frombuffer(b"".join(file), "<i2") / 32768, type(file).__name__


def swapped(samples):
    """Samples of 16 bits with their two bytes exchanged, in parts of full scale."""
    return (samples * 32768).astype("<i2").byteswap() / 32768


seen = {}
for format, subtypes in {
    "AIFF": ("PCM_S8", "PCM_16", "PCM_24", "PCM_32"),
    "AU": ("PCM_S8", "PCM_16", "PCM_24", "PCM_32", "ULAW"),
    "WAV": ("PCM_U8", "PCM_16", "PCM_24", "PCM_32"),
}.items():
    for subtype in subtypes:
        soundfile.write("samples", LEVELS, 8000, format=format, subtype=subtype)
        stored = soundfile.read("samples")[0][: len(LEVELS)]
        assert numpy.abs(stored - LEVELS).max() < 0.03
        samples, reader = read("samples")
        samples = samples[: len(LEVELS)]
        assert reader == "RawAudioFile" and len(samples) == len(LEVELS)
        print(format, subtype, samples.round(4).tolist())
        if (format, subtype) in RIGHT:
            assert numpy.abs(samples - LEVELS).max() < 1e-4
        elif subtype == "PCM_U8":
            assert (samples == numpy.where(stored < 0, stored + 1, stored - 1)).all()
        elif subtype in ("PCM_S8", "ULAW"):
            assert (samples == swapped(stored)).all()
        else:
            assert numpy.abs(samples - LEVELS).max() > 0.4
            assert samples[2] == 0
print("As described.")
PYTHON
