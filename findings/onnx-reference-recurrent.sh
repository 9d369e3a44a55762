#!/usr/bin/env bash
# ONNX's ReferenceEvaluator leaves out the sequence lengths, clip, activations and input_forget of LSTM and GRU: padding
# is worked as signal, and the last state of a short row is that behind its padding.
#
# onnx 1.23.2 and onnxruntime 1.32.0 with numpy 2.4.6, on Linux.
# Expected: the evaluator that is named after the specification computes what a node says, or refuses it, as it does
#   RNN with Relu.
# Seen: for LSTM, GRU and RNN the input sequence_lens and the attribute clip change no bit of its output, nor do
#   activations for LSTM and GRU, nor input_forget for LSTM. onnxruntime heeds them: a row of 3 of 5 steps is that of
#   the 3 steps alone, then zeros. There is no warning; the class's documentation says that mismatches with the
#   specification may remain, not which. Directions, initial states, linear_before_reset and peepholes are right.
# What to do: test an exporter or another runtime of recurrent layers against onnxruntime, or row by row without
#   sequence_lens.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import numpy
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

STEPS, ROWS, FEATURES, HIDDEN = 5, 2, 3, 4
generator = numpy.random.default_rng(0)


def noise(*shape):
    return generator.normal(size=shape).astype("float32")


signal = noise(STEPS, ROWS, FEATURES)
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
weights = {
    operator: [noise(1, gates * HIDDEN, FEATURES), noise(1, gates * HIDDEN, HIDDEN), noise(1, 2 * gates * HIDDEN)]
    for operator, gates in GATES.items()
}


def outputs(operator, inputs=(), signal=signal, **attributes):
    """The outputs and the last states of ReferenceEvaluator, and those of onnxruntime."""
    steps, rows, _ = signal.shape
    tensors = dict(zip(("W", "R", "B"), weights[operator], strict=True)) | dict(inputs)
    names = ["X", "W", "R", "B", *(name if name in tensors else "" for name in ("lengths", "H", "C", "P"))]
    names = names[: 8 if operator == "LSTM" else 6]
    node = helper.make_node(operator, names, ["Y", "Y_h"], **attributes, hidden_size=HIDDEN)
    shapes = {"X": (steps, rows, FEATURES), "Y": (steps, 1, rows, HIDDEN), "Y_h": (1, rows, HIDDEN)}
    values = {key: helper.make_tensor_value_info(key, onnx.TensorProto.FLOAT, shape) for key, shape in shapes.items()}
    constants = [numpy_helper.from_array(tensor, name) for name, tensor in tensors.items()]
    graph = helper.make_graph([node], "recurrent", [values["X"]], [values["Y"], values["Y_h"]], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return ReferenceEvaluator(model).run(None, {"X": signal}), session.run(None, {"X": signal})


def equal(one, other, tolerance):
    return all(numpy.allclose(*pair, rtol=0, atol=tolerance) for pair in zip(one, other, strict=True))


lengths = {"lengths": numpy.array([STEPS, 3], "int32")}
activations = {"GRU": ["Sigmoid", "Relu"], "LSTM": ["Sigmoid", "Relu", "Tanh"]}
for operator in GATES:
    plain, runtime = outputs(operator)
    assert equal(plain, runtime, 1e-5)
    changes = {
        "sequence_lens": ((lengths,), {}),
        "clip": ((), {"clip": 0.3}),
        "direction": ((), {"direction": "reverse"}),
        "initial_h": (({"H": noise(1, ROWS, HIDDEN)},), {}),
    }
    if operator in activations:
        changes["activations"] = ((), {"activations": activations[operator]})
    if operator == "GRU":
        changes["linear_before_reset"] = ((), {"linear_before_reset": 1})
    if operator == "LSTM":
        changes["input_forget"] = ((), {"input_forget": 1})
        changes["P"] = (({"P": noise(1, 3 * HIDDEN)},), {})
    for name, (inputs, attributes) in changes.items():
        evaluator, runtime = outputs(operator, *inputs, **attributes)
        ignored = equal(evaluator, plain, 0)
        print(f"{operator} with {name}: {'as without it' if ignored else 'heeded'} by ReferenceEvaluator")
        assert not equal(runtime, plain, 1e-2)
        if name in ("sequence_lens", "clip", "activations", "input_forget"):
            assert ignored
        else:
            assert equal(evaluator, runtime, 1e-5)
    states, last = outputs(operator, lengths)[1]
    alone, end = outputs(operator, signal=signal[:3, 1:])[1]
    assert equal([states[:3, :, 1:], last[:, 1:]], [alone, end], 1e-6) and not states[3:, :, 1].any()
print("As described.")
PYTHON
