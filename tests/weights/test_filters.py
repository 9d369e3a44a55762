"""Filters and gates: the same numbers whatever layout they are kept in."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from convtool.errors import InputError
from convtool.weights.filters import as_filters, split_gates
from convtool.weights.layouts import describe
from tests.helpers.weight_arrays import arrays_of, converted, info, model, rnn, signal

LAYOUTS = ("torch", "keras", "onnx")


CONVOLUTIONS = {
    "conv1d": nn.Conv1d(2, 5, 3),
    "conv2d": nn.Conv2d(2, 5, (3, 4)),
    "conv3d": nn.Conv3d(2, 5, (2, 3, 4)),
    "dw": nn.Conv2d(6, 6, 3, groups=6),
    "deconv1d": nn.ConvTranspose1d(2, 5, 3),
    "deconv2d": nn.ConvTranspose2d(2, 5, (3, 4)),
    "fc": nn.Linear(3, 4),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_filters_are_out_in_kernel_in_any_layout(name: str, layout: str) -> None:
    file = arrays_of(model(**{name: CONVOLUTIONS[name]}))
    expected = file.arrays[f"{name}.weight"]
    made, (weight, _) = converted(file, describe(file.tensors, layout="torch"), layout)
    filters = as_filters(made.values(weight.tensor), weight)
    np.testing.assert_array_equal(filters, expected.swapaxes(0, 1) if name.startswith("deconv") else expected)


def test_filters_of_depth_multipliers_lie_side_by_side() -> None:
    """Both filters of the first input come before those of the second, as their outputs do."""
    kernel = np.arange(3 * 2 * 2.0).reshape(3, 2, 2)
    (described,) = describe([info("dw/depthwise_kernel", (3, 2, 2))], layout="keras")
    filters = as_filters(kernel, described)
    np.testing.assert_array_equal(filters, [[[0, 4, 8]], [[1, 5, 9]], [[2, 6, 10]], [[3, 7, 11]]])


def test_filters_of_transposed_groups_are_what_an_impulse_makes() -> None:
    """Input channel c reaches the outputs of its group alone."""
    module = nn.ConvTranspose1d(4, 6, 3, groups=2, bias=False).double()
    tensor = info("up.weight", (4, 3, 3), layer="ConvTranspose1d", groups=2)
    weight = module.weight.detach().numpy()
    (described,) = describe([tensor], layout="torch")
    filters = as_filters(weight, described)
    assert filters.shape == (6, 2, 3)
    for channel in range(4):
        impulse = torch.zeros(1, 4, 1, dtype=torch.float64)
        impulse[0, channel] = 1
        output = module(impulse).detach().numpy()[0]
        group = slice(3 * (channel // 2), 3 * (channel // 2) + 3)
        np.testing.assert_array_equal(filters[group, channel % 2], output[group])


def test_filters_of_dense_layers_and_of_what_has_none() -> None:
    kernel, bias = signal(3, 2), signal(2)
    described = describe([info("fc/kernel", (3, 2)), info("fc/bias", (2,))], layout="keras")
    np.testing.assert_array_equal(as_filters(kernel, described[0]), kernel.T)
    with pytest.raises(InputError, match=r"tensor 'fc/bias' is a bias of shape \(2,\); it has no filters"):
        as_filters(bias, described[1])
    (head,) = describe([info("head.weight", (2,), layer="Linear")], layout="torch")
    with pytest.raises(InputError, match=r"is a dense of shape \(2,\)"):
        as_filters(bias, head)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("kind", "letters"), [(nn.LSTM, "ifgo"), (nn.GRU, "rzn")])
def test_gates(kind: type[nn.RNNBase], letters: str, layout: str) -> None:
    """Each gate is the same numbers whatever order and axis they are stacked along."""
    file = arrays_of(model(rec=rnn(kind, bidirectional=True)))
    made, described = converted(file, describe(file.tensors, layout="torch"), layout)
    same = {"g": "c", "n": "h"} if layout != "torch" else {}
    for each in described:
        parts, axes = split_gates(made.values(each.tensor), each)
        assert tuple(parts) == each.gates
        for index, letter in enumerate(letters):
            part = parts[same.get(letter, letter)]
            assert part.ndim == len(axes)
            rows = slice(4 * index, 4 * index + 4)
            if each.role in ("input", "recurrent"):
                word = {"input": "weight_ih", "recurrent": "weight_hh"}[each.role]
                ways = [file.arrays[f"rec.{word}_l0{way}"][rows] for way in ("", "_reverse")]
                expected = {"keras": ways[each.reverse].T, "onnx": np.stack(ways), "torch": ways[each.reverse]}[layout]
                np.testing.assert_array_equal(part, expected)
            elif layout == "onnx":
                ways = [
                    np.stack([file.arrays[f"rec.bias_{which}_l0{way}"][rows] for which in ("ih", "hh")])
                    for way in ("", "_reverse")
                ]
                np.testing.assert_array_equal(part, np.stack(ways))


@pytest.mark.parametrize(
    ("layout", "name", "shape", "axes"),
    [
        ("torch", "rec.weight_ih_l0", (12, 3), ("H", "in")),
        ("keras", "rec/kernel", (3, 12), ("in", "H")),
        ("keras", "rec/bias", (2, 12), ("2", "H")),
        ("onnx", "rec.R", (1, 12, 4), ("dirs", "H", "H")),
        ("onnx", "rec.B", (1, 24), ("dirs", "2", "H")),
    ],
)
def test_axes_of_gates(layout: str, name: str, shape: tuple[int, ...], axes: tuple[str, ...]) -> None:
    (described,) = describe([info(name, shape, layer="GRU")], layout=layout)
    parts, found = split_gates(np.zeros(shape), described)
    assert found == axes
    assert parts["z"].shape == tuple({"in": 3, "H": 4, "dirs": 1, "2": 2}[axis] for axis in axes)


def test_what_has_no_gates() -> None:
    plain, odd = describe([info("c.weight", (3, 3, 3)), info("l.weight_ih", (7, 3), layer="LSTM")], layout="torch")
    with pytest.raises(InputError, match=r"tensor 'c\.weight' is a conv1d without gates"):
        split_gates(np.zeros((3, 3, 3)), plain)
    with pytest.raises(InputError, match=r"tensor 'l\.weight_ih' has 7 rows, which are not 4 equal gates"):
        split_gates(np.zeros((7, 3)), odd)
