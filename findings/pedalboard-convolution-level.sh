#!/usr/bin/env bash
# pedalboard.Convolution scales every impulse response to the same energy: [1], [2] and [0.001] all multiply by 0.125.
#
# pedalboard 0.9.26 with numpy 2.4.6, on Linux.
# Expected: the convolution with the impulse response that is given; [0.5] halves the signal, [1] leaves it.
# Seen: the response is divided by the root of its sum of squares and by 8, so that its level has no effect: [3, 4] works
#   as [0.075, 0.1]. For several channels the loudest one gives the divisor. A file is scaled like an array. With `mix`,
#   the dry part keeps its level beside it: [1] with mix 0.5 gives 0.5625 of the signal. The documentation says nothing
#   of it.
# What to do: multiply the wet output by 8 times the root of the response's sum of squares, or convolve elsewhere where
#   levels count (measured responses, calibrated gains, comparisons with scipy.signal).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pedalboard==0.9.26 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import numpy
from pedalboard import Convolution
from pedalboard.io import AudioFile

RATE = 44100


def output(response, channels=1, **options):
    """The output for an impulse of 1, on every channel."""
    signal = numpy.zeros((channels, 2000), "float32")
    signal[:, 0] = 1
    return Convolution(response, sample_rate=RATE, **options)(signal, RATE)


for taps in ([1.0], [2.0], [0.5], [0.001], [-1.0], [0.0, 1.0], [3.0, 4.0], [1.0, 1.0]):
    response = numpy.array([taps], "float32")
    taken = output(response)[0, : len(taps)]
    print(taps, "works as", taken.round(5).tolist())
    assert numpy.allclose(taken, response[0] / (8 * numpy.sqrt((response**2).sum())), atol=1e-6)
noise = numpy.random.default_rng(0).uniform(-0.1, 0.1, (1, 1000)).astype("float32")
quiet, loud = output(noise), output(noise * 9)
assert numpy.allclose(quiet, loud, atol=1e-6) and numpy.abs(quiet).max() > 1e-3
stereo = numpy.vstack([noise, noise / 2])
both = output(stereo, channels=2)[:, :1000]
assert numpy.allclose(both, stereo / (8 * numpy.sqrt((noise**2).sum())), atol=1e-6)
with AudioFile("response.wav", "w", RATE, 1, 32) as file:
    file.write(noise)
impulse = numpy.eye(1, 2000, dtype="float32")
assert numpy.allclose(Convolution("response.wav")(impulse, RATE), quiet, atol=1e-6)
mixed = output(numpy.array([[1.0]], "float32"), mix=0.5)[0, 0]
print("[1] with mix 0.5:", mixed)
assert numpy.isclose(mixed, 0.5625)
print("As described.")
PYTHON
