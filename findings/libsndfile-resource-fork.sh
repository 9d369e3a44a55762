#!/usr/bin/env bash
# An empty file called "._" in the working folder keeps libsndfile from reading MP3s that have no name.
#
# libsndfile 1.2.2, in soundfile 0.14.0, on Linux.
# Expected: what is read from memory does not depend on the working folder.
# Seen: a file without a name (a descriptor, or any Python file object) whose first bytes are none of the formats that are
#   told early is looked up as the data of a Macintosh file: its resource fork would be "._" followed by its name, which
#   is empty. If there is a file "._", MP3 without an ID3 tag, which is told later, fails with "bad data length" or "bad
#   resource fork". WAV and FLAC are read. Writing SD2 to a Python file object leaves such a file "._" behind.
# What to do: decode in a folder without such a file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check soundfile==0.14.0 numpy==2.4.6
mkdir "$folder/work"
cd "$folder/work"
"$folder/venv/bin/python" - <<'PYTHON'
import io
import os

import numpy
import soundfile

assert soundfile.__libsndfile_version__ == "1.2.2", soundfile.__libsndfile_version__
samples = numpy.random.default_rng(0).uniform(-0.5, 0.5, 5000)


def encoded(format, **options):
    file = io.BytesIO()
    soundfile.write(file, samples, 44100, format=format, **options)
    return file.getvalue()


def outcome(data):
    try:
        return str(len(soundfile.read(io.BytesIO(data))[0]))
    except soundfile.LibsndfileError as error:
        return error.error_string


files = {format: encoded(format) for format in ("MP3", "WAV", "FLAC")}
print("before:", {format: outcome(data) for format, data in files.items()}, os.listdir("."))
assert [outcome(data) for data in files.values()] == ["5000"] * 3
open("._", "w").close()
after = {format: outcome(data) for format, data in files.items()}
print("with an empty file '._':", after)
assert after["MP3"] in ("Error : bad data length.", "Error : bad resource fork."), after
assert after["WAV"] == after["FLAC"] == "5000", after
os.unlink("._")
encoded("SD2", subtype="PCM_16")
print("left by writing SD2 to memory:", os.listdir("."))
assert os.listdir(".") == ["._"]
PYTHON
