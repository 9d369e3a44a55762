"""`convtool inspect-weights` as a person calls it."""

from __future__ import annotations

import json
import os
import pickle
import pty
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import h5py
import numpy as np
import onnx
import pytest
import scipy.signal
import torch
from onnx import helper, numpy_helper
from safetensors.torch import load_file, save_file
from torch import nn

from convtool.cli.show import tables as render
from convtool.cli.show import tensors as weight_views
from convtool.cli.show import weights as weight_tables
from tests.conftest import PROGRAM, Run
from tests.helpers.checkpoints import gguf, save_parts

Convtool = Callable[..., Run]
Array = np.ndarray[Any, np.dtype[Any]]

KERNEL = np.random.default_rng(4).normal(size=(3, 3, 1, 32)).astype(np.float32)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    return


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Standard output as a terminal of so many columns, without colours."""

    def become(width: int) -> None:
        for module in (weight_tables, weight_views):
            monkeypatch.setattr(module, "terminal_width", lambda: width)

    return become


def keras_file(path: str = "m.weights.h5") -> str:
    """A layer of 32 filters over one input as Keras writes it."""
    with h5py.File(path, "w") as file:
        for index, values in enumerate((KERNEL, np.zeros(32, np.float32))):
            file[f"layers/conv2d/vars/{index}"] = values
    return path


def torch_file(path: str = "m.pt", **changes: torch.Tensor) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    module = nn.ModuleDict({"conv": nn.Conv1d(2, 3, 5), "rec": nn.LSTM(3, 2), "fc": nn.Linear(2, 1)})
    state = {**module.state_dict(), **changes}
    torch.save(state, path)
    return state


def parsed(text: str) -> dict[str, Array]:
    """The matrices that were printed, by their titles."""
    found: dict[str, list[list[float]]] = {}
    title = ""
    for line in text.splitlines():
        if line.startswith(("filter", "gate")):
            title = line
        elif line:
            found.setdefault(title, []).append([float(word) for word in line.split()])
    return {name: np.array(rows) for name, rows in found.items()}


def png_size(path: str) -> tuple[int, int]:
    head = Path(path).read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


# The listing


def test_the_table(convtool: Convtool) -> None:
    torch_file()
    run = convtool("inspect-weights", "m.pt")
    assert (run.code, run.err) == (0, "")
    lines = run.out.splitlines()
    assert lines[0].split() == ["name", "kind", "shape", "axes", "dtype", "parameters", "bytes"]
    assert lines[1].split() == ["conv.weight", "conv1d", "3x2x5", "out,in,K", "float32", "30", "120", "B"]
    assert lines[3].split() == ["rec.weight_ih_l0", "lstm", "8x3", "4H,in", "float32", "24", "96", "B"]
    assert lines[-1] == "torch, 8 tensors, 92 parameters, 368 B"
    assert sum(int(re.split(r" {2,}", line)[-2]) for line in lines[1:-1]) == 92


def test_the_totals_have_human_units(convtool: Convtool) -> None:
    save_file({"w": torch.zeros(512, 1024)}, "m.safetensors", metadata={"format": "pt"})
    run = convtool("inspect-weights", "m.safetensors")
    assert run.out.splitlines()[-1] == "safetensors, 1 tensor, 524288 parameters (524 k), 2 MiB, format pt"


def test_statistics_as_columns(convtool: Convtool) -> None:
    np.savez("m.npz", a=np.array([0.0, 1, np.nan, -np.inf, 5]), b=np.array([1, 2]), c=np.zeros(0), d=np.full(3, np.nan))
    lines = convtool("inspect-weights", "m.npz", "--stats").out.splitlines()
    assert lines[0].split()[7:] == ["min", "max", "mean", "std", "zeros", "nan", "infinite"]
    assert lines[1].split()[-7:] == ["0", "5", "2", "2.16025", "1", "1", "1"]
    assert lines[2].split()[-7:] == ["1", "2", "1.5", "0.5", "0", "0", "0"]
    assert [line.split()[-5:] for line in lines[3:5]] == [["0", "B", "0", "0", "0"], ["24", "B", "0", "3", "0"]]


def test_statistics_of_complex_numbers_say_that_they_are_of_magnitudes(convtool: Convtool) -> None:
    np.savez("m.npz", z=np.array([3 + 4j, 0]), x=np.array([1.0, 3]))
    rows = convtool("inspect-weights", "m.npz", "--stats").out.splitlines()[1:3]
    assert rows[0].endswith("  0    5   2.5  2.5      1    0         0  min, max, mean and std of |z|")
    assert rows[1].endswith("  1    3     2    1      0    0         0")
    assert "|z|" not in convtool("inspect-weights", "m.npz").out
    tensors = json.loads(convtool("inspect-weights", "m.npz", "--stats", "--json").out)["tensors"]
    assert [tensor["stats"].get("of") for tensor in tensors] == ["magnitude", None]


def test_a_tensor_is_named_as_it_is_shown(convtool: Convtool) -> None:
    save_file({"a\tb\x1b": torch.arange(3.0)}, "m.safetensors")
    shown = convtool("inspect-weights", "m.safetensors").out.splitlines()[1].split()[0]
    assert shown == "a\\tb\\x1b"
    for name in (shown, "a\tb\x1b"):
        assert convtool("inspect-weights", "m.safetensors", "--tensor", name).out == "0  1  2\n"
    assert convtool("convolve", "1,2", "-k", f"m.safetensors::{shown}").out == "0,1,4,4\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--filter 3", "--filter 3: there are 3 filters, 0 to 2"),
        ("--filter 0,2", "--filter 0,2: there are 2 inputs, 0 to 1"),
        ("--filter 3 --plot p.png", "--filter 3: there are 3 filters, 0 to 2"),
        ("--filter 0 --tensor conv.bias", "tensor 'conv.bias', bias 3, has no filters; 'conv.weight' has"),
        ("--response --tensor conv.bias", "tensor 'conv.bias', bias 3, has no filters; 'conv.weight' has"),
        (
            "--filter 0 --tensor rec.weight_ih_l0",
            "tensor 'rec.weight_ih_l0', lstm 8x3, has no filters; --gates splits it",
        ),
    ],
)
def test_filters_that_there_are_not(options: str, message: str, convtool: Convtool) -> None:
    torch_file()
    run = convtool("inspect-weights", "m.pt", *options.split())
    assert (run.code, run.out, run.err) == (1, "", f"Error: m.pt: {message}\n")


def test_infinities_differ_at_any_tolerance(convtool: Convtool) -> None:
    np.savez("a.npz", w=np.array([np.inf, np.inf, np.nan, np.nan, 1e308]))
    np.savez("b.npz", w=np.array([np.inf, -np.inf, np.nan, 0, -1e308]))
    run = convtool("inspect-weights", "a.npz", "--diff", "b.npz", "--tolerance", "1e308")
    assert (run.code, run.out) == (3, "w: 3 of 5 values differ, one of them is not finite, at [1]\n")


def test_names_and_flags_are_escaped(convtool: Convtool) -> None:
    with h5py.File("m.h5", "w") as file:
        file["\x1b[31mred\n"] = np.zeros(2)
        file["[bold]日本語"] = np.zeros(2)
        file.create_dataset("ext", (2,), "f4", external=[("/etc/\x1b[0m", 0, 8)])
    run = convtool("inspect-weights", "m.h5")
    assert run.code == 0
    assert "\x1b" not in run.out + run.err
    lines = run.out.splitlines()
    assert len(lines) == 5
    assert any(line.startswith("\\x1b[31mred\\n  ") for line in lines)
    assert any(line.startswith("[bold]日本語   tensor") for line in lines)
    (flagged,) = (line for line in lines if line.startswith("ext "))
    assert "another file" in flagged


def test_several_files_one_of_them_bad(convtool: Convtool) -> None:
    torch_file("a.pt")
    Path("b.pt").write_bytes(b"")
    np.save("c.npy", np.zeros(3))
    run = convtool("inspect-weights", "a.pt", "b.pt", "c.npy")
    assert (run.code, run.err) == (1, "Error: b.pt: the file is empty\n")
    assert [line for line in run.out.splitlines() if line.endswith(":")] == ["a.pt:", "c.npy:"]
    run = convtool("inspect-weights", "--json", "*.npy", "a.p?")
    assert run.code == 0
    assert [json.loads(line)["file"] for line in run.out.splitlines()] == ["c.npy", "a.pt"]
    run = convtool("inspect-weights", "x*.npy")
    assert (run.code, run.err) == (1, "Error: x*.npy: no such file\n")
    Path("a.pt").rename("[a].pt")
    assert convtool("inspect-weights", "[a].pt").code == 0


def test_a_failure_that_nobody_foresaw(convtool: Convtool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch_file("a.pt")
    np.save("b.npy", np.zeros(3))

    def fail(path: str) -> None:
        raise ValueError("odd\nthing")

    monkeypatch.setattr("convtool.arrays.torch.archive.TorchZipReader", fail)
    run = convtool("inspect-weights", "a.pt", "b.npy")
    assert (run.code, run.err.count("\n"), "odd" in run.err) == (1, 1, True)
    assert run.out.startswith("b.npy:\n")
    run = convtool("inspect-weights", "a.pt", "--debug")
    assert (run.code, "Traceback" in run.err) == (1, True)


def test_json(convtool: Convtool) -> None:
    torch_file()
    run = convtool("inspect-weights", "m.pt", "--json", "--stats")
    found = json.loads(run.out)
    assert list(found)[:5] == ["file", "format", "tensors", "parameters", "bytes"]
    keys = ["name", "kind", "shape", "axes", "dtype", "parameters", "bytes", "stats"]
    assert list(found["tensors"][0]) == keys
    assert "stats" not in json.loads(convtool("inspect-weights", "m.pt", "--json").out)["tensors"][0]


def test_one_tensor_of_the_listing(convtool: Convtool) -> None:
    torch_file()
    run = convtool("inspect-weights", "m.pt", "--tensor", "fc.bias", "--stats")
    assert [line.split()[0] for line in run.out.splitlines()] == ["name", "fc.bias", "torch,"]
    run = convtool("inspect-weights", "m.pt", "--tensor", "fc.bias", "--json")
    assert [tensor["name"] for tensor in json.loads(run.out)["tensors"]] == ["fc.bias"]
    run = convtool("inspect-weights", "m.pt", "--tensor", "fc", "--check")
    assert (run.code, run.err) == (1, "Error: m.pt: there is no tensor 'fc' in it; there is 'fc.weight', 'fc.bias'\n")


def test_another_framework(convtool: Convtool) -> None:
    path = keras_file()
    assert "conv2d/kernel  conv2d  3x3x1x32  H,W,in,out" in convtool("inspect-weights", path).out
    assert "conv2d.weight  conv2d  32x1x3x3  out,in,H,W" in convtool("inspect-weights", path, "--as", "torch").out


# Checks


def test_check(convtool: Convtool) -> None:
    state = torch_file()
    run = convtool("inspect-weights", "m.pt", "--check")
    assert (run.code, run.out, run.err) == (
        0,
        "",
        "m.pt: 8 tensors, every value is finite, and it wants to call nothing\n",
    )
    state["conv.weight"][0, 0, 0] = torch.nan
    state["fc.bias"][0] = -torch.inf
    torch.save(state, "bad.pt")
    run = convtool("inspect-weights", "m.pt", "bad.pt", "--check", "-q")
    assert (run.code, run.out) == (3, "")
    assert run.err == (
        "Error: bad.pt: --check: of 8 tensors 2 hold what is not finite: "
        "conv.weight (1 NaN, 0 infinite), fc.bias (0 NaN, 1 infinite)\n"
    )
    run = convtool("inspect-weights", "bad.pt", "--check", "--stats")
    assert (run.code, run.out.splitlines()[0].split()[-1]) == (3, "infinite")


def test_damage_that_only_the_values_show(convtool: Convtool) -> None:
    np.savez("m.npz", good=np.ones(3), bad=np.full(1000, 7.0))
    data = bytearray(Path("m.npz").read_bytes())
    data[data.index(np.full(10, 7.0).tobytes()) + 3] ^= 1
    Path("m.npz").write_bytes(data)
    assert convtool("inspect-weights", "m.npz").code == 0
    for options in (["--check"], ["--stats"], ["--stats", "--json"]):
        run = convtool("inspect-weights", "m.npz", *options)
        assert run.code == 1
        assert run.err.splitlines()[-1] == "Error: m.npz: 1 of 2 tensors can't be read"
        assert "bad" in run.err.splitlines()[0]
    assert "stats" not in json.loads(run.out)["tensors"][1]


def quantised_file(path: str, *, whole: int = 2, first: float = 1) -> None:
    """A GGUF file of a quantised tensor and a plain one; the bytes of the former are all `whole`."""
    plain = np.array([first, 2], np.float32)
    Path(path).write_bytes(gguf({"q.weight": (8, (4, 32), bytes([whole] * 136)), "norm.weight": plain}))


def test_quantised_tensors_are_no_damage(convtool: Convtool) -> None:
    quantised_file("q.gguf")
    run = convtool("inspect-weights", "q.gguf", "--stats", "--json")
    assert (run.code, run.err.count("\n")) == (0, 1)
    assert run.err.startswith("Warning: q.gguf: quantised in blocks: 'Q8_0'; the values of these are not read: ")
    assert [each.get("stats", {}).get("max") for each in json.loads(run.out)["tensors"]] == [None, 2.0]
    run = convtool("inspect-weights", "q.gguf", "--stats", "--tensor", "q.weight", "-q")
    assert run.code == 1
    assert run.err.splitlines() == [
        "Error: q.gguf: the values of 1 tensor of 'Q8_0' are not read",
        "Error: q.gguf: 1 of 1 tensor can't be read",
    ]


def test_quantised_tensors_are_checked_by_their_scales(convtool: Convtool) -> None:
    quantised_file("q.gguf")
    for options in ([], ["--as", "keras"]):
        run = convtool("inspect-weights", "q.gguf", "--check", *options)
        told = (
            "q.gguf: 2 tensors (1 by the scales of their blocks), every value is finite, and it wants to call nothing"
        )
        assert (run.code, run.err.splitlines()[1:]) == (0, [told])
    quantised_file("n.gguf", whole=0x7F)
    run = convtool("inspect-weights", "n.gguf", "--check", "--sarif", "n.sarif", "-q")
    told = "of 2 tensors 1 holds what is not finite: scales of q.weight (4 NaN, 0 infinite)"
    assert (run.code, run.err) == (3, f"Error: n.gguf: --check: {told}\n")
    rules = [each["ruleId"] for each in json.loads(Path("n.sarif").read_text())["runs"][0]["results"]]
    assert rules == ["not-finite"]
    run = convtool("inspect-weights", "n.gguf", "--check", "--tensor", "norm.weight", "-q")
    assert (run.code, run.err) == (0, "")
    Path("new.gguf").write_bytes(gguf({"w": (99, (2,), b"")}))
    run = convtool("inspect-weights", "new.gguf", "--check", "-q")
    assert run.code == 1
    assert run.err.splitlines() == [
        "Error: new.gguf: tensor 'w': of the type 99, which is not known",
        "Error: new.gguf: 1 of 1 tensor can't be read",
    ]


def test_quantised_tensors_are_compared_byte_by_byte(convtool: Convtool) -> None:
    quantised_file("a.gguf")
    quantised_file("b.gguf", whole=3)
    assert convtool("inspect-weights", "a.gguf", "--diff", "a.gguf").code == 0
    for options in ([], ["--as", "torch"]):
        run = convtool("inspect-weights", "a.gguf", "--diff", "b.gguf", *options)
        assert (run.code, run.out) == (3, "q.weight: 136 of its 136 bytes differ\n")
    run = convtool("inspect-weights", "a.gguf", "--diff", "b.gguf", "--as", "keras")
    assert "q/kernel: can't be compared: tensor 'q/kernel': quantised" in run.out
    save_file({"q.weight": torch.ones(4, 32), "norm.weight": torch.tensor([1.0, 2.0])}, "p.safetensors")
    run = convtool("inspect-weights", "a.gguf", "--diff", "p.safetensors")
    assert (run.code, run.out) == (3, "q.weight: Q8_0 against float32\n")


def test_a_file_without_tensors_is_no_empty_table_alone(convtool: Convtool) -> None:
    Path("plain.pkl").write_bytes(pickle.dumps({"w": np.ones(3)}, protocol=4))
    torch.save({"epoch": 3}, "none.pt")
    np.savez("none.npz")
    run = convtool("inspect-weights", "none.pt", "--tensor", "w")
    assert (run.code, run.err) == (1, "Error: none.pt: there is no tensor 'w' in it; there are none at all\n")
    for path in ("plain.pkl", "none.pt", "none.npz"):
        for options in ([], ["--stats"], ["--json"]):
            run = convtool("inspect-weights", path, *options)
            assert (run.code, run.err.splitlines()[-1]) == (1, f"Error: {path}: there are no tensors in it")
        run = convtool("inspect-weights", path, "-o", "out.npz", "-q")
        assert (run.code, run.err) == (1, f"Error: {path}: there are no tensors in it\n")
    assert convtool("inspect-weights", "none.pt", "--check").code == 1
    run = convtool("inspect-weights", "plain.pkl", "--check", "-q")
    assert run.code == 3
    assert "it wants to call numpy" in run.err


def test_a_file_of_which_nothing_can_be_read_is_a_failed_input(convtool: Convtool) -> None:
    np.savez("o.npz", o=np.array([None]))
    for options in ([], ["--json"]):
        run = convtool("inspect-weights", "o.npz", *options)
        assert (run.code, run.err) == (1, "Error: o.npz: nothing in it can be read\n")
        assert "holds pickled objects, which are refused" in run.out
    np.savez("two.npz", o=np.array([None]), w=np.ones(3))
    assert convtool("inspect-weights", "two.npz").code == 0


def test_a_plain_pickle_says_what_to_do(convtool: Convtool) -> None:
    Path("plain.pkl").write_bytes(pickle.dumps({"epoch": 1}, protocol=4))
    run = convtool("inspect-weights", "plain.pkl")
    told = "which torch.save did not write: NumPy's arrays in it are not read; numpy.savez writes them as NPZ"
    assert (run.code, run.err.splitlines()[0]) == (1, f"Warning: plain.pkl: it is a plain pickle, {told}")


def test_a_conversion_says_what_it_takes_for_granted(convtool: Convtool) -> None:
    save_file({"mono.weight": torch.ones(4, 1, 3), "b.dw.weight": torch.ones(4, 1, 3)}, "m.safetensors")
    told = "taken for convolutions over one channel, since nothing says they are depthwise: 'mono/kernel'"
    for options in ([], ["-o", "k.safetensors"]):
        run = convtool("inspect-weights", "m.safetensors", "--as", "keras", *options)
        assert (run.code, run.err) == (0, f"Warning: m.safetensors: {told}\n")
    assert load_file("k.safetensors")["mono/kernel"].shape == (3, 1, 4)
    assert convtool("inspect-weights", "m.safetensors", "--as", "onnx").err == ""


def test_a_conversion_says_what_does_not_come_back(convtool: Convtool) -> None:
    module = nn.Module()
    module.lstm, module.gru, module.rnn = nn.LSTM(2, 3, bidirectional=True), nn.GRU(2, 3), nn.RNN(2, 3, bias=False)
    save_file(module.state_dict(), "m.safetensors", {"format": "pt", "rate": "16000"})
    summed = "'lstm/forward_lstm/bias', 'lstm/backward_lstm/bias'"
    told = f"Warning: m.safetensors: two biases are added, as Keras keeps their sum alone: {summed}\n"
    run = convtool("inspect-weights", "m.safetensors", "--as", "keras")
    assert (run.code, run.err) == (0, told)
    run = convtool("inspect-weights", "m.safetensors", "--as", "keras", "-o", "k.npz", "-v")
    assert (run.code, run.err) == (0, f"{told}k.npz: without what the file says of itself: 'rate'\n")
    run = convtool("inspect-weights", "m.safetensors", "--as", "onnx", "-o", "o.npz")
    assert run.err == "Warning: m.safetensors: no tensor tells that linear_before_reset is 1: 'gru'\n"
    run = convtool("inspect-weights", "o.npz", "--from", "onnx", "--as", "torch", "-o", "o.safetensors")
    told = "taken to reset after the recurrent product, as torch does, since nothing says it: 'gru'"
    assert (run.code, run.err) == (0, f"Warning: o.npz: {told}\n")
    came_back = load_file("o.safetensors")
    assert all(torch.equal(came_back[name], value) for name, value in module.state_dict().items())
    assert convtool("inspect-weights", "k.npz", "--from", "keras", "--as", "torch", "-o", "back.npz").err == ""
    with np.load("k.npz") as keras, np.load("back.npz") as back:
        zero = {name for name in back if "lstm" in name and not back[name].any()}
        assert keras["gru/bias"].shape == (2, 9)
    assert zero == {"lstm.bias_hh_l0", "lstm.bias_hh_l0_reverse"}


def test_shared_numbers_are_written_each_time(convtool: Convtool) -> None:
    embedding = torch.ones(5, 4)
    torch.save({"emb.weight": embedding, "out.weight": embedding}, "m.pt")
    run = convtool("inspect-weights", "m.pt", "-o", "m.safetensors")
    assert (run.code, run.err) == (0, "m.safetensors: in full, though they share the numbers of others: 'out.weight'\n")
    assert load_file("m.safetensors")["out.weight"].shape == (5, 4)


def test_what_is_no_part_of_a_layer_is_left_and_told(convtool: Convtool) -> None:
    pos, fc = np.ones((10, 8)), np.ones((3, 8))
    np.savez("m.npz", **{"pos": pos, "fc.weight": fc})
    told = "left as stored, since nothing tells how keras would have them: 1 tensor, 'pos'"
    options = ["--from", "torch", "--as", "keras"]
    for more in (["--json"], ["-o", "k.npz"]):
        run = convtool("inspect-weights", "m.npz", *options, *more)
        assert (run.code, run.err) == (0, f"Warning: m.npz: {told}\n")
    with np.load("k.npz") as made:
        assert (made["pos"].shape, made["fc/kernel"].shape) == ((10, 8), (8, 3))
    run = convtool("inspect-weights", "m.npz", *options, "--tensor", "pos", "-o", "pos.npy")
    assert (run.code, run.err, np.load("pos.npy").shape) == (0, "", (8, 10))
    torch_file(pos=torch.ones(10, 8))
    run = convtool("inspect-weights", "m.pt", "--as", "keras", "--tensor", "pos")
    assert (run.code, run.err) == (0, f"Warning: m.pt: {told}\n")
    assert convtool("inspect-weights", "m.pt", "--as", "keras", "--tensor", "conv/kernel").err == ""
    np.save("bank.npy", np.ones((2, 1, 5)))
    run = convtool("inspect-weights", "bank.npy", "--as", "keras", "--response", "--points", "2")
    told = "not converted, since --from does not say their layout: 1 tensor, 'bank'"
    assert (run.code, run.err) == (0, f"Warning: bank.npy: {told}\n")


def test_keys_that_lead_to_one_name_are_told(convtool: Convtool) -> None:
    torch.save({"a": {"b": torch.ones(2)}, "a.b": torch.zeros(2)}, "m.pt")
    told = "Warning: m.pt: keys that others have too, told apart by a number: 'a.b (2)'\n"
    assert convtool("inspect-weights", "m.pt").err == told
    assert convtool("inspect-weights", "m.pt", "-o", "m.npz").err == told
    assert list(np.load("m.npz")) == ["a.b", "a.b (2)"]


def test_text_is_listed_and_has_no_numbers(convtool: Convtool) -> None:
    assert convtool("pad-batch", "4,5", "1,2,3", "-o", "b.npz").code == 0
    run = convtool("inspect-weights", "b.npz", "--stats", "--json")
    assert (run.code, run.err) == (0, "")
    found = {each["name"]: each for each in json.loads(run.out)["tensors"]}
    assert found["lengths"]["stats"]["max"] == 3
    for name in ("names", "manifest"):
        assert (found[name]["dtype"], found[name]["parameters"], "stats" in found[name]) == ("text", 0, False)
    run = convtool("inspect-weights", "b.npz", "--check")
    assert (run.code, run.err) == (0, "b.npz: 3 tensors, every value is finite, and it wants to call nothing\n")
    run = convtool("inspect-weights", "b.npz", "--diff", "b.npz")
    assert (run.code, run.out) == (0, "")
    assert run.err.splitlines()[0] == "text is not compared: names, manifest"
    run = convtool("inspect-weights", "b.npz", "--tensor", "names")
    assert (run.code, run.err) == (1, "Error: b.npz: tensor 'names': holds text; expected numbers\n")


def test_notes_are_told_unless_quiet(convtool: Convtool) -> None:
    with h5py.File("m.h5", "w") as file:
        file["w"] = np.ones(2)
        file["lost"] = h5py.SoftLink("/nowhere\n")
    run = convtool("inspect-weights", "m.h5")
    assert (run.code, run.err.count("\n")) == (0, 1)
    assert run.err.startswith("Warning: m.h5: soft links that lead nowhere: ")
    assert convtool("inspect-weights", "m.h5", "-q").err == ""


def test_diff(convtool: Convtool) -> None:
    state = torch_file()
    save_file({f"module.{name}": value for name, value in state.items()}, "same.safetensors")
    run = convtool("inspect-weights", "m.pt", "--diff", "same.safetensors", "--strip-prefix", "module.")
    assert (run.code, run.out, run.err) == (0, "", "no difference in 8 tensors\n")
    run = convtool("inspect-weights", "m.pt", "--diff", "same.safetensors", "-q")
    assert (run.code, run.out.count("only in the")) == (3, 16)
    assert run.err == "Error: m.pt: --diff: 16 tensors differ from same.safetensors\n"

    torch_file("near.pt", **{"fc.bias": state["fc.bias"] + 0.5})
    run = convtool("inspect-weights", "m.pt", "--diff", "near.pt")
    assert run.code == 3
    assert run.out.startswith("fc.bias: 1 of 1 values differ, by 0.5 at most, at [0]; relative ")
    assert run.err == "Error: m.pt: --diff: 1 tensor differs from near.pt\n"
    assert convtool("inspect-weights", "m.pt", "--diff", "near.pt", "--tolerance", "0.6").code == 0
    run = convtool("inspect-weights", "m.pt", "--diff", "near.pt", "--json")
    found = json.loads(run.out)
    assert (found["file"], found["other"]) == ("m.pt", "near.pt")
    assert found["differences"][0]["index"] == [0]


def test_diff_of_two_frameworks(convtool: Convtool) -> None:
    torch.save({"conv2d.weight": torch.from_numpy(KERNEL).permute(3, 2, 0, 1), "conv2d.bias": torch.zeros(32)}, "m.pt")
    run = convtool("inspect-weights", "m.pt", "--diff", keras_file())
    assert (run.code, run.out) == (0, "")
    assert run.err == "torch against keras: compared in torch's layout\nno difference in 2 tensors\n"
    half = {"conv2d.weight": torch.from_numpy(KERNEL).permute(3, 2, 0, 1).half(), "conv2d.bias": torch.zeros(32)}
    half["more.bias"] = torch.zeros(2)
    torch.save(half, "half.pt")
    run = convtool("inspect-weights", "half.pt", "--diff", "m.weights.h5", "--tolerance", "1")
    assert (run.code, run.out) == (3, "conv2d.weight: float16 against float32, the values are near\n")
    run = convtool("inspect-weights", "half.pt", "--diff", "m.weights.h5", "--tolerance", "1", "--ignore-dtype")
    assert (run.code, run.out) == (0, "")
    assert run.err.splitlines()[1:] == [
        "not compared, zeros: 'more.bias'",
        "types differ, which is ignored: 1 tensor",
        "no difference in 3 tensors",
    ]
    for to in ("torch", "keras"):
        assert convtool("inspect-weights", "m.pt", "--diff", "m.weights.h5", "--as", to).code == 0


def test_diff_of_files_whose_layouts_are_said(convtool: Convtool) -> None:
    """Each option says it of one of the files; where it is open, they are compared as stored."""
    weight, bias = np.random.default_rng(1).normal(size=(4, 3, 5)), np.ones(4)
    np.savez("t.npz", **{"c.weight": weight, "c.bias": bias})
    np.savez("k.npz", **{"c/kernel": weight.transpose(2, 1, 0), "c/bias": bias})
    torch.save({"c.weight": torch.from_numpy(weight), "c.bias": torch.from_numpy(bias)}, "t.pt")
    np.save("k.npy", weight.transpose(2, 1, 0))
    np.save("t.npy", weight)
    in_torch = "compared in torch's layout\nno difference in"
    for first, second, options, told in [
        ("k.npz", "t.pt", ["--from", "keras"], f"keras against torch: {in_torch} 2 tensors\n"),
        ("t.pt", "k.npz", ["--diff-from", "keras"], f"torch against keras: {in_torch} 2 tensors\n"),
        ("t.npz", "k.npz", ["--from", "torch", "--diff-from", "keras"], f"torch against keras: {in_torch} 2 tensors\n"),
        (
            *("k.npy", "t.npy", ["--from", "keras", "--diff-from", "torch"]),
            f"keras against torch: {in_torch} 1 tensor\n".replace("\n", "\nmatched by their values: k with t\n", 1),
        ),
        ("t.npz", "t.pt", [], "no difference in 2 tensors\n"),
        ("t.npz", "t.pt", ["--from", "torch"], "no difference in 2 tensors\n"),
    ]:
        run = convtool("inspect-weights", first, "--diff", second, *options)
        assert (run.code, run.out, run.err) == (0, "", told)
    stored = "k.npz: compared as stored, since nothing says its layout; {} does\n"
    assert stored.format("--from") in convtool("inspect-weights", "k.npz", "--diff", "t.pt").err
    run = convtool("inspect-weights", "t.pt", "--diff", "k.npz")
    assert (run.code, stored.format("--diff-from") in run.err) == (3, True)
    assert "as stored" not in convtool("inspect-weights", "t.npz", "--diff", "k.npz").err
    run = convtool("inspect-weights", "t.npy", "--from", "torch", "--as", "keras", "--diff", "k.npy")
    told = "Warning: k.npy: not converted, since --diff-from does not say their layout: 1 tensor, 'k'\n"
    assert (run.code, run.err.startswith(told), "as stored" in run.err) == (3, True, False)
    run = convtool("inspect-weights", "k.npz", "--diff", "t.pt", "--diff-from", "keras")
    assert (run.code, "t.pt: --diff-from keras: the file is of torch" in run.err) == (2, True)
    run = convtool("inspect-weights", "k.npz", "--diff-from", "keras")
    assert (run.code, "--diff-from needs --diff" in run.err) == (2, True)


def test_diff_tells_what_no_name_has_matched(convtool: Convtool) -> None:
    """Layers in another order would pass in silence; and values as far apart as the tolerance are found too."""
    random = np.random.default_rng(1)
    weights = [0.1 * random.normal(size=(4, 4)) for _ in range(9)]
    torch.save({f"{number}.weight": torch.from_numpy(weight) for number, weight in enumerate(weights)}, "t.pt")
    np.savez("k.npz", **{f"layer{9 - number}/kernel": weight.T + 0.003 for number, weight in enumerate(weights)})
    options = ["--diff", "k.npz", "--diff-from", "keras", "--tolerance"]
    run = convtool("inspect-weights", "t.pt", *options, "0.0031")
    pairs = [(f"{number}.weight", f"layer{9 - number}.weight") for number in range(9)]
    told = ", ".join(f"{one} with {other}" for one, other in pairs[:8])
    assert (run.code, run.out) == (0, "")
    assert run.err.splitlines()[1:] == [f"matched by their values: {told} and 1 more", "no difference in 9 tensors"]
    run = convtool("inspect-weights", "t.pt", *options, "0.0031", "--json")
    found = json.loads(run.out)["matched"]
    assert found == [{"name": one, "other": other, "by": "values"} for one, other in pairs]
    run = convtool("inspect-weights", "t.pt", *options, "0.0029")
    assert (run.code, run.out.count("only in the first file")) == (3, 9)


def test_diff_with_a_file_that_can_not_be_read(convtool: Convtool) -> None:
    torch_file()
    run = convtool("inspect-weights", "m.pt", "--diff", "lost.pt")
    assert (run.code, run.err) == (1, "Error: m.pt: --diff lost.pt: no such file\n")


# One tensor


def test_a_keras_layer_as_32_matrices(convtool: Convtool) -> None:
    path = keras_file()
    run = convtool("inspect-weights", path, "--tensor", "conv2d/kernel")
    found = parsed(run.out)
    assert list(found) == [f"filter {index}" for index in range(32)]
    for index in range(32):
        np.testing.assert_array_equal(found[f"filter {index}"].astype(np.float32), KERNEL[:, :, 0, index])
    run = convtool("inspect-weights", path, "--filter", "3")
    np.testing.assert_array_equal(parsed(run.out)[""].astype(np.float32), KERNEL[:, :, 0, 3])
    assert convtool("inspect-weights", path, "--filter", "3,0").out == run.out
    assert convtool("inspect-weights", path, "--filter", "3", "--as", "onnx").out == run.out
    run = convtool("inspect-weights", path, "--plot", "p.png")
    assert (run.code, run.out) == (0, "")
    assert min(png_size("p.png")) > 300


def test_the_numbers_of_a_tensor(convtool: Convtool) -> None:
    state = torch_file(scalar=torch.tensor(7), empty=torch.zeros(0, 2))
    run = convtool("inspect-weights", "m.pt", "--tensor", "rec.weight_hh_l0")
    np.testing.assert_array_equal(parsed(run.out)[""].astype(np.float32), state["rec.weight_hh_l0"].numpy())
    assert convtool("inspect-weights", "m.pt", "--tensor", "scalar").out == "7\n"
    assert convtool("inspect-weights", "m.pt", "--tensor", "empty").out == ""


def test_gates(convtool: Convtool) -> None:
    state = torch_file()
    run = convtool("inspect-weights", "m.pt", "--gates", "--tensor", "rec.weight_ih_l0")
    found = parsed(run.out)
    assert list(found) == ["gate i", "gate f", "gate g", "gate o"]
    weight = state["rec.weight_ih_l0"].numpy()
    np.testing.assert_array_equal(found["gate g"].astype(np.float32), weight[4:6])
    run = convtool("inspect-weights", "m.pt", "--gates", "--tensor", "rec.W", "--as", "onnx")
    found = parsed(run.out)
    assert list(found) == ["gate i", "gate o", "gate f", "gate c"]
    np.testing.assert_array_equal(found["gate o"].astype(np.float32), weight[6:8])
    run = convtool("inspect-weights", "m.pt", "--gates")
    assert (run.code, "there are 4 tensors with gates; choose one with --tensor" in run.err) == (2, True)


def test_responses(convtool: Convtool) -> None:
    taps = scipy.signal.firwin(65, 2000, fs=16000)
    np.save("low.npy", taps)
    run = convtool("inspect-weights", "low.npy", "--response", "--sample-rate", "16000", "--points", "5")
    lines = [line.split(",") for line in run.out.splitlines()]
    assert lines[0] == ["frequency", "filter 0"]
    assert [line[0] for line in lines[1:]] == ["0", "2000", "4000", "6000", "8000"]
    _, wanted = scipy.signal.freqz(taps, worN=[0, 2000, 4000, 6000, 8000], fs=16000)
    np.testing.assert_allclose([float(line[1]) for line in lines[1:]], 20 * np.log10(abs(wanted)), atol=1e-9)
    run = convtool("inspect-weights", "low.npy", "--response", "-o", "r.npy", "--plot", "r.png")
    assert (run.code, run.out, run.err) == (0, "", "")
    made = np.load("r.npy")
    assert (made.shape, made[-1, 0]) == ((257, 2), 0.5)
    assert min(png_size("r.png")) > 300
    assert convtool("inspect-weights", "low.npy", "--response", "--plot", "r.svg").out == ""


# Exports


@pytest.mark.parametrize("inputs", [1, 2])
@pytest.mark.parametrize("output", ["k.npy", "k.csv"])
@pytest.mark.parametrize("layout", ["torch", "keras", "keras as torch"])
def test_the_note_gives_the_output_of_the_layer(layout: str, output: str, inputs: int, convtool: Convtool) -> None:
    torch.manual_seed(inputs)
    layer = nn.Conv1d(inputs, 3, 5, dtype=torch.float64)
    weight = layer.weight.detach()
    if layout == "torch":
        path, name, more = "my model.pt", "conv.weight", []
        torch.save({"conv.weight": weight}, path)
    else:
        path = "my model.weights.h5"
        with h5py.File(path, "w") as file:
            file["layers/conv1d/vars/0"] = weight.numpy().transpose(2, 1, 0)
            file["layers/conv1d/vars/1"] = layer.bias.detach().numpy()
        name, more = ("conv1d.weight", ["--as", "torch"]) if layout == "keras as torch" else ("conv1d/kernel", [])
    run = convtool("inspect-weights", path, "--tensor", name, "-o", output, *more)
    assert (run.code, run.out) == (0, "")
    assert ("unflipped" in run.err) is (layout != "keras" or output == "k.csv")
    x = torch.randn(inputs, 40, dtype=torch.float64)
    np.save("x.npy", x.numpy())
    words = shlex.split(run.err.partition("is convtool ")[2])
    words[words.index("INPUT")] = "x.npy"
    assert convtool(*words, "-o", "y.npy").code == 0
    wanted = nn.functional.conv1d(x, weight).numpy()
    np.testing.assert_allclose(np.load("y.npy"), wanted, rtol=0, atol=1e-14)


def told_command(err: str, *more: str) -> list[str]:
    """The command line that a note gives, for x.npy into y.npy."""
    words = shlex.split(err.partition("is convtool ")[2])
    words[words.index("INPUT")] = "x.npy"
    return [*words, *more, "-o", "y.npy", "--overwrite"]


@pytest.mark.parametrize(("outputs", "inputs"), [(6, 2), (8, 1), (4, 1), (1, 4)])
@pytest.mark.parametrize("output", ["k.npy", "k.csv"])
def test_the_note_on_a_layer_with_groups(outputs: int, inputs: int, output: str, convtool: Convtool) -> None:
    groups = 4 // inputs
    weight, x = (torch.randn(*shape, dtype=torch.float64) for shape in ((outputs, inputs, 5), (4, 40)))
    np.save("x.npy", x.numpy())
    wanted = nn.functional.conv1d(x, weight, groups=groups).numpy()
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=groups)
    graph = helper.make_graph([node], "g", [], [], [numpy_helper.from_array(weight.numpy(), "w")])
    onnx.save(helper.make_model(graph), "m.onnx")
    run = convtool("inspect-weights", "m.onnx", "--tensor", "w", "-o", output)
    assert "does not tell" not in run.err
    assert convtool(*told_command(run.err)).code == 0
    np.testing.assert_allclose(np.load("y.npy"), wanted, rtol=0, atol=1e-13)

    torch.save({"conv.weight": weight}, "m.pt")
    run = convtool("inspect-weights", "m.pt", "--tensor", "conv.weight", "-o", output, "--overwrite")
    start = f"the file does not tell the layer's groups; the command is for an INPUT of {inputs} channel"
    assert run.err.startswith(start)
    assert ("write all filters as .npy" in run.err) is (output == "k.csv")
    if output == "k.npy":
        assert convtool(*told_command(run.err, "--groups", str(groups))).code == 0
        np.testing.assert_allclose(np.load("y.npy"), wanted, rtol=0, atol=1e-13)
    np.save("x.npy", x[:inputs].numpy())
    assert convtool(*told_command(run.err)).code == 0
    np.testing.assert_allclose(np.load("y.npy"), nn.functional.conv1d(x[:inputs], weight), rtol=0, atol=1e-13)


def test_the_note_on_a_layer_that_may_be_depthwise(convtool: Convtool) -> None:
    """Its name says so, and not with how many channels."""
    weight = torch.randn(4, 1, 5, dtype=torch.float64)
    torch.save({"dw.weight": weight}, "m.pt")
    np.save("x.npy", np.random.default_rng(1).normal(size=(4, 40)))
    run = convtool("inspect-weights", "m.pt", "--tensor", "dw.weight", "-o", "k.csv")
    assert "for an INPUT of 4 channels, with groups write all filters as .npy" in run.err
    assert convtool(*told_command(run.err)).code == 0
    wanted = nn.functional.conv1d(torch.from_numpy(np.load("x.npy")), weight, groups=4)
    np.testing.assert_allclose(np.load("y.npy"), wanted, rtol=0, atol=1e-13)


def test_a_layout_that_was_given_is_none_that_convolve_knows(convtool: Convtool) -> None:
    np.savez("m.npz", w=np.ones((5, 2, 3)))
    run = convtool("inspect-weights", "m.npz", "--from", "keras", "--tensor", "w", "-o", "k.npy")
    assert (run.code, run.err) == (0, "")


def test_notes_of_exports(convtool: Convtool) -> None:
    torch_file()
    run = convtool("inspect-weights", "m.pt", "--tensor", "conv.weight", "--filter", "1,0", "-o", "k.npy")
    assert "-k m.pt::conv.weight --correlate" in run.err
    run = convtool("inspect-weights", "m.pt", "--tensor", "conv/kernel", "--as", "keras", "-o", "c.npy")
    assert (run.code, run.err, np.load("c.npy").shape) == (0, "", (5, 2, 3))
    run = convtool("inspect-weights", "m.pt", "--tensor", "fc.weight", "-o", "fc.csv", "--plot", "fc.png")
    assert (run.code, run.err, Path("fc.csv").read_text().count("\n")) == (0, "", 1)
    assert Path("fc.png").stat().st_size > 1000
    run = convtool("inspect-weights", keras_file(), "--tensor", "conv2d/kernel", "-o", "k2.npy")
    np.testing.assert_array_equal(np.load("k2.npy"), KERNEL)
    run = convtool("inspect-weights", "m.weights.h5", "--filter", "2", "-o", "f.tsv")
    np.testing.assert_array_equal(np.loadtxt("f.tsv", delimiter="\t", dtype=np.float32), KERNEL[:, :, 0, 2])


# What is refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "Missing argument 'FILE...'"),
        ("m.pt --filter x", "'x' is no filter: give OUT or OUT,IN, such as 0 or 0,2"),
        ("m.pt --filter=-1", "'-1' is no filter"),
        ("m.pt --filter 1,2,3", "'1,2,3' is no filter"),
        ("m.pt --as tf", "'tf' is not one of 'torch', 'keras', 'onnx'"),
        ("m.pt --filter 0 --check", "--filter looks at one tensor, --check at all; give one or the other"),
        ("m.pt --response --json", "--response looks at one tensor, --json at all"),
        ("m.pt --plot p.png --diff m.pt", "--plot looks at one tensor, --diff at all"),
        ("m.pt --gates --filter 0", "--gates splits recurrent weights, which have no filters"),
        ("m.pt --diff m.pt --stats", "--diff compares files; give --check, --stats and --tensor in a run of their own"),
        ("m.pt --diff m.pt --tensor a", "--diff compares files"),
        ("m.pt m.pt --tensor fc.bias", "--tensor takes one FILE; there are 2"),
        ("m.pt m.pt --tensor=", "--tensor takes one FILE; there are 2"),
        ("m.pt --diff= --check", "--diff compares files"),
        ("m.pt m.pt --gates", "--gates takes one FILE; there are 2"),
        ("m.pt m.pt --diff m.pt", "--diff takes one FILE; there are 2"),
        ("m.pt --points 9", "--points needs --response"),
        ("m.pt --sample-rate 9", "--sample-rate needs --response"),
        ("m.pt --response --points 1", "'1' does not fit; expected a whole number from 2 to 1048576"),
        ("m.pt --tolerance 0", "--tolerance needs --diff"),
        ("m.pt --strip-prefix a", "--strip-prefix needs --diff"),
        ("m.pt --diff m.pt --tolerance nan", "'nan' does not fit; expected a finite number of 0 or more"),
        ("m.pt --diff m.pt --tolerance 1e400", "'1e400' does not fit; expected a finite number of 0 or more"),
        ("m.pt --diff m.pt --tolerance inf", "'inf' does not fit; expected a finite number of 0 or more"),
        ("m.pt --diff m.pt --tolerance -1e-9", "'-1e-9' does not fit; expected a finite number of 0 or more"),
        ("m.pt --overwrite", "--overwrite needs -o, --plot or --sarif"),
        ("m.pt -o m.wav", "tensors are exported as .npy, .csv, .tsv or .txt"),
        ("m.pt -o there.npy", "there.npy exists"),
        ("m.pt -o there.npy --overwrite --plot x.gif", "a picture can be png, svg, pdf, not gif"),
        ("m.pt --filter 0 --tensor fc.bias --plot there.npy", "a picture can be"),
        (
            "m.pt -o a.csv",
            "\nError: m.pt: there are 8 tensors with values; choose one with --tensor: 'conv.weight', 'conv.bias'",
        ),
        ("m.pt --from onnx", "\nError: m.pt: --from onnx: the file is of torch"),
    ],
)
def test_wrong_usage(arguments: str, message: str, convtool: Convtool) -> None:
    torch_file()
    Path("there.npy").touch()
    run = convtool("inspect-weights", *arguments.split())
    assert (run.code, run.out) == (2, "")
    assert message in run.err
    assert run.err.splitlines()[-1].startswith("Error: ")


# On a terminal


def test_repeated_layers_share_a_row(convtool: Convtool, terminal: Callable[[int], None]) -> None:
    layers = {f"encoder.{n}.fc{m}.weight": torch.zeros(8, 4) for n in (0, 1, 10) for m in (1, 2)}
    torch.save({**layers, "encoder.2.fc1.weight": torch.zeros(4, 8), "head.weight": torch.zeros(2, 2)}, "m.pt")
    piped = convtool("inspect-weights", "m.pt").out.splitlines()
    assert len(piped) == 10
    terminal(200)
    lines = convtool("inspect-weights", "m.pt").out.splitlines()
    assert [re.split(r" {2,}", line)[0] for line in lines[1:-1]] == [
        "encoder.{0…10}.fc1.weight ×3",
        "encoder.{0…10}.fc2.weight ×3",
        "encoder.2.fc1.weight",
        "head.weight",
    ]
    assert lines[1].split()[-3:] == ["96", "384", "B"]
    assert lines[-1] == piped[-1]
    assert len(convtool("inspect-weights", "m.pt", "--stats").out.splitlines()) == 10


@pytest.mark.parametrize("options", [[], ["--stats"]])
@pytest.mark.parametrize("width", [80, 100, 300])
def test_a_table_fits(width: int, options: list[str], convtool: Convtool, terminal: Callable[[int], None]) -> None:
    torch_file(**{"日本語" * 30 + ".weight": torch.zeros(3, 2, 2, 2), "shared": torch.zeros(1)})
    terminal(width)
    run = convtool("inspect-weights", "m.pt", *options)
    assert max(render.cells(line) for line in run.out.splitlines()) <= width
    left_out = {80: "kind, shape, axes, dtype, parameters, bytes", 100: "axes, dtype, parameters, bytes", 300: ""}[
        width
    ]
    told = f"left out here: {left_out}; a wider terminal, a pipe or --json has them\n"
    assert run.err == (told if options and left_out else "")
    assert convtool("inspect-weights", "m.pt", "-q", *options).err == ""


def test_flags_stand_below_their_rows(convtool: Convtool, terminal: Callable[[int], None]) -> None:
    shared = torch.ones(2, 3)
    torch.save({"embed.weight": shared, "out.weight": shared}, "m.pt")
    assert "0 B  same as embed.weight\n" in convtool("inspect-weights", "m.pt").out
    terminal(80)
    assert convtool("inspect-weights", "m.pt").out.splitlines()[3] == "    same as embed.weight"


def test_large_tensors_are_cut_short(convtool: Convtool, terminal: Callable[[int], None]) -> None:
    torch.save({"a": torch.zeros(70, 2, 2), "b": torch.zeros(1, 2000), "c": torch.zeros(5000, 1)}, "m.pt")
    terminal(80)
    for name, shape, count in (("a", "70x2x2", 64 * 4), ("b", "1x2000", 1024), ("c", "5000x1", 4096)):
        run = convtool("inspect-weights", "m.pt", "--tensor", name)
        assert run.err == f"that is a part of {shape} numbers; a pipe or -o FILE takes all\n"
        assert len(re.findall(r"(?<![\w.])0(?!\w)", re.sub(r"axis0 \d+", "", run.out))) == count
        assert max(map(len, run.out.splitlines())) <= 80


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_curves(
    encoding: str, convtool: Convtool, terminal: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save("bank.npy", np.ones((70, 4)))
    terminal(60)
    monkeypatch.setattr(weight_views, "sys", SimpleNamespace(stdout=SimpleNamespace(encoding=encoding)))
    run = convtool("inspect-weights", "bank.npy", "--response", "--sample-rate", "16000")
    lines = run.out.splitlines()
    assert [line for line in lines if line.startswith("filter")] == [f"filter {index}" for index in range(64)]
    assert (lines[1].split()[0], lines[9].split()) == ("13", ["0", "Hz", "8", "kHz"])
    assert max(map(len, lines)) <= 60
    assert run.out.isascii() is (encoding == "ascii")
    assert run.err == "those are the first 64 of 70 responses; a pipe or -o FILE takes all\n"
    one = convtool("inspect-weights", "bank.npy", "--response", "--filter", "69")
    assert (one.out.splitlines()[0], one.out.splitlines()[9].split()[-1], one.err) == ("filter 69", "cycles/sample", "")


def on_terminal(*arguments: str, **environment: str) -> str:
    """What the program shows on a real terminal of 80 columns."""
    main, side = pty.openpty()
    env = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS", "LINES")}
    process = subprocess.Popen(
        [PROGRAM, *arguments], stdin=side, stdout=side, stderr=side, env=env | {"TERM": "xterm", **environment}
    )
    os.close(side)
    shown = b""
    while True:
        try:
            part = os.read(main, 1 << 16)
        except OSError:  # the program has ended
            break
        shown += part
        if not part:
            break
    os.close(main)
    assert process.wait() == 0
    return shown.decode().replace("\r\n", "\n")


def test_colours_on_a_real_terminal() -> None:
    path = keras_file()
    coloured = on_terminal("inspect-weights", path, "--filter", "3", COLUMNS="80")
    assert "\x1b[38;5;" in coloured
    plain = on_terminal("inspect-weights", path, "--filter", "3", COLUMNS="80", NO_COLOR="1")
    assert click.unstyle(coloured) == plain
    np.testing.assert_allclose(parsed(plain)[""], KERNEL[:, :, 0, 3], rtol=1e-3)


# What loading would call


class Evil:
    """What calls something when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.getenv, ("HOME",)


def test_check_finds_what_would_be_called(convtool: Convtool) -> None:
    torch.save({"w": torch.tensor([1.0, np.nan]), "hook": Evil()}, "evil.pt")
    torch.save({"w": torch.ones(2)}, "good.pt")
    run = convtool("inspect-weights", "evil.pt", "--check", "-q")
    told = "of 1 tensor 1 holds what is not finite: w (1 NaN, 0 infinite); it wants to call os.getenv"
    assert (run.code, run.out, run.err) == (3, "", f"Error: evil.pt: --check: {told}\n")
    run = convtool("inspect-weights", "evil.pt", "--json")
    assert (run.code, json.loads(run.out)["calls"]) == (0, ["os.getenv"])
    assert "calls" not in json.loads(convtool("inspect-weights", "good.pt", "--json").out)


def test_a_keras_lambda_wants_to_be_called(convtool: Convtool) -> None:
    keras_file()
    with h5py.File("m.weights.h5", "a") as file:
        layers = [
            {"class_name": "Lambda", "module": "keras.layers", "config": {"name": "twice"}},
            {"class_name": "__lambda__", "config": {"value": "4wAA"}},
            {"class_name": "function", "module": "os", "config": "system"},
            {"class_name": "Mine", "module": "my.layers", "config": {"name": "mine"}},
            {"class_name": "Dense", "module": "keras.layers", "config": {"name": "dense"}},
            {"class_name": "relu", "config": {"name": "r"}},
        ]
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"layers": layers}})
    run = convtool("inspect-weights", "m.weights.h5", "--check", "-q")
    told = "it wants to call Lambda twice, __lambda__, os.system, my.layers.Mine"
    assert (run.code, run.err) == (3, f"Error: m.weights.h5: --check: {told}\n")


def test_a_class_that_is_only_registered_wants_to_be_called(convtool: Convtool) -> None:
    """As what a pickle names: loading makes one by code that is neither Keras's nor in the file."""
    keras_file()
    with h5py.File("m.weights.h5", "a") as file:
        mix = {"class_name": "Mix", "module": None, "registered_name": "mine>Mix", "config": {"name": "mix"}}
        model = {"class_name": "Sequential", "module": "keras", "config": {"layers": [mix]}}
        file.attrs["model_config"] = json.dumps(model)
        file["layers/mix/vars/0"], file["layers/mix/vars/1"] = np.ones((4, 5)), np.ones(5)
    run = convtool("inspect-weights", "m.weights.h5", "--as", "torch", "--json")
    found = json.loads(run.out)
    own = {each["name"]: (each["kind"], each["shape"]) for each in found["tensors"] if "mix" in each["name"]}
    assert own == {"mix.0": ("tensor", [4, 5]), "mix.1": ("tensor", [5])}
    assert (run.code, found["calls"]) == (0, ["mine>Mix"])
    assert found["notes"] == [
        "layers of classes that are not Keras's, which alone know their tensors: 'mine>Mix'",
        "left as stored, since nothing tells how torch would have them: 1 tensor, 'mix.0'",
    ]
    run = convtool("inspect-weights", "m.weights.h5", "--check", "-q")
    assert (run.code, run.err) == (3, "Error: m.weights.h5: --check: it wants to call mine>Mix\n")


def test_sarif_tells_code_scanning(convtool: Convtool) -> None:
    torch.save({"w": torch.tensor([1.0, np.nan]), "hook": Evil()}, "ev il.pt")
    Path("cut.pt").write_bytes(Path("ev il.pt").read_bytes()[:-9])
    keras_file()
    absolute = str(Path("m.weights.h5").resolve())
    run = convtool("inspect-weights", "ev il.pt", "cut.pt", "none.pt", absolute, "--check", "--sarif", "a.sarif", "-q")
    assert run.code == 1
    log = json.loads(Path("a.sarif").read_text())
    assert log["version"] == "2.1.0"
    (scan,) = log["runs"]
    assert {rule["id"] for rule in scan["tool"]["driver"]["rules"]} == {"calls", "not-finite", "unreadable"}
    found = [
        (
            each["ruleId"],
            each["level"],
            each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            each["message"]["text"],
        )
        for each in scan["results"]
    ]
    assert found[:2] == [
        ("calls", "error", "ev%20il.pt", "it wants to call os.getenv"),
        ("not-finite", "warning", "ev%20il.pt", "w (1 NaN, 0 infinite)"),
    ]
    assert [each[:3] for each in found[2:]] == [
        ("unreadable", "error", "cut.pt"),
        ("unreadable", "error", "none.pt"),
    ]
    run = convtool("inspect-weights", absolute, "--check", "--sarif", "a.sarif")
    assert (run.code, "a.sarif exists" in run.err) == (2, True)
    assert convtool("inspect-weights", absolute, "--check", "--sarif", "a.sarif", "--overwrite").code == 0
    assert json.loads(Path("a.sarif").read_text())["runs"][0]["results"] == []
    run = convtool("inspect-weights", absolute, "--sarif", "b.sarif")
    assert (run.code, "--sarif needs --check" in run.err) == (2, True)


@pytest.mark.parametrize("option", [(), ("--json",), ("--stats",), ("--check",)])
def test_a_missing_file_of_an_onnx_model_fails_the_listing(option: tuple[str, ...], convtool: Convtool) -> None:
    weight = numpy_helper.from_array(np.ones((8, 8), np.float32), "w")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [], [], [weight])
    onnx.save(helper.make_model(graph), "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    assert convtool("inspect-weights", "m.onnx", *option).code == 0
    os.remove("m.data")
    run = convtool("inspect-weights", "m.onnx", *option)
    assert run.code == 1
    assert run.err.startswith("Error: m.onnx: tensor 'w' external: 'm.data': no such file\n")
    assert ("8x8" in run.out or "[8, 8]" in run.out) is (option != ("--check",))


class Scaled(nn.Module):
    """A traced LSTM whose program has a number of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(3, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.rnn(x)[0] * torch.tensor(2.5)
        return found


@pytest.mark.filterwarnings("ignore")
def test_a_traced_program_against_its_state_dict(convtool: Convtool) -> None:
    model = Scaled().eval()
    torch.jit.trace(model, torch.ones(2, 5, 3)).save("traced.pt")
    torch.save(model.state_dict(), "state.pt")
    assert "constants." in convtool("inspect-weights", "traced.pt").out
    for pair in (("traced.pt", "state.pt"), ("state.pt", "traced.pt")):
        run = convtool("inspect-weights", pair[0], "--diff", pair[1])
        assert (run.code, run.out) == (0, "")
        assert "not compared, constants of the code: 'constants.0'" in run.err


def test_a_shard_that_is_not_there_fails_the_listing(convtool: Convtool) -> None:
    save_file({"a": torch.ones(2)}, "one.safetensors")
    shards = {"a": "one.safetensors", "b": "two.safetensors", "c": "../three.safetensors"}
    Path("m.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    run = convtool("inspect-weights", "m.safetensors.index.json", "--json")
    assert (run.code, len(json.loads(run.out)["tensors"])) == (1, 3)
    assert run.err.splitlines()[-3:] == [
        "Error: m.safetensors.index.json: shard 'two.safetensors': no such file",
        "Error: m.safetensors.index.json: shard '../three.safetensors': it lies outside of the index's folder; "
        "not read",
        "Error: m.safetensors.index.json: a part of it can't be read",
    ]


def test_a_folder_without_weights_stops_no_other_file(convtool: Convtool, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    np.save(tmp_path / "a.npy", np.ones(3))
    run = convtool("inspect-weights", tmp_path / "empty", tmp_path / "a.npy", "--json")
    assert (run.code, run.err.count("\n")) == (1, 1)
    assert run.err.startswith(f"Error: {tmp_path}/empty: there is no weight file in this folder; expected .safetensors")
    assert json.loads(run.out)["file"] == f"{tmp_path}/a.npy"
    run = convtool("inspect-weights", tmp_path / "empty")
    assert (run.code, run.out, run.err.count("\n")) == (1, "", 1)


def test_folders_in_a_folder_are_looked_at_too(convtool: Convtool, tmp_path: Path) -> None:
    (tmp_path / "models" / "sub").mkdir(parents=True)
    torch.save({"w": torch.tensor([1.0])}, "models/a.pt")
    torch.save({"v": torch.tensor([float("nan")])}, "models/sub/a.pt")
    run = convtool("inspect-weights", "models", "--check")
    assert (run.code, run.out) == (3, "")
    assert "models/sub/a.pt: --check: of 1 tensor 1 holds what is not finite: v (1 NaN, 0 infinite)" in run.err
    run = convtool("inspect-weights", "models")
    assert (run.code, "models/a.pt:\n" in run.out, "models/sub/a.pt:\n" in run.out) == (0, True, True)
    run = convtool("inspect-weights", "models", "--tensor", "w")  # which takes one model: that of the folder itself
    assert (run.code, run.out) == (0, "1\n")


def test_a_distributed_checkpoint_is_its_folder(convtool: Convtool) -> None:
    weight = torch.arange(12.0).reshape(3, 4)
    save_parts(Path("ckpt"), {"w": (weight, [((0, 0), (3, 1)), ((0, 1), (3, 3))])}, hook=Evil())
    torch.save({"w": weight}, "m.pt")
    run = convtool("inspect-weights", "ckpt", "--diff", "m.pt", "-q")
    assert (run.code, run.out) == (0, "")
    assert convtool("inspect-weights", "m.pt", "--diff", "ckpt").code == 0
    run = convtool("inspect-weights", "ckpt", "--check", "-q")
    assert (run.code, run.err) == (3, "Error: ckpt: --check: it wants to call os.getenv\n")
    Path("ckpt/__1_0.distcp").unlink()
    run = convtool("inspect-weights", "ckpt")
    assert (run.code, run.err.splitlines()[-1]) == (1, "Error: ckpt: a part of it can't be read")
    run = convtool("inspect-weights", "ckpt", "--json")
    assert (run.code, json.loads(run.out)["calls"]) == (1, ["os.getenv"])
    Path("ckpt/__0_0.distcp").write_bytes(b"PK\3\4")
    run = convtool("inspect-weights", "ckpt", "--json", "-q")
    assert (run.code, "calls" in json.loads(run.out)) == (1, False)
    assert "'__0_0.distcp': the file ends at byte 4" in run.err


def test_alike_quantised_tensors_share_a_row(convtool: Convtool, terminal: Callable[[int], None]) -> None:
    blocks = {f"blk.{number}.ffn.weight": (8, (4, 32), bytes(136)) for number in range(3)}
    Path("m.gguf").write_bytes(gguf(blocks))
    terminal(100)
    run = convtool("inspect-weights", "m.gguf", "-q")
    assert run.code == 0
    assert run.out.splitlines()[1].split()[:2] == ["blk.{0…2}.ffn.weight", "×3"]
    assert run.out.splitlines()[2].strip() == "quantised (Q8_0); its values are not read"


# Whole files, and bare arrays


def test_a_whole_file_is_converted(convtool: Convtool) -> None:
    keras_file()
    run = convtool("inspect-weights", "m.weights.h5", "--as", "torch", "-o", "m.safetensors")
    assert (run.code, run.out, run.err) == (0, "", "")
    np.testing.assert_array_equal(load_file("m.safetensors")["conv2d.weight"].numpy(), KERNEL.transpose(3, 2, 0, 1))
    run = convtool("inspect-weights", "m.safetensors", "--diff", "m.weights.h5", "--as", "torch")
    assert (run.code, run.err) == (0, "no difference in 2 tensors\n")
    assert convtool("inspect-weights", "m.weights.h5", "-o", "m.safetensors").code == 2
    run = convtool("inspect-weights", "m.weights.h5", "--tensor", "conv2d/bias", "-o", "m.safetensors", "--overwrite")
    assert (run.code, list(load_file("m.safetensors"))) == (0, ["conv2d/bias"])
    assert convtool("pad-batch", "4,5", "1,2,3", "-o", "b.npz").code == 0
    run = convtool("inspect-weights", "b.npz", "-o", "b.pt")
    assert (run.code, run.err) == (0, "b.pt: text is left out: 'names', 'manifest'\n")


@pytest.mark.parametrize("name", ["layers/conv2d/vars/0", "conv2d/kernel", "conv2d.weight"])
def test_names_as_stored_and_as_shown(name: str, convtool: Convtool) -> None:
    keras_file()
    run = convtool("inspect-weights", "m.weights.h5", "--as", "torch", "--tensor", name, "-o", "a.npy")
    assert run.code == 0
    np.testing.assert_array_equal(np.load("a.npy"), KERNEL.transpose(3, 2, 0, 1))
    torch.save({"state_dict": torch_file()}, "wrapped.pt")
    for name in ("state_dict.fc.bias", "fc.bias"):
        assert convtool("inspect-weights", "wrapped.pt", "--tensor", name).code == 0
    run = convtool("inspect-weights", "m.weights.h5", "--as", "torch", "--tensor", "none")
    assert (run.code, "there is no tensor 'none' in it; there is 'conv2d" in run.err) == (1, True)
    torch.save({"rnn.weight_ih_l0": torch.ones(8, 3), "rnn.weight_hh_l0": torch.ones(8, 2)}, "rnn.pt")
    run = convtool("inspect-weights", "rnn.pt", "--as", "keras", "--tensor", "rnn.weight_hh_l0")
    assert (run.code, len(run.out.splitlines())) == (0, 2)


def test_void_as_says_what_opaque_bytes_are(convtool: Convtool) -> None:
    np.save("w.npy", np.array([0x3F80, 0xC000], "<u2").view("V2"))
    np.save("same.npy", np.array([1, -2], "f4"))
    run = convtool("inspect-weights", "w.npy")
    assert (run.code, run.out) == (1, "")
    assert "--void-as bfloat16, float8_e4m3fn or the like says which" in run.err
    assert convtool("inspect-weights", "w.npy", "--void-as", "bfloat16", "--tensor", "w").out.split() == ["1", "-2"]
    assert "these take 16 bits a number, int4 takes 8" in convtool("inspect-weights", "w.npy", "--void-as", "int4").err
    np.savez("a.npz", w=np.array([1, -2], "f4"))
    run = convtool("inspect-weights", "a.npz", "--void-as", "bfloat16", "--diff", "w.npy", "--ignore-dtype")
    assert (run.code, run.out) == (0, "")
    run = convtool("inspect-weights", "w.npy", "--void-as", "bfloat16", "-o", "w.safetensors")
    assert (run.code, load_file("w.safetensors")["w"].dtype) == (0, torch.bfloat16)


def test_bare_arrays_need_their_layout(convtool: Convtool) -> None:
    np.save("k.npy", KERNEL)
    for options in (["--filter", "0"], ["--plot", "k.png"]):
        run = convtool("inspect-weights", "k.npy", *options)
        assert (run.code, run.out) == (2, "")
        assert "k.npy: the file does not say what the axes of 'k' are, 3x3x1x32: give --from torch" in run.err
    run = convtool("inspect-weights", "k.npy", "--from", "keras", "--filter", "5")
    assert run.code == 0
    np.testing.assert_allclose(parsed(run.out)[""], KERNEL[:, :, 0, 5], rtol=1e-4)
    run = convtool("inspect-weights", "k.npy", "--from", "keras", "--as", "torch", "-o", "t.npz")
    assert run.code == 0
    np.testing.assert_array_equal(np.load("t.npz")["k"], KERNEL.transpose(3, 2, 0, 1))
    np.savez("k.npz", k=KERNEL, b=np.ones(32))
    run = convtool("inspect-weights", "k.npz", "--from", "keras", "--json")
    assert [each["axes"] for each in json.loads(run.out)["tensors"]] == [["H", "W", "in", "out"], ["0"]]
    run = convtool("inspect-weights", "k.npy", "--as", "torch", "--json")
    told = "not converted, since --from does not say their layout: 1 tensor, 'k'"
    assert (run.code, run.err, json.loads(run.out)["notes"]) == (0, f"Warning: k.npy: {told}\n", [told])
    run = convtool("inspect-weights", keras_file(), "--from", "torch")
    assert (run.code, "--from torch: the file is of keras" in run.err) == (2, True)
    np.save("bank.npy", np.ones((2, 1, 5)))  # the shape of a bank of filters, which convolve takes too
    assert convtool("inspect-weights", "bank.npy", "--filter", "0").code == 0
    run = convtool("inspect-weights", "m.weights.h5", "--gates", "-o", "m.pt")
    assert (run.code, "--gates looks at one tensor; it is written as .npy or .csv, not m.pt" in run.err) == (2, True)
