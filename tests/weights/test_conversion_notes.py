"""What is said of a conversion: what is left as it is, what is taken for granted, and what does not come back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from torch import nn
from torch.nn.utils import parametrizations

from convtool.jobs.inspection.listing import list_weights
from convtool.weights.conversion.file import ConvertedFile
from convtool.weights.layouts import describe
from tests.helpers.weight_arrays import Array, Arrays, arrays_of, info, model, rnn, signal, through

CELLS = {
    "dec.cell.weight_ih": (16, 3),
    "dec.cell.weight_hh": (16, 4),
    "dec.cell.bias_ih": (16,),
    "dec.cell.bias_hh": (16,),
}
LEFT = "left as stored, since nothing tells how {to} would have them"
RESETS = "taken to reset after the recurrent product, as torch does, since nothing says it"


def told(file: Arrays, to: str) -> list[str]:
    described = describe(file.tensors, layout=file.layout)
    return [str(note) for note in ConvertedFile(file, described, to=to).told]


def unknown() -> Arrays:
    """Tensors of torch whose parts no name tells, beside layers."""
    module = model(conv=parametrizations.weight_norm(nn.Conv1d(3, 4, 5)), fc=nn.Linear(8, 5), emb=nn.Embedding(7, 8))
    arrays = arrays_of(module).arrays
    return Arrays({"pos": signal(10, 8), "cls_token": signal(1, 1, 8), "gain": signal(3), **arrays}, "torch")


WEIGHTS = ["conv/parametrizations/weight/original0", "conv/parametrizations/weight/original1"]


def test_what_can_not_be_known_is_left_and_told() -> None:
    file = unknown()
    names = ", ".join(f"'{name}'" for name in ["pos", "cls_token", *WEIGHTS])
    assert told(file, "keras") == [f"{LEFT.format(to='keras')}: 4 tensors, {names}"]
    made = through(file, "keras")
    for name in ("pos", "cls_token", *WEIGHTS):
        np.testing.assert_array_equal(made[name], file.arrays[name.replace("/", ".")])
    np.testing.assert_array_equal(made["fc/kernel"], file.arrays["fc.weight"].T)
    assert told(file, "torch") == []


def test_what_the_optimizer_keeps_is_told_apart_from_it() -> None:
    arrays = {"optimizer/adam/m": signal(2, 3), "d/kernel": signal(2, 3), "table": signal(2, 2), "names": signal(3)}
    file = Arrays(arrays, "keras", [info(name, value.shape) for name, value in arrays.items()])
    assert told(file, "torch") == [
        f"{LEFT.format(to='torch')}: 1 tensor, 'table'",
        "left as stored, since they are the optimizer's: 1 tensor, 'optimizer.adam.m'",
    ]


def test_a_layer_that_another_framework_lacks_is_left_and_told() -> None:
    file = Arrays({}, "keras", [info("e/kernel", (2, 3), layer="EinsumDense", equation="ab,bc->ac")])
    assert told(file, "onnx") == [f"{LEFT.format(to='onnx')}: 1 tensor, 'e.kernel'"]


def test_slopes_that_are_given_their_shape_are_not_left() -> None:
    assert told(Arrays({}, "onnx", [info("slope", (4, 1, 1), layer="PRelu")]), "torch") == []


# Arrays whose layout is said


def as_said(
    arrays: Mapping[str, Array], source: str, to: str, tensor: str | None = None
) -> tuple[dict[str, str], list[str]]:
    """Kinds, and what is told, where an option says the layout."""
    listing = list_weights("m.npz", Arrays(arrays, ""), to=to, source=source, tensor=tensor)
    for each in listing.tensors:
        assert each.values().shape == each.tensor.shape
    return {each.name: each.described.kind for each in listing.tensors}, listing.notes


def test_bare_arrays_are_converted_as_they_are_said_to_be() -> None:
    bare = signal(5, 3, 4)
    assert as_said({"k": bare}, "keras", "torch") == ({"k": "conv1d"}, [])
    kinds, notes = as_said({"a.k": bare, "m": bare[0], "v": bare[0, 0]}, "torch", "keras")
    assert kinds == {"a/k": "conv1d", "m": "dense", "v": "tensor"}
    assert notes == ["taken for the weights of layers, since no name tells more: 2 tensors, 'a/k', 'm'"]


def test_beside_tensors_that_are_known_others_are_no_bare_arrays() -> None:
    arrays = {"pos": signal(10, 8), "net.fc.weight": signal(3, 8), "net.w": signal(8, 8)}
    kinds, notes = as_said(arrays, "torch", "keras")
    assert kinds == {"pos": "tensor", "net/fc/kernel": "dense", "net/w": "tensor"}
    assert notes == [f"{LEFT.format(to='keras')}: 2 tensors, 'pos', 'net/w'"]
    for name in ("net.w", "net/w"):
        kinds, notes = as_said(arrays, "torch", "keras", name)
        assert kinds == {"pos": "tensor", "net/fc/kernel": "dense", "net/w": "dense"}
        assert notes == [f"{LEFT.format(to='keras')}: 1 tensor, 'pos'"]


def test_of_one_tensor_only_what_is_about_it_is_told() -> None:
    listing = list_weights("m.pt", Arrays({}, "torch", [info("t", (2, 3)), *cells().tensors]), to="keras")
    left = f"{LEFT.format(to='keras')}: 1 tensor, 't'"
    cell = "cells, which come back as layers, with names in _l0: 'dec/cell'"
    assert listing.notes == [left, "two biases are added, as Keras keeps their sum alone: 'dec/cell/bias'", cell]
    assert listing.only("t").notes == [left]
    assert listing.only("dec/cell/kernel").notes == [cell]


# Recurrent layers


def stored_and_back(file: Arrays, to: str) -> dict[str, Array]:
    """The arrays of `file` back from another layout, from a file that has tensors alone and no settings."""
    return through(Arrays(through(file, to), to), "torch")


def cells() -> Arrays:
    arrays = {name: signal(*shape) for name, shape in CELLS.items()}
    return Arrays(arrays, "torch", [info(name, shape) for name, shape in CELLS.items()])


@pytest.mark.parametrize("to", ["keras", "onnx"])
def test_names_that_do_not_come_back_are_told(to: str) -> None:
    """A cell's are those of a layer then; those of stacked layers tell each where it stood."""
    slash = "/" if to == "keras" else "."
    assert told(cells(), to)[-1] == f"cells, which come back as layers, with names in _l0: 'dec{slash}cell'"
    stacked = arrays_of(model(rec=rnn(nn.RNN, num_layers=2, bias=False)))
    own = f"'rec{slash}l0', 'rec{slash}l1'".replace(f"{slash}l", "_l")
    assert told(stacked, to) == [f"layers of one stack, which come back as layers of their own: {own}"]
    assert told(arrays_of(model(rec=rnn(nn.RNN, bias=False))), to) == []
    assert told(cells(), "torch") == []


def test_a_layer_without_a_name_gets_one_for_its_directions() -> None:
    file = arrays_of(rnn(nn.RNN, bidirectional=True, bias=False).double())
    name = "'backward_simple_rnn/recurrent_kernel'"
    assert told(file, "keras") == [f"directions of a layer without a name, which comes back with one: {name}"]
    assert told(file, "onnx") == []
    assert next(iter(stored_and_back(file, "keras"))) == "simple_rnn.weight_ih_l0"


def test_a_cell_by_itself_keeps_its_name() -> None:
    alone = Arrays({name.removeprefix("dec."): value for name, value in cells().arrays.items()}, "torch")
    assert list(stored_and_back(alone, "keras")) == [
        f"cell.{word}_l0" for word in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ]


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"bidirectional": True}])
@pytest.mark.parametrize("to", ["keras", "onnx"])
def test_a_gru_comes_back_to_the_bit_from_its_tensors_alone(to: str, options: dict[str, bool]) -> None:
    """No tensor of ONNX's, nor of Keras's without a bias, says where it resets; torch's can only reset after."""
    file = arrays_of(model(g=rnn(nn.GRU, **options)))
    stored = Arrays(through(file, to), to)
    back = stored_and_back(file, to)
    assert back.keys() == file.arrays.keys()
    for name, values in file.arrays.items():
        np.testing.assert_array_equal(back[name], values, strict=True)
    shaped = to == "keras" and "bias" not in options
    assert told(stored, "torch") == ([] if shaped else [f"{RESETS}: 'g'"])
    assert told(file, to) == (["no tensor tells that linear_before_reset is 1: 'g'"] if to == "onnx" else [])


def test_settings_that_no_tensor_tells_are_told() -> None:
    shapes = {"kernel": (3, 12), "recurrent_kernel": (4, 12), "bias": (12,)}
    gru = [info(f"g/{name}", shape, layer="GRU", go_backwards=True) for name, shape in shapes.items()]
    assert told(Arrays({}, "keras", gru), "onnx") == [
        "no tensor tells that it runs backwards in time: 'g'",
        "no tensor tells that linear_before_reset is 0: 'g'",
    ]
    node = {"layer": "GRU", "node": "n", "direction": "reverse", "linear_before_reset": 0}
    sides = {"W": (1, 12, 3), "R": (1, 12, 4)}
    tensors = [info(name, shape, input=i, **node) for i, (name, shape) in enumerate(sides.items(), 1)]
    assert told(Arrays({}, "onnx", tensors), "keras") == [
        "no tensor tells that it runs backwards in time: 'n'",
        "no tensor tells that reset_after is False: 'n'",
    ]
    assert told(Arrays({}, "onnx", tensors), "torch") == []  # refused, which is told beside each


def test_heads_that_are_merged_are_told() -> None:
    shapes = {"query/kernel": (12, 3, 4), "query/bias": (3, 4)}
    tensors = [info(f"a/{name}", shape, layer="EinsumDense", projection="input") for name, shape in shapes.items()]
    merged = "heads of attention are put side by side, and no tensor tells how many there were: 'a.query.weight'"
    assert told(Arrays({}, "keras", tensors), "torch") == [merged]
