"""What is in a weight file, as a table and JSON are told it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from convtool.arrays.description import TensorInfo
from convtool.errors import InputError
from convtool.jobs.inspection.listing import list_weights, statistics
from tests.helpers.weight_arrays import Arrays, info

CONV = np.arange(-6, 18, dtype=np.float32).reshape(4, 2, 3)


def file(*more: TensorInfo) -> Arrays:
    arrays = {"conv.weight": CONV, "lstm.weight_hh_l0": np.array([[np.nan], [0], [1], [np.inf]])}
    tensors = [info(name, array.shape, str(array.dtype)) for name, array in arrays.items()]
    made = Arrays(arrays, "torch", [*tensors, *more])
    made.format, made.notes, made.metadata = "torch", [], {}
    return made


BROKEN = TensorInfo("lost\n", (2,), "float32", 8, flag="it is gone", readable=False)
TIED = TensorInfo("out.weight", (4, 2, 3), "float32", 0, tied_to="conv.weight")


def test_a_listing() -> None:
    listing = list_weights("a/m.pt", file(TIED))
    conv, lstm, tied = listing.tensors
    assert (conv.name, conv.tensor.shape, conv.tensor.dtype) == ("conv.weight", (4, 2, 3), "float32")
    assert (conv.described.kind, conv.described.axes) == ("conv1d", ("out", "in", "K"))
    assert (lstm.described.kind, lstm.described.gates) == ("lstm", ("i", "f", "g", "o"))
    assert (listing.parameters, listing.nbytes) == (28, 96 + 32)
    assert listing.find("out.weight") is tied
    np.testing.assert_array_equal(conv.values(), CONV)
    assert np.concatenate(list(conv.pieces())).tolist() == CONV.ravel().tolist()
    assert [each.name for each in listing.only("lstm.weight_hh_l0").tensors] == ["lstm.weight_hh_l0"]
    with pytest.raises(InputError, match="no tensor 'lstm' in it"):
        listing.find("lstm")


def test_a_listing_in_another_layout() -> None:
    listing = list_weights("m.pt", file(), to="keras")
    conv = listing.find("conv/kernel")
    assert (conv.tensor.shape, conv.described.axes) == ((3, 2, 4), ("K", "in", "out"))
    np.testing.assert_array_equal(conv.values(), CONV.transpose(2, 1, 0))
    assert np.concatenate(list(conv.pieces())).tolist() == CONV.transpose(2, 1, 0).ravel().tolist()


def test_statistics_and_damage() -> None:
    listing = list_weights("m.pt", file(BROKEN))
    stats, damage = statistics(listing)
    assert damage == ["it is gone"]
    assert list(stats) == ["conv.weight", "lstm.weight_hh_l0"]
    conv = stats["conv.weight"]
    assert (conv.min, conv.max, conv.mean, conv.zeros) == (-6, 17, 5.5, 1)
    assert conv.std == pytest.approx(CONV.std())
    assert (stats["lstm.weight_hh_l0"].nan, stats["lstm.weight_hh_l0"].infinite) == (1, 1)


def test_json_has_stable_keys() -> None:
    listing = list_weights("m\udcff.pt", file(BROKEN, TIED))
    text = listing.as_json({})
    assert "\n" not in text
    text.encode()
    found = json.loads(text)
    assert list(found) == ["file", "format", "tensors", "parameters", "bytes"]
    assert (found["file"], found["format"], found["parameters"], found["bytes"]) == ("m\udcff.pt", "torch", 30, 136)
    conv, lstm, broken, tied = found["tensors"]
    assert conv == {
        "name": "conv.weight",
        "kind": "conv1d",
        "shape": [4, 2, 3],
        "axes": ["out", "in", "K"],
        "dtype": "float32",
        "parameters": 24,
        "bytes": 96,
    }
    assert lstm["gates"] == ["i", "f", "g", "o"]
    assert (broken["name"], broken["flag"]) == ("lost\n", "it is gone")
    assert tied["tied_to"] == "conv.weight"


def test_json_with_statistics_notes_and_metadata() -> None:
    made = file(TensorInfo("empty", (0,), "float32", 0))
    made.arrays = {**made.arrays, "empty": np.zeros(0, np.float32)}
    made.notes, made.metadata = ["contains Lambda layer 'l'"], {"producer": "日本"}
    listing = list_weights("m.pt", made)
    text = listing.as_json(statistics(listing)[0])
    assert "日本" in text
    found = json.loads(text)
    assert (found["notes"], found["metadata"]) == (["contains Lambda layer 'l'"], {"producer": "日本"})
    conv, lstm, empty = (tensor["stats"] for tensor in found["tensors"])
    assert list(conv) == ["min", "max", "mean", "std", "zeros", "nan", "infinite"]
    assert (conv["min"], conv["max"], lstm["nan"], lstm["mean"]) == (-6, 17, 1, 0.5)
    assert (empty["min"], empty["mean"], empty["zeros"]) == (None, None, 0)


def test_a_file_by_torch(tmp_path: Path) -> None:
    from convtool.arrays import open_weights

    module = torch.nn.Sequential(torch.nn.Conv1d(2, 4, 3), torch.nn.BatchNorm1d(4), torch.nn.LSTM(4, 5))
    torch.save({"state_dict": module.state_dict(), "epoch": 3}, tmp_path / "m.pt")
    with open_weights(str(tmp_path / "m.pt")) as opened:
        listing = list_weights("m.pt", opened)
        assert [each.name for each in listing.tensors] == list(module.state_dict())
        assert listing.parameters == sum(value.numel() for value in module.state_dict().values())
        for each in listing.tensors:
            np.testing.assert_array_equal(each.values(), module.state_dict()[each.name].numpy())
