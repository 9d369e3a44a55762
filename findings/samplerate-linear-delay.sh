#!/usr/bin/env bash
# libsamplerate's "linear" converter gives the signal one input sample late; its sinc converters give it in time.
#
# samplerate 0.2.4 (libsamplerate within) with numpy 2.4.6, on Linux.
# Expected: output sample n stands for the time n / ratio of the input, whatever the converter; linear interpolation of a
#   ramp is the ramp.
# Seen: of the ramp 0, 1, 2... "linear" gives at n the value n / ratio - 1, at every ratio, the ratio 1 too, where
#   "linear" and "zero_order_hold" give the first sample twice and lose the last one. "sinc_best" and "sinc_fastest" give
#   n / ratio, to 0.002 of a sample.
# What to do: take a sinc converter where tracks are mixed or compared that went through different converters; at a whole
#   ratio, repeat the last sample at the input's end and drop that many outputs at the start. At 8 kHz it is 0.125 ms,
#   three samples of 24 kHz.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check samplerate==0.2.4 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import numpy
import samplerate

ramp = numpy.arange(2000, dtype="float32")
for converter, delay in (("sinc_best", 0), ("sinc_fastest", 0), ("linear", 1)):
    for ratio in (0.5, 1, 1.5, 2, 3, 4, 48000 / 44100):
        output = samplerate.resample(ramp, ratio, converter)
        middle = numpy.arange(len(output) // 4, len(output) // 2)
        late = middle / ratio - output[middle]
        print(f"{converter}, ratio {ratio:.4f}: {late.min():.4f} to {late.max():.4f} input samples late")
        assert numpy.abs(late - delay).max() < 0.002
kept = {
    converter: samplerate.resample(numpy.array([5, 1, 4, 2], "float32"), 1, converter).tolist()
    for converter in ("linear", "zero_order_hold")
}
print("5, 1, 4, 2 at the ratio 1:", kept)
assert kept == {"linear": [5, 5, 1, 4], "zero_order_hold": [5, 5, 1, 4]}
print("As described.")
PYTHON
