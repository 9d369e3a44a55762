#!/usr/bin/env bash
# soxr adds noise to 16-bit samples: digital silence comes out as -1, 0 and 1, even from one rate to the same rate.
#
# soxr 1.1.0 with numpy 2.4.6, on Linux.
# Expected: what is linear makes zeros of zeros, and resampling int16 gives the float result rounded.
# Seen: with int16 in and out, about a fifth to a quarter of the samples of silence are -1 or 1, a constant of 1000
#   comes back as 999, 1000 and 1001, and two channels with the same samples differ from one another, as dither
#   makes them. Neither `resample` nor `ResampleStream` has a switch for it. The noise is the same in each call. int32,
#   float32 and float64 keep silence, and a rate that stays keeps their samples.
# What to do: resample in float32 (or int32), and round to 16 bits afterwards; don't look for silence, for equal
#   channels or for unchanged files behind an int16 resampler.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check soxr==1.1.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import numpy
import soxr

for rates in ((44100, 48000), (48000, 24000), (44100, 44100)):
    for dtype in ("int16", "int32", "float32", "float64"):
        silence = numpy.zeros(20000, dtype)
        output = soxr.resample(silence, *rates)
        print(*rates, dtype, "from", output.min(), "to", output.max(), f"{(output != 0).mean():.3f} not zero")
        assert output.dtype == silence.dtype
        if dtype == "int16":
            assert set(output.tolist()) == {-1, 0, 1}
            assert 0.15 < (output != 0).mean() < 0.3
            assert (output == soxr.resample(silence, *rates)).all()
        else:
            assert not output.any()
for quality in ("QQ", "LQ", "MQ", "HQ", "VHQ"):
    assert soxr.resample(numpy.zeros(20000, "int16"), 44100, 48000, quality).any(), quality
stream = soxr.ResampleStream(44100, 48000, 1, dtype="int16")
assert stream.resample_chunk(numpy.zeros(20000, "int16"), last=True).any()
constant = soxr.resample(numpy.full(20000, 1000, "int16"), 44100, 48000)[1000:-1000]
print("a constant of 1000:", sorted(set(constant.tolist())))
assert set(constant.tolist()) == {999, 1000, 1001}
stereo = soxr.resample(numpy.zeros((20000, 2), "int16"), 44100, 48000)
assert (stereo[:, 0] != stereo[:, 1]).any()
samples = numpy.random.default_rng(0).integers(-20000, 20000, 20000)
same = {
    dtype: bool((soxr.resample(samples.astype(dtype), 44100, 44100) == samples).all())
    for dtype in ("int16", "int32", "float32", "float64")
}
print("samples kept at a rate that stays:", same)
assert same == {"int16": False, "int32": True, "float32": True, "float64": True}
print("As described.")
PYTHON
