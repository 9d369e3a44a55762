"""One tensor looked at: matrices, filters, gates, responses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.signal
from torch import nn

from convtool.errors import InputError, UsageError
from convtool.jobs.inspection.listing import Listed, Listing, list_weights
from convtool.jobs.inspection.selection import (
    Selection,
    choose,
    has_filters,
    has_gates,
    has_responses,
    refuse_without_filters,
    responses,
    select_1d_filters,
    select_all,
    select_filters,
    select_gates,
)
from tests.helpers.weight_arrays import Arrays, arrays_of, model

Array = np.ndarray[Any, np.dtype[Any]]


def numbers(*shape: int) -> Array:
    return np.random.default_rng(3).normal(size=shape)


def listing(layout: str = "torch", **arrays: Any) -> Listing:
    return list_weights("m.pt", Arrays({name.replace("_", "."): value for name, value in arrays.items()}, layout))


def only(array: Any, name: str = "w", layout: str = "torch") -> Listed:
    file = Arrays({name: np.asarray(array)}, layout)
    return list_weights("m.pt", file).tensors[0]


def shown(selected: Selection) -> list[tuple[str, list[list[float]]]]:
    return [(title, values.tolist()) for title, values in selected.matrices()]


def test_a_keras_kernel_is_its_filters() -> None:
    kernel = numbers(3, 3, 1, 32)
    selected = select_filters(only(kernel, "conv/kernel", "keras"))
    assert selected.labels == [f"filter {index}" for index in range(32)]
    np.testing.assert_array_equal(selected.bank, kernel.transpose(3, 2, 0, 1))
    matrices = shown(selected)
    assert [title for title, _ in matrices] == list(selected.labels)
    assert all(values == kernel[:, :, 0, index].tolist() for index, (_, values) in enumerate(matrices))


def test_filters_of_several_inputs() -> None:
    kernel = numbers(5, 2, 3, 3)
    listed = only(kernel, "conv.weight")
    assert [title for title, _ in shown(select_filters(listed))][:3] == [
        "filter 0, in 0",
        "filter 0, in 1",
        "filter 1, in 0",
    ]
    one = select_filters(listed, (4,))
    np.testing.assert_array_equal(one.values, kernel[4])
    np.testing.assert_array_equal(one.bank, kernel[4:])
    assert (one.labels, [title for title, _ in shown(one)]) == (["filter 4"], ["in 0", "in 1"])
    single = select_filters(listed, (4, 1))
    assert (single.labels, shown(single)) == (["filter 4 in 1"], [("", kernel[4, 1].tolist())])
    np.testing.assert_array_equal(single.bank, kernel[4:, 1:])


def test_a_filter_of_one_input_is_a_matrix_or_a_row() -> None:
    plane, row = numbers(4, 1, 3, 2), numbers(4, 1, 7)
    assert shown(select_filters(only(plane, "conv.weight"), (2,))) == [("", plane[2, 0].tolist())]
    selected = select_filters(only(row, "conv.weight"), (2,))
    np.testing.assert_array_equal(selected.values, row[2, 0])
    assert shown(selected) == [("", [row[2, 0].tolist()])]


def test_volumes_are_slices() -> None:
    kernel = numbers(2, 1, 3, 2, 2)
    titles = [title for title, _ in shown(select_filters(only(kernel, "conv.weight")))]
    assert titles[:4] == ["filter 0, depth 0", "filter 0, depth 1", "filter 0, depth 2", "filter 1, depth 0"]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ((5,), "--filter 5: there are 5 filters, 0 to 4"),
        ((0, 2), "--filter 0,2: there are 2 inputs, 0 to 1"),
    ],
)
def test_filters_that_are_not_there(place: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        select_filters(only(numbers(5, 2, 3, 3), "conv.weight"), place)
    with pytest.raises(InputError, match="there is one input, 0"):
        select_filters(only(numbers(5, 1, 3, 3), "conv.weight"), (0, 1))


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4), (2, 1, 3, 4), (0, 3), (2, 0, 3)])
def test_a_tensor_as_it_is(shape: tuple[int, ...]) -> None:
    values = numbers(*shape)
    selected = select_all(only(values))
    np.testing.assert_array_equal(selected.values, values)
    matrices = list(selected.matrices())
    assert sum(matrix.size for _, matrix in matrices) == values.size
    assert all(matrix.ndim == 2 for _, matrix in matrices)
    assert selected.bank.size == values.size
    if len(shape) == 3 and values.size:
        assert [title for title, _ in matrices] == [f"axis0 {index}" for index in range(shape[0])]


def test_what_is_no_convolution_as_filters() -> None:
    matrix = numbers(2, 3)
    assert shown(select_filters(only(matrix))) == [("filter 0", matrix.tolist())]
    assert shown(select_filters(only(matrix), (0,))) == [("", matrix.tolist())]


@pytest.mark.parametrize("bias", [False, True])
def test_gates(bias: bool) -> None:
    file = arrays_of(model(rnn=nn.LSTM(3, 5)))
    name = "rnn.bias_ih_l0" if bias else "rnn.weight_ih_l0"
    listed = list_weights("m.pt", file).find(name)
    selected = select_gates(listed)
    assert selected.labels == ["gate i", "gate f", "gate g", "gate o"]
    np.testing.assert_array_equal(selected.values, file.arrays[name].reshape(4, 5, *([] if bias else [3])))
    np.testing.assert_array_equal(selected.bank.reshape(selected.values.shape), selected.values)
    assert (selected.bank.ndim, selected.bank.shape[:2]) == (4, (4, 1))
    assert [title for title, _ in selected.matrices()] == selected.labels
    with pytest.raises(InputError, match="without gates"):
        select_gates(only(numbers(3, 2, 5), "conv.weight"))


def test_the_only_fitting_tensor() -> None:
    many = listing(a_weight=numbers(3, 2, 5), b_weight=numbers(3, 2, 5), c_weight=numbers(3, 2))
    assert choose(many, "c.weight", has_filters, "filters").name == "c.weight"
    assert (
        choose(listing(a_weight=numbers(3, 2, 5), c_weight=numbers(3, 2)), None, has_filters, "filters").name
        == "a.weight"
    )
    assert choose(listing(c_weight=numbers(3, 2)), None, has_filters, "filters").name == "c.weight"
    with pytest.raises(
        UsageError, match=r"^there are 2 tensors with filters; choose one with --tensor: 'a.weight', 'b"
    ):
        choose(many, None, has_filters, "filters")
    with pytest.raises(UsageError, match="none of the tensors has gates; choose one with --tensor: 'a"):
        choose(many, None, has_gates, "gates")
    with pytest.raises(InputError, match="no tensor 'd' in it"):
        choose(many, "d", has_filters, "filters")
    with pytest.raises(InputError, match="there are no tensors in it"):
        choose(listing(), None, has_filters, "filters")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.bias", "tensor 'a.bias', bias 3, has no filters; 'a.weight' has"),
        ("f.bias", "tensor 'f.bias', bias 2, has no filters; there are filters in 'a.weight', 'b.weight'"),
        (
            "n.running_var",
            "tensor 'n.running_var', norm 4, has no filters; there are filters in 'a.weight', 'b.weight'",
        ),
        (
            "embed.weight",
            "tensor 'embed.weight', embedding 9x2, has no filters; there are filters in 'a.weight', 'b.weight'",
        ),
        ("r.bias_hh_l0", "tensor 'r.bias_hh_l0', gru 9, has no filters; --gates splits it"),
    ],
)
def test_kinds_without_filters(name: str, message: str) -> None:
    layers = {"a": nn.Conv1d(2, 3, 4), "b": nn.Conv2d(2, 3, 4), "f": nn.Linear(3, 2), "n": nn.BatchNorm1d(4)}
    module = model(**layers, embed=nn.Embedding(9, 2), r=nn.GRU(2, 3))
    found = list_weights("m.pt", arrays_of(module), to=None)
    with pytest.raises(InputError) as caught:
        refuse_without_filters(found, found.find(name))
    assert str(caught.value) == message


def test_other_kinds_may_be_filters() -> None:
    found = listing(a_weight=numbers(3, 2, 5), c_weight=numbers(3, 2), taps=numbers(5))
    for each in found.tensors:
        refuse_without_filters(found, each)
    alone = listing(c_weight=numbers(3, 2), c_bias=numbers(3))
    with pytest.raises(InputError, match=r"'c\.bias', bias 3, has no filters; nor has any other$"):
        refuse_without_filters(alone, alone.find("c.bias"))


def test_which_tensors_hold_what() -> None:
    found = list_weights("m.pt", arrays_of(model(a=nn.Conv1d(2, 3, 4), b=nn.Conv2d(2, 3, 4), c=nn.GRU(2, 3))))
    what = {
        each.name: (has_filters(each.described), has_responses(each.described), has_gates(each.described))
        for each in found.tensors
    }
    assert what["a.weight"] == (True, True, False)
    assert what["a.bias"] == (False, False, False)
    assert what["b.weight"] == (True, False, False)
    assert what["c.weight_hh_l0"] == (False, False, True)


@pytest.mark.parametrize("rate", [None, 16000])
@pytest.mark.parametrize("place", [(), (1,), (1, 0)])
def test_responses_are_those_of_the_taps(rate: int | None, place: tuple[int, ...]) -> None:
    kernel = numbers(9, 2, 3)
    selected = select_1d_filters(only(kernel, "conv/kernel", "keras"), place)
    frequency, magnitude, names = responses(selected, points=33, sample_rate=rate)
    bank = kernel.transpose(2, 1, 0)
    bank = bank[1:2, : 1 if len(place) == 2 else None] if place else bank
    np.testing.assert_allclose(frequency, np.linspace(0, (rate or 1) / 2, 33))
    for taps, levels in zip(bank.reshape(-1, 9), magnitude, strict=True):
        _, wanted = scipy.signal.freqz(taps, worN=frequency, fs=rate or 1)
        np.testing.assert_allclose(10 ** (levels / 20), abs(wanted), atol=1e-12)
    expected = {
        0: [f"filter {out} in {index}" for out in range(3) for index in range(2)],
        1: ["filter 1 in 0", "filter 1 in 1"],
        2: ["filter 1 in 0"],
    }
    assert names == expected[len(place)]


@pytest.mark.parametrize("shape", [(65,), (3, 65), (3, 1, 65)])
def test_a_low_pass_shows_as_one(shape: tuple[int, ...]) -> None:
    taps = np.broadcast_to(scipy.signal.firwin(65, 2000, fs=16000), shape)
    frequency, magnitude, names = responses(select_1d_filters(only(taps)), points=257, sample_rate=16000)
    assert names == [f"filter {index}" for index in range(taps.size // 65)]
    assert np.abs(magnitude[:, frequency < 1500]).max() < 0.1
    assert magnitude[:, frequency > 2500].max() < -50


def test_a_dense_layer_has_a_filter_for_each_output() -> None:
    weight = numbers(4, 3)
    selected = select_1d_filters(only(weight, "dense/kernel", "keras"))
    np.testing.assert_array_equal(selected.bank, weight.T[:, np.newaxis])


def test_what_has_no_response() -> None:
    for shape in ((), (2, 1, 3, 3)):
        with pytest.raises(InputError, match="holds no filters along one axis"):
            select_1d_filters(only(numbers(*shape), "conv.weight"))
    with pytest.raises(InputError, match="tensor 'w' is complex128; filters are of real numbers"):
        responses(select_1d_filters(only(numbers(3) + 1j)), points=3, sample_rate=None)
