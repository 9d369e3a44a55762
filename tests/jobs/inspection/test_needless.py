"""What is in one of two files alone, and whether that makes a difference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from convtool.jobs.inspection.diff import by_name
from convtool.jobs.inspection.listing import list_weights
from convtool.jobs.inspection.needless import without_states
from tests.helpers.side_by_side import compared, listing, of_node
from tests.helpers.weight_arrays import Array, Arrays, info, signal


def test_what_makes_no_difference_where_it_is_missing() -> None:
    tensors = [info("a.weight", (2, 3)), info("b.weight", (2, 3)), info("b.bias", (2,))]
    tensors[1] = replace(tensors[1], tied_to="a.weight")
    weight = signal(2, 3)
    ours = list_weights("m", Arrays({"a.weight": weight, "b.weight": weight, "b.bias": np.zeros(2)}, "torch", tensors))
    found, notes = compared(ours, listing({"a.weight": weight, "t": np.ones(2)}, "onnx"))
    assert [each.name for each in found] == ["t"]
    assert notes == ["not compared, the values of others: 'b.weight'", "not compared, zeros: 'b.bias'"]


@pytest.mark.parametrize(
    ("op", "number", "value"),
    [
        ("Conv", 1, np.zeros((4, 2, 3))),
        ("Mul", 1, np.zeros(4)),
        ("LSTM", 7, np.zeros((1, 12))),
        ("GRU", 6, np.zeros((1, 2, 4))),
        ("LSTM", 5, np.full((1, 2, 4), 0.5)),
        ("Add", 0, np.array([[1.0, 2.0], [1.0, 3.0]])),
        ("Add", 0, np.array([1.0, 2.0])),
        ("MatMulInteger", 1, np.ones((4, 3), np.uint8)),
        ("QLinearConv", 3, np.ones((4, 2, 3), np.int8)),
        ("QLinearMatMul", 5, np.zeros(4, np.uint8)),
    ],
)
def test_what_is_in_one_file_alone_and_makes_a_difference(op: str, number: int, value: Array) -> None:
    weight, bias = signal(2, 3), np.array([1.0, 2.0])
    told = {"k": of_node(op, number, node="n")}
    theirs = listing({"a.weight": weight, "a.bias": bias, "k": value}, "onnx", **told)
    found, _ = compared(listing({"a.weight": weight, "a.bias": bias}, "torch"), theirs)
    assert [each.what for each in found] == ["only in the second file"]


@pytest.mark.parametrize(
    ("op", "number", "value", "reason"),
    [
        ("Add", 1, np.zeros(4), "zeros"),
        ("GRU", 5, np.zeros((1, 2, 4)), "initial states of zeros"),
        ("LSTM", 6, np.zeros((1, 2, 4)), "initial states of zeros"),
        ("Add", 0, np.tile([1.0, 2.0], (1, 3, 1)), "the values of others"),
        ("Mul", 1, np.array([0.5]), "constants of the graph"),
        ("Where", 0, np.array([[True, False]]), "constants of the graph"),
        ("DequantizeLinear", 2, np.zeros((), np.uint8), "constants of the graph"),
    ],
)
def test_what_is_in_a_graph_alone_and_makes_no_difference(op: str, number: int, value: Array, reason: str) -> None:
    weight, bias = signal(2, 3), np.array([1.0, 2.0])
    told = {"k": of_node(op, number, node="n")}
    found, notes = compared(
        listing({"a.weight": weight, "a.bias": bias}, "torch"),
        listing({"a.weight": weight, "a.bias": bias, "k": value}, "onnx", **told),
    )
    assert (found, notes) == ([], [f"not compared, {reason}: 'k'"])


def test_initial_states_of_zeros_are_no_weights() -> None:
    zeros, ones, told = np.zeros((1, 2, 4)), np.ones((1, 2, 4)), of_node("RNN", 5, node="n")
    ours = {"alone": zeros, "longer": zeros, "same": zeros, "set": ones, "w": zeros}
    theirs = {"longer": np.zeros((1, 3, 4)), "same": zeros, "other": np.ones((1, 3, 4)), "beside": zeros}
    states = dict.fromkeys(("alone", "longer", "same", "set", "other", "beside"), told)
    first, second = (listing(arrays, "onnx", **states).tensors for arrays in (ours, theirs))
    kept, notes = without_states(by_name(first, second))
    assert [pair.name for pair in kept] == ["same", "set", "w", "other"]
    assert notes == ["not compared, initial states of zeros: 'alone', 'longer', 'beside'"]
    assert without_states(kept) == (kept, [])


UNROLLED = {
    "LSTM": [("Gemm", 0, (1, 4)), ("Mul", 1, (1, 4))],
    "LSTM, folded": [("Add", 0, (1, 16)), ("Mul", 1, (1, 4))],
    "GRU": [("MatMul", 0, (1, 4)), ("Sub", 0, (1, 4))],
    "GRU, folded": [("Split", 0, (1, 12)), ("Sub", 0, (1, 4))],
    "RNN": [("Gemm", 0, (2, 4))],
}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("cell", UNROLLED)
def test_a_loop_over_a_cell_begins_with_a_state_of_zeros(cell: str, bias: bool) -> None:
    """As torch's exporters unroll it; what the state and its weight come to may be a constant already."""
    rows = UNROLLED[cell][0][2][-1]
    plain = {"weight_hh": signal(rows, 4)} | ({"bias_hh": signal(rows)} if bias else {})
    arrays, told = dict(plain), {"bias_hh": of_node("Gemm", 2, node="/Gemm_1")}
    for number, (op, place, shape) in enumerate(UNROLLED[cell]):
        arrays[f"c{number}"], told[f"c{number}"] = np.zeros(shape), of_node(op, place, node=f"/{op}")
        if bias and shape == (1, 16):
            arrays[f"c{number}"] += plain["bias_hh"]
    found, notes = compared(listing(plain, "torch"), listing(arrays, "onnx", **told))
    assert found == []
    assert "initial states of zeros" in notes[-1] or "initial states of zeros" in notes[0]


@pytest.mark.parametrize("op", ["Mul", "Sub"])
@pytest.mark.parametrize(
    "beside",
    [{}, {"b": (("Gemm", 0), (1, 3))}, {"b": (("Add", 0), (1, 5))}, {"b": (("Add", 0), (2, 16))}],
    ids=["nothing", "shorter", "no gates", "another batch"],
)
def test_zeros_that_are_no_state_of_a_cell(op: str, beside: dict[str, Any]) -> None:
    arrays = {"a.weight": signal(4, 2), "k": np.zeros((1, 4))} | {
        name: np.zeros(shape) for name, (_, shape) in beside.items()
    }
    told = {"k": of_node(op, 0, node="n")} | {name: of_node(*used, node="m") for name, (used, _) in beside.items()}
    found, _ = compared(listing({"a.weight": signal(4, 2)}, "torch"), listing(arrays, "onnx", **told))
    assert [(each.name, each.what) for each in found] == [("k", "only in the second file")]


def test_a_weight_of_zeros_is_no_state() -> None:
    arrays = {"a.weight": signal(4, 2), "k": np.zeros((4, 4))}
    theirs = listing(arrays, "onnx", k=of_node("MatMul", 1, node="n"))
    found, _ = compared(listing({"a.weight": signal(4, 2)}, "torch"), theirs)
    assert [each.name for each in found] == ["k"]
