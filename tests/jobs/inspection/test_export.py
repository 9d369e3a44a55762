"""Tensors and filters in files, and layers as the kernels that `convolve` takes."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from torch.nn import functional

from convtool.errors import InputError, OutputError, UsageError
from convtool.jobs.convolve import kernel
from convtool.jobs.convolve.kernel import load
from convtool.jobs.inspection.export import check_outputs, export, export_selection, kernel_options
from convtool.jobs.inspection.listing import Listed, list_weights
from convtool.jobs.inspection.selection import select_all, select_filters, select_gates
from convtool.ops import convolve
from convtool.signals.opening import Output
from tests.helpers.weight_arrays import Arrays

Array = np.ndarray[Any, np.dtype[Any]]
SIGNAL = torch.from_numpy(np.random.default_rng(7).normal(size=(6, 40)))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    load.cache_clear()
    yield
    load.cache_clear()


def numbers(*shape: int) -> Array:
    return np.random.default_rng(len(shape)).normal(size=shape)


def only(array: Array, name: str = "conv.weight", layout: str = "torch") -> Listed:
    return list_weights("m.pt", Arrays({name: array}, layout)).tensors[0]


# Files


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64, np.bool_, np.complex64])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4, 5), (0, 3)])
def test_npy_keeps_shape_and_dtype(dtype: Any, shape: tuple[int, ...]) -> None:
    values = (10 * numbers(*shape)).astype(dtype)
    export("a.npy", values)
    made = np.load("a.npy")
    assert made.dtype == dtype
    np.testing.assert_array_equal(made, values)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (np.array(1.5), "1.5\n"),
        (np.array([1, -2, 3]), "1,-2,3\n"),
        (np.array([[0.1, 2], [3, np.nan]], np.float32), "0.1,2\n3,nan\n"),
        (np.array([[True], [False]]), "1\n0\n"),
    ],
)
def test_text_has_rows_and_columns(values: Array, text: str) -> None:
    export("a.csv", values)
    assert Path("a.csv").read_text() == text


@pytest.mark.parametrize("shape", [(7,), (7, 3), (2, 9), (0,), (0, 3)])
def test_text_is_made_a_part_at_a_time(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's numbers and their texts take fifty times the room of the values."""
    values = np.arange(math.prod(shape)).reshape(shape)
    export("whole.csv", values)
    sizes: list[int] = []
    encode = Output.encode
    monkeypatch.setattr(Output, "encode", lambda self, part: sizes.append(part.size) or encode(self, part))
    monkeypatch.setattr("convtool.jobs.inspection.export.BLOCK_SAMPLES", 6)
    export("parts.csv", values)
    assert Path("parts.csv").read_bytes() == Path("whole.csv").read_bytes()
    assert sum(sizes) == values.size
    assert all(size < 12 for size in sizes)


def test_text_with_names_on_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    export(None, np.array([[0, -6.5], [0.5, -np.inf]]), ["frequency", "filter 0"])
    assert capfd.readouterr().out == "frequency,filter 0\n0,-6.5\n0.5,-inf\n"


def test_what_text_can_not_hold() -> None:
    with pytest.raises(InputError, match="float64 of shape 1x2x3 does not fit rows and columns of text; write"):
        export("a.csv", np.zeros((1, 2, 3)))
    with pytest.raises(InputError, match="complex128 of shape scalar does not fit"):
        export("a.csv", np.array(1j))
    assert not Path("a.csv").exists()


def test_a_file_that_can_not_be_written_leaves_nothing() -> None:
    Path("no").touch()
    for name in ("no/a.npy", "no/a.csv"):
        with pytest.raises(OutputError, match="no/a"):
            export(name, np.zeros(3))
    assert os.listdir() == ["no"]


def test_outputs_are_checked_before_any_work() -> None:
    Path("m.pt").touch()
    Path("there.csv").touch()
    check_outputs(["m.pt"], "new.csv", [("new.png", "--plot"), ("new.sarif", "--sarif")], overwrite=False)
    check_outputs(["m.pt"], "there.csv", [], overwrite=True)
    check_outputs(["m.pt"], None, [], overwrite=False)
    for output, plot, message in (
        ("a.wav", None, "-o a.wav: tensors are exported as .npy, .csv, .tsv or .txt"),
        ("there.csv", None, "there.csv exists"),
        (None, "a.gif", "a picture can be png, svg, pdf, not gif"),
        (None, "there.csv", "a picture can be"),
        ("a.csv", "./a.csv", "a picture can be"),
    ):
        with pytest.raises(UsageError, match=message):
            check_outputs(["m.pt"], output, [(plot, "--plot")] if plot else [], overwrite=False)
    Path("m.npy").symlink_to("m.pt")
    with pytest.raises(UsageError, match=r"the output m\.npy is the input m\.pt"):
        check_outputs(["m.pt"], "m.npy", [], overwrite=True)


# Kernels


def applied(word: str, signal: torch.Tensor) -> torch.Tensor:
    """What `convolve -k WORD --correlate --mode valid` makes of `signal`."""
    taps = torch.from_numpy(load(word).taps)
    return convolve(signal, taps[0] if taps.dim() == 2 and len(taps) == 1 else taps, mode="valid", correlate=True)


@pytest.mark.parametrize("layout", ["torch", "keras"])
@pytest.mark.parametrize("inputs", [1, 3])
def test_a_layer_as_text_is_a_kernel(layout: str, inputs: int) -> None:
    weight = numbers(4, inputs, 5)
    stored, name = (weight, "conv.weight") if layout == "torch" else (weight.transpose(2, 1, 0), "conv/kernel")
    selected = select_filters(only(stored, name, layout))
    export_selection("k.csv", selected)
    assert kernel_options(selected, "k.csv") == (" --matrix" if inputs > 1 else "")
    taps = load("k.csv").taps
    assert taps.shape == (4 * inputs, 5)
    made = taps.reshape(inputs, 4, 5).transpose(1, 0, 2)  # what --matrix makes of them
    np.testing.assert_array_equal(made, weight)
    header = Path("k.csv").read_text().splitlines()[0].split(",")
    assert header[1] == ("filter 1" if inputs == 1 else "filter 1 in 0")


def test_one_filter_as_a_kernel() -> None:
    weight = numbers(4, 3, 5)
    for place, shape in (((2,), (3, 5)), ((2, 1), (5,))):
        selected = select_filters(only(weight), place)
        stem = f"k{len(place)}"
        for name in (f"{stem}.npy", f"{stem}.csv"):
            export_selection(name, selected)
            assert kernel_options(selected, name) == (" --matrix" if len(place) == 1 else None)
        assert np.load(f"{stem}.npy").shape == shape
        np.testing.assert_array_equal(load(f"{stem}.csv").taps, np.atleast_2d(np.load(f"{stem}.npy")))
    mono = select_filters(only(weight[:, :1]), (2,))
    export_selection("mono.csv", mono)
    assert kernel_options(mono, "mono.csv") == ""
    assert load("mono.csv").taps.tolist() == [weight[2, 0].tolist()]
    assert Path("mono.csv").read_text().count("\n") == 1


def test_a_tensor_as_an_array() -> None:
    weight = numbers(4, 3, 5)
    selected = select_all(only(weight))
    export_selection("k.npy", selected)
    assert kernel_options(selected, "k.npy") == ""
    np.testing.assert_array_equal(load("k.npy").taps, weight)
    keras = select_all(only(weight.transpose(2, 1, 0), "conv/kernel", "keras"))
    export_selection("keras.npy", keras)
    assert np.load("keras.npy").shape == (5, 3, 4)
    assert kernel_options(keras, "keras.npy") is None


def test_what_is_no_kernel() -> None:
    plane = select_all(only(numbers(4, 3, 2, 2)))
    assert kernel_options(plane, "k.npy") is None
    gates = select_gates(only(numbers(8, 2), "lstm.weight_hh_l0"))
    assert kernel_options(gates, "k.npy") is None
    export_selection("g.npy", gates)
    assert np.load("g.npy").shape == (4, 2, 2)


def test_a_depthwise_layer_as_text_is_a_kernel() -> None:
    kernel_of_keras = numbers(3, 6, 1)
    selected = select_filters(only(kernel_of_keras, "dw/depthwise_kernel", "keras"))
    export_selection("k.csv", selected)
    assert (kernel_options(selected, "k.csv"), kernel_options(selected, "k.npy")) == ("", None)
    wanted = functional.conv1d(SIGNAL, torch.from_numpy(kernel_of_keras).permute(1, 2, 0), groups=6)
    torch.testing.assert_close(applied("k.csv", SIGNAL), wanted)
    assert kernel_options(select_filters(only(kernel_of_keras, "dw/depthwise_kernel", "keras"), (2,)), "k.csv") is None


def save_torch(weight: Array) -> str:
    torch.save({"conv.weight": torch.from_numpy(weight)}, "m.pt")
    return "m.pt::conv.weight"


def save_keras(weight: Array) -> str:
    import h5py

    with h5py.File("m.weights.h5", "w") as file:
        file["layers/conv1d/vars/0"] = weight.transpose(2, 1, 0)
        file["layers/conv1d/vars/1"] = np.zeros(len(weight))
    return "m.weights.h5::conv1d/kernel"


def save_onnx(weight: Array, group: int = 1) -> str:
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=group)
    graph = helper.make_graph([node], "g", [], [], [numpy_helper.from_array(weight, "w")])
    onnx.save(helper.make_model(graph), "m.onnx")
    return "m.onnx::w"


@pytest.mark.parametrize("save", [save_torch, save_keras, save_onnx])
@pytest.mark.parametrize("inputs", [1, 6])
def test_a_layer_in_its_file_is_a_kernel(save: Callable[[Array], str], inputs: int) -> None:
    weight = numbers(4, inputs, 5)
    taps = load(save(weight)).taps
    np.testing.assert_array_equal(taps, weight)
    assert taps.dtype == np.float64


@pytest.mark.parametrize(("outputs", "groups"), [(4, 2), (6, 6), (12, 6), (6, 3), (3, 3)])
def test_groups_stay_apart(outputs: int, groups: int) -> None:
    weight = numbers(outputs, 6 // groups, 5)
    word = save_onnx(weight, groups)
    assert load(word).taps.shape == ((6, 5) if outputs == groups == 6 else (outputs, 6, 5))
    wanted = functional.conv1d(SIGNAL, torch.from_numpy(weight), groups=groups)
    torch.testing.assert_close(applied(word, SIGNAL), wanted)


def test_groups_that_would_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "MOST_TAPS", 359)
    with pytest.raises(InputError, match=r"with its 6 groups apart it has 360 taps, .* the limit is 359 in all"):
        load(save_onnx(numbers(12, 1, 5), 6))


def test_a_transposed_layer_is_a_kernel_too() -> None:
    weight = numbers(6, 2, 5)  # of torch: in, out
    torch.save({"deconv.weight": torch.from_numpy(weight), "deconv.bias": torch.zeros(2)}, "m.pt")
    taps = torch.from_numpy(load("m.pt::deconv.weight").taps)
    wanted = functional.conv_transpose1d(SIGNAL, torch.from_numpy(weight))
    torch.testing.assert_close(convolve(SIGNAL, taps), wanted)


def test_tensors_that_are_no_kernels() -> None:
    tensors = {"a": torch.zeros(3) + 1j, "b": torch.ones(1, 1, 2, 2), "c": torch.tensor(1.0), "d": torch.zeros(0)}
    torch.save({**tensors, "fir": torch.arange(3)}, "m.pt")
    assert load("m.pt::fir").taps.tolist() == [[0, 1, 2]]
    for name, message in (
        ("a", "kernel m.pt::a: the array holds complex numbers; expected real numbers"),
        ("b", r"the array has shape \(1, 1, 2, 2\); expected \(T,\), \(C, T\) or"),
        ("d", r"array 'd' has shape \(0,\): there are 0 samples in it"),
        ("e", "kernel m.pt::e: there is no tensor 'e' in it; there is 'a', 'b'"),
    ):
        with pytest.raises(InputError, match=message):
            load(f"m.pt::{name}")


def test_a_weight_file_without_a_name() -> None:
    torch.save({"conv.weight": torch.ones(1, 1, 3), "conv.bias": torch.ones(1)}, "m.pt")
    with pytest.raises(InputError, match=r"kernel m\.pt: it holds 2 arrays; name one, FILE::NAME: 'conv\.weight', "):
        load("m.pt")
    np.save("text.npy", np.array(["a"]))
    np.save("deep.npy", np.zeros((1, 1, 1, 1, 3)))
    Path("none.csv").write_text("a,b\n1,x\n")
    for name in ("text.npy", "deep.npy", "none.csv"):
        with pytest.raises(InputError) as caught:
            load(name)
        assert "FILE::NAME" not in str(caught.value)
