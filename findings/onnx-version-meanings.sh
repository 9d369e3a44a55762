#!/usr/bin/env bash
# onnx.version_converter gives a model the number of another opset and lets nodes mean something else there: linear
# resampling moves by part of a sample, Softmax sums over more axes.
#
# onnx 1.23.2 and onnxruntime 1.32.0 with numpy 2.4.6, on Linux.
# Expected: a converted model gives the numbers of the one before, or convert_version() raises an error, as it does
#   where an operator has no counterpart.
# Seen: linear Upsample of opset 9 and Resize of opset 10 take input n / scale for output n. From opset 11 on the
#   converter leaves out coordinate_transformation_mode, whose default, half_pixel, takes (n + 0.5) / scale - 0.5:
#   0, 1, 2, 3 at twice the rate is 0, 0.5, 1, 1.5... before and 0, 0.25, 0.75, 1.25... after; at half the rate, 0, 2
#   becomes 0.5, 2.5. Mode nearest stays. Hardmax from 12 to 13 keeps its axis, which stood for all axes from there on
#   and now is one; Softmax and LogSoftmax, right on the way up, do the reverse from 13 to 12. Shapes stay, and the
#   checker passes.
# What to do: set coordinate_transformation_mode to "asymmetric" after conversion; run both models on noise and compare.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import numpy
import onnx
import onnxruntime
from onnx import helper, numpy_helper, version_converter

RAMP = numpy.arange(4, dtype="float32").reshape(1, 1, 1, 4)
NOISE = numpy.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")


def output(model, signal):
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": signal})[0]


def both(signal, before, after, operator, scale=None, **attributes):
    """The outputs of a model of one node in the opset `before`, and of what it becomes in the opset `after`."""
    shape = [*signal.shape[:-1], int(signal.shape[-1] * (scale or 1))]
    values = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, size)
        for name, size in (("x", signal.shape), ("y", shape))
    ]
    scales = [numpy_helper.from_array(numpy.array([1, 1, 1, scale], "float32"), "scales")] if scale else []
    node = helper.make_node(operator, ["x", *(["scales"] if scale else [])], ["y"], **attributes)
    graph = helper.make_graph([node], "node", values[:1], values[1:], scales)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", before)], ir_version=8)
    return output(model, signal), output(version_converter.convert_version(model, after), signal)


def linear(positions):
    return numpy.interp(positions, range(4), RAMP.ravel())


for operator, opset, scales in (("Upsample", 9, (2, 1.5)), ("Resize", 10, (2, 1.5, 0.5))):
    for scale in scales:
        positions = numpy.arange(int(4 * scale)) / scale
        for after in (10, 11, 13, 18, 22)[opset - 9 :]:
            old, new = both(RAMP, opset, after, operator, scale, mode="linear")
            assert numpy.allclose(old.ravel(), linear(positions), atol=1e-6)
            moved = 0 if after == 10 else 0.5 / scale - 0.5
            assert numpy.allclose(new.ravel(), linear(positions + moved), atol=1e-6)
            old_nearest, new_nearest = both(RAMP, opset, after, operator, scale, mode="nearest")
            assert (old_nearest == new_nearest).all()
        print(f"{operator}, linear, times {scale}: {old.ravel().tolist()} and, converted, {new.ravel().tolist()}")
for operator, before, after, kept in (
    ("Softmax", 11, 13, True),
    ("LogSoftmax", 11, 13, True),
    ("Hardmax", 11, 13, False),
    ("Softmax", 13, 12, False),
    ("LogSoftmax", 13, 12, False),
):
    old, new = both(NOISE, before, after, operator, axis=1)
    same = numpy.allclose(old, new, atol=1e-5)
    print(f"{operator} on axis 1 of 3 from opset {before} to {after}: {'same' if same else 'other'} numbers")
    assert same == kept
    assert old.shape == new.shape
    last_old, last_new = both(NOISE, before, after, operator, axis=2)
    assert numpy.allclose(last_old, last_new, atol=1e-5)
    if operator == "Softmax" and not kept:
        print("sums over axis 1:", old.sum(1)[0], "before and", new.sum(1)[0], "after")
        assert numpy.allclose(old.sum(1), 1, atol=1e-5) and numpy.allclose(new.sum((1, 2)), 1, atol=1e-5)
print("As described.")
PYTHON
