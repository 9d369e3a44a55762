#!/usr/bin/env bash
# Read from within, an MP3 begins with silence, and the end of an Ogg Vorbis file comes from another place.
#
# soundfile 0.14.0 with libsndfile 1.2.2 and numpy 2.4.6, on Linux.
# Expected: soundfile.read(file, start=n) gives what soundfile.read(file)[n:] gives, but for some samples that a lossy
#   decoder can't know yet.
# Seen: of MP3s that compress well (a tone, a sweep; not of noise) the first 3000 to 4400 samples that are read from
#   anywhere within are zeros, then some wrong by as much as the signal is loud (frames of an MP3 may use bytes of frames
#   before, which is the likely cause). Of Ogg Vorbis, what is read from within the last page (0.3 s here) is the
#   signal 192 samples further on, up to the end; before that page it is right. Opus and FLAC are right everywhere.
# What to do: read MP3 and Vorbis from the front and drop what isn't wanted, or start 5000 samples earlier in an MP3.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check soundfile==0.14.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import numpy
import soundfile

assert soundfile.__libsndfile_version__ == "1.2.2", soundfile.__libsndfile_version__
COUNT = 5 * 48000
times = numpy.arange(COUNT) / 48000
signals = {
    "tone": 0.5 * numpy.sin(2 * numpy.pi * 440 * times),
    "sweep": 0.5 * numpy.sin(2 * numpy.pi * (100 + 200 * times) * times),
    "noise": numpy.random.default_rng(0).uniform(-0.5, 0.5, COUNT),
}


def last_page(name):
    """The sample at which the last page of an Ogg file begins."""
    data = open(name, "rb").read()
    before = data.rfind(b"OggS", 0, data.rfind(b"OggS"))
    return int.from_bytes(data[before + 6 : before + 14], "little")


def wrong(name, whole, start):
    """How many of 6000 samples from `start` on pass until all are as in the whole."""
    part = soundfile.read(name, start=start, frames=6000)[0]
    assert len(part) == min(6000, COUNT - start)
    differing = numpy.flatnonzero(numpy.abs(part - whole[start : start + 6000]) > 1e-3)
    return int(differing[-1]) + 1 if len(differing) else 0


for signal, samples in signals.items():
    for format, subtype in (("MP3", None), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("FLAC", None)):
        name = f"{signal}.{format}"
        soundfile.write(name, samples, 48000, format=format, subtype=subtype)
        whole = soundfile.read(name)[0]
        assert len(whole) == COUNT
        starts = range(20000, COUNT, 7013)
        counts = [wrong(name, whole, start) for start in starts]
        print(signal, format, subtype or "", "wrong samples by start:", counts)
        if format == "MP3" and signal != "noise":
            assert all(2500 < count < 4600 for count in counts[:-1]), counts
            part = soundfile.read(name, start=50000, frames=500)[0]
            assert not part.any() and numpy.abs(whole[50000:50500]).max() > 0.4
        elif subtype == "VORBIS" and signal != "noise":
            page = last_page(name)
            assert all(count == 0 for start, count in zip(starts, counts, strict=True) if start < page)
            start = page + (COUNT - page) // 2
            part = soundfile.read(name, start=start)[0]
            later = [
                further
                for further in range(1, 1000)
                if numpy.abs(part[:500] - whole[start + further :][:500]).max() < 1e-4
            ]
            print("last page from", page, "of", COUNT, "on; read there: the signal", later, "samples further on")
            assert len(later) == 1 and wrong(name, whole, start) > 5000
        else:
            assert not any(counts), counts
print("As described.")
PYTHON
