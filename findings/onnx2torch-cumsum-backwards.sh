#!/usr/bin/env bash
# onnx2torch runs a CumSum that names no direction backwards: a torch.cumsum that went to ONNX and back adds up from the
# end.
#
# onnx2torch 1.5.15 with torch 2.14.1, onnx 1.23.2, onnxruntime 1.32.0 and numpy 2.4.6, on Linux.
# Expected: an attribute that a node leaves out has the default of the operator's schema; that of "reverse" is 0, so
#   that [1, 2, 3, 4] gives [1, 3, 6, 10], as in onnxruntime.
# Seen: onnx2torch takes 1, and gives [10, 9, 7, 4], in CumSum's versions 11 and 14, with "exclusive" too. With
#   "reverse" written out, as 0 or as 1, it is right. torch.onnx.export(..., dynamo=False), which was the default before
#   torch 2.9, leaves it out; dynamo=True writes it. The shape is the same, and there is no warning.
# What to do: append onnx.helper.make_attribute("reverse", 0) to such nodes before conversion, and compare what was
#   converted with onnxruntime on noise.
# (Where pip finds torch's build for CPUs, by PIP_EXTRA_INDEX_URL, this downloads 0.2 GB instead of 3.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnx2torch==1.5.15 torch==2.14.1 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import numpy
import onnx
import onnx2torch
import onnxruntime
import torch
from onnx import helper

NUMBERS = numpy.array([1, 2, 3, 4], "float32")


def outputs(model):
    """What onnxruntime and onnx2torch give for `NUMBERS`."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    run = session.run(None, {session.get_inputs()[0].name: NUMBERS})[0]
    return run.tolist(), onnx2torch.convert(model)(torch.from_numpy(NUMBERS)).tolist()


def cumsum(version, **attributes):
    """A model of one CumSum node."""
    signal, sums = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [4]) for name in ("x", "y"))
    axis = helper.make_tensor("axis", onnx.TensorProto.INT64, [], [0])
    node = helper.make_node("CumSum", ["x", "axis"], ["y"], **attributes)
    graph = helper.make_graph([node], "sums", [signal], [sums], [axis])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=8)
    onnx.checker.check_model(model)
    return model


UP, DOWN = [1, 3, 6, 10], [10, 9, 7, 4]
EXCLUSIVE_UP, EXCLUSIVE_DOWN = [0, 1, 3, 6], [9, 7, 4, 0]
assert onnx.defs.get_schema("CumSum", 14).attributes["reverse"].default_value.i == 0
for version in (11, 14):
    for attributes, expected in (
        ({}, (UP, DOWN)),
        ({"exclusive": 1}, (EXCLUSIVE_UP, EXCLUSIVE_DOWN)),
        ({"reverse": 0}, (UP, UP)),
        ({"reverse": 1}, (DOWN, DOWN)),
        ({"reverse": 0, "exclusive": 1}, (EXCLUSIVE_UP, EXCLUSIVE_UP)),
    ):
        seen = outputs(cumsum(version, **attributes))
        print(f"CumSum-{version} with {attributes}: onnxruntime {seen[0]}, onnx2torch {seen[1]}")
        assert seen == expected


class Sums(torch.nn.Module):
    def forward(self, signal):
        return torch.cumsum(signal, 0)


torch.onnx.export(Sums(), (torch.from_numpy(NUMBERS),), "sums.onnx", dynamo=False, opset_version=17)
seen = outputs(onnx.load("sums.onnx"))
print("torch.cumsum by way of ONNX: onnxruntime", seen[0], "onnx2torch", seen[1])
assert seen == (UP, DOWN)
print("As described.")
PYTHON
