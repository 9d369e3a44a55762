"""Damaged files of several formats, read, converted and compared: an error of one line, or other numbers."""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from convtool.arrays import open_weights
from convtool.errors import InputError
from convtool.jobs.inspection.diff import differences
from convtool.jobs.inspection.listing import list_weights
from convtool.jobs.inspection.matching import match
from convtool.jobs.inspection.whole import export_all


def exported(folder: Path) -> str:
    program = torch.export.export(nn.Conv1d(2, 3, 3), (torch.ones(1, 2, 5),))
    torch.export.save(program, folder / "m.pt2")
    return "m.pt2"


def indexed(folder: Path) -> str:
    torch.save({"a.weight": torch.ones(2, 3)}, folder / "1.bin")
    torch.save({"b.weight": torch.ones(3, 2)}, folder / "2.bin")
    index = {"weight_map": {"a.weight": "1.bin", "b.weight": "2.bin"}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return "pytorch_model.bin.index.json"


def packed(folder: Path) -> str:
    tensors = {"w": ("F4", [30, 40], [0, 600]), "b": ("F8_E4M3", [3], [600, 603])}
    keys = ("dtype", "shape", "data_offsets")
    head = json.dumps({name: dict(zip(keys, told, strict=True)) for name, told in tensors.items()}).encode()
    (folder / "m.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + bytes(603))
    return "m.safetensors"


def quantised(folder: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that these are to go
        torch.save({"q": torch.quantize_per_tensor(torch.ones(3, 4), 0.1, 3, torch.quint8)}, folder / "m.pt")
    return "m.pt"


def model(folder: Path) -> str:
    weights = [
        numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in (("w", (4, 3)), ("b", (3,)))
    ]
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["y"]),
        helper.make_node("Constant", [], ["k"], value_floats=[1.0, 2.0]),
        helper.make_node("Constant", [], ["n"], value_ints=[1, -2]),
    ]
    nodes[0].metadata_props.add(key="pkg.torch.onnx.name_scopes", value="['', 'fc', 'linear']")
    graph = helper.make_graph(nodes, "g", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], weights)
    onnx.save(helper.make_model(graph), str(folder / "m.onnx"))
    return "m.onnx"


@pytest.mark.parametrize("make", [exported, indexed, packed, quantised, model])
def test_mutants_end_in_one_line(make: Callable[[Path], str], tmp_path: Path) -> None:
    path, chance = str(tmp_path / make(tmp_path)), random.Random(0)
    torch.save({"fc.weight": torch.ones(3, 4), "fc.bias": torch.zeros(3)}, tmp_path / "other")
    good = {each: each.read_bytes() for each in tmp_path.iterdir() if each.name != "other"}
    read = 0
    for _ in range(300):
        each = chance.choice(sorted(good))
        data = bytearray(good[each])
        for _ in range(chance.randint(1, 3)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        each.write_bytes(data[: chance.choice([len(data), len(data), chance.randrange(len(data))])])
        with suppress(InputError), open_weights(path) as file, open_weights(str(tmp_path / "other")) as other:
            with suppress(InputError):
                export_all(str(tmp_path / "out.npz"), list_weights(path, file, to="keras"), overwrite=True)
            pairs, _ = match(list_weights(path, file), list_weights("other", other))
            read += len(list(differences(pairs))) > 0
        each.write_bytes(good[each])
    assert read
