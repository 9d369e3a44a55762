#!/usr/bin/env bash
# FFmpeg takes the valid bits of a WAV's samples for the width of its words: 24-bit samples in 32-bit words come out as
# floats from 1e-38 to 1e31, 16-bit ones in 24-bit words as noise, half as long again.
#
# av (PyAV) 18.1.0 with FFmpeg 8.1.2 in it, soundfile 0.14.0, scipy 1.17.1 and numpy 2.4.6, on Linux.
# Expected: in WAVE_FORMAT_EXTENSIBLE words have wBitsPerSample bits, of which the upper wValidBitsPerSample are used;
#   who reads by the first alone gets the right level, as libsndfile and scipy do.
# Seen: FFmpeg goes by the second. 24 valid bits of 32 are taken for pcm_f24le, the bits of the integers for those of
#   floats: 0.5 of full scale becomes 2.4e-7 and 0.9 becomes 1.7e24. 20 of 32 are taken for pcm_s24le, 16 of 24 or 32
#   for pcm_s16le, 8 of 16 for pcm_u8: noise, and more samples than there are. No error, no warning. Right is what
#   rounds up to the bytes of the word: 20 of 24, 12 of 16, 28 of 32. FFmpeg 5.1.9 does the same.
# What to do: name the codec of the words before the input, "ffmpeg -c:a pcm_s32le -i in.wav", or read such files with
#   libsndfile or scipy. In files from elsewhere compare the codec's name with the size of a block.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    av==18.1.0 soundfile==0.14.0 scipy==1.17.1 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import struct

import av
import numpy
import soundfile
from scipy.io import wavfile

assert av.ffmpeg_version_info == "8.1.2", av.ffmpeg_version_info
CODECS = {
    (16, 8): "pcm_u8",
    (16, 12): "pcm_s16le",
    (16, 16): "pcm_s16le",
    (24, 16): "pcm_s16le",
    (24, 20): "pcm_s24le",
    (24, 24): "pcm_s24le",
    (32, 16): "pcm_s16le",
    (32, 20): "pcm_s24le",
    (32, 24): "pcm_f24le",
    (32, 28): "pcm_s32le",
    (32, 32): "pcm_s32le",
}
PCM = struct.pack("<IHH", 1, 0, 16) + bytes([128, 0, 0, 170, 0, 56, 155, 113])
LEVELS = numpy.array([0, 0.1, 0.5, 0.9, -0.1, -0.5, -0.9, -1])


def write(bits, valid, channels=1):
    """A file of `LEVELS`, as integers of `valid` bits at the top of words of `bits`, and those words."""
    words = numpy.rint(LEVELS * (1 << (valid - 1))).astype("int64") << (bits - valid)
    frame = channels * bits // 8
    form = struct.pack("<HHIIHHHHI", 0xFFFE, channels, 8000, 8000 * frame, frame, bits, 22, valid, 0) + PCM
    data = b"".join(int(word).to_bytes(bits // 8, "little", signed=True) * channels for word in words)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    with open("samples.wav", "wb") as file:
        file.write(b"RIFF" + struct.pack("<I", 4 + len(chunks) + len(data) % 2) + b"WAVE" + chunks)
        file.write(bytes(len(data) % 2))
    return words


def decoded():
    """The name of the codec that FFmpeg takes, and the first channel of what it gives."""
    with av.open("samples.wav") as file:
        frames = [frame.to_ndarray() for frame in file.decode(audio=0)]
        stream = file.streams.audio[0]
        return stream.codec_context.name, numpy.concatenate(frames, 1)[0, :: stream.channels]


for channels in (1, 2):
    for (bits, valid), name in CODECS.items():
        words = write(bits, valid, channels)
        scaled = words / (1 << (bits - 1))
        assert (soundfile.read("samples.wav", always_2d=True)[0][:, 0] == scaled).all()
        integers = wavfile.read("samples.wav")[1].reshape(len(LEVELS), channels)[:, 0]
        assert (integers / (1 << (8 * integers.itemsize - 1)) == scaled).all()
        codec, samples = decoded()
        assert codec == name, (bits, valid, codec)
        print(f"{valid} valid bits of {bits}, {channels} channels: {codec}, {len(samples)} samples:", samples[:4])
        if codec == "pcm_f24le":
            assert (samples == words.astype("int32").view("float32") / 2**23).all()
            assert samples.max() > 1e24
        elif codec == f"pcm_s{bits}le":
            assert (samples == words << (8 * samples.itemsize - bits)).all()
        else:
            assert len(samples) > len(LEVELS)
print("As described.")
PYTHON
