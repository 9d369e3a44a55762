"""What ONNX's operators compute, by ONNX's own reference implementation; without it the tests that ask are skipped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

Array = np.ndarray[Any, np.dtype[Any]]


def run(op: str, x: Array, weights: Sequence[Array], **attributes: Any) -> Array:
    """What ONNX's own reference implementation makes of `x`."""
    pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper
    from onnx.reference import ReferenceEvaluator

    names = [f"w{index}" for index in range(len(weights))]
    graph = helper.make_graph(
        [helper.make_node(op, ["x", *names], ["y"], **attributes)],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, None)],
        [numpy_helper.from_array(np.ascontiguousarray(w), name) for name, w in zip(names, weights, strict=True)],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    result: Array = ReferenceEvaluator(made).run(None, {"x": x})[0]
    return result


def recurrent(op: str, x: Array, weights: Sequence[Array], **attributes: Any) -> Array:
    """A recurrent operator on `(batch, time, features)`: its `(time, dirs, batch, H)` with directions side by side."""
    hidden = weights[1].shape[-1]
    states = run(op, x.swapaxes(0, 1), weights, hidden_size=hidden, **attributes)
    return np.moveaxis(states, 2, 0).reshape(len(x), x.shape[1], -1)
