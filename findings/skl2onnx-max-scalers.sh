#!/usr/bin/env bash
# skl2onnx drops the clipping of MaxAbsScaler, and its Normalizer of the maximum turns the signs of a negative row and
# multiplies where it should divide.
#
# skl2onnx 1.20.0 with scikit-learn 1.9.1, onnx 1.23.2, onnxruntime 1.32.0 and numpy 2.4.6, on Linux.
# Expected: to_onnx() of a fitted scaler gives, to the rounding of float32, what its transform() gives, or an error.
# Seen: MaxAbsScaler(clip=True) becomes the model of MaxAbsScaler(): data outside of the range that was fitted come out
#   as 2 and -2 instead of 1 and -1; MinMaxScaler(clip=True) is clipped. Normalizer(norm="max") divides a row by its
#   largest number, not by its largest absolute number: [-4, -1] becomes [4, 1] instead of [-1, -0.25], and [-8, 0.1]
#   becomes [-80, 1] instead of [-1, 0.0125], in each opset from 9 to 20. Rows whose largest number is also
#   the largest by size are right, and so are the norms l1 and l2. No error, no warning.
# What to do: clip behind the model; take Normalizer's absolute maximum outside of it. Compare model and scaler on rows
#   with negative numbers and on rows outside of the fitted range before it is shipped.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    skl2onnx==1.20.0 scikit-learn==1.9.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import numpy
import onnxruntime
from skl2onnx import to_onnx
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, Normalizer

FITTED = numpy.array([[1, 10], [2, 20], [4, -40]], "float32")
OUTSIDE = numpy.array([[8, 10], [-8, 80], [2, -40]], "float32")
ROWS = numpy.array([[-4, -1], [-8, 0.1], [2, -8], [2, 8]], "float32")


def outputs(scaler, rows, opset=None):
    """What a scaler that was fitted to `FITTED` gives for `rows`, and what its model gives."""
    model = to_onnx(scaler.fit(FITTED), FITTED[:1], target_opset=opset)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return scaler.transform(rows), session.run(None, {"X": rows})[0]


for scaler in (MaxAbsScaler(), MaxAbsScaler(clip=True), MinMaxScaler(), MinMaxScaler(clip=True)):
    own, converted = outputs(scaler, OUTSIDE)
    print(f"{scaler}: {own.tolist()} and, converted, {converted.tolist()}")
    if str(scaler) == "MaxAbsScaler(clip=True)":
        assert numpy.abs(own).max() == 1 and numpy.abs(converted).max() == 2
        assert (converted == outputs(MaxAbsScaler(), OUTSIDE)[1]).all()
    else:
        assert numpy.allclose(own, converted, rtol=1e-6)
for norm in ("l1", "l2", "max"):
    for opset in (9, 13, 18, 20, None):
        own, converted = outputs(Normalizer(norm), ROWS, opset)
        if norm == "max":
            assert numpy.allclose(own, ROWS / numpy.abs(ROWS).max(axis=1, keepdims=True), rtol=1e-6)
            assert numpy.allclose(converted, ROWS / ROWS.max(axis=1, keepdims=True), rtol=1e-6)
        else:
            assert numpy.allclose(own, converted, rtol=1e-6)
    print(f"Normalizer({norm}): {own.tolist()} and, converted, {converted.tolist()}")
print("As described.")
PYTHON
