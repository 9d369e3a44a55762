"""Distributed checkpoints as torch writes them, of one and of several ranks, and damaged ones."""

from __future__ import annotations

import os
import pickle
import random
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributed import checkpoint
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save
from torch.distributed.checkpoint.metadata import Metadata

from convtool.arrays import open_weights
from convtool.arrays.description import WeightFile
from convtool.arrays.opening import weight_files
from convtool.arrays.torch import distributed
from convtool.errors import InputError
from tests.helpers.checkpoints import describe, save_parts

W = torch.arange(30.0).reshape(5, 6)
WHOLE = [((0, 0), (5, 6))]


class Evil:
    """What calls something when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.getenv, ("HOME",)


def values(file: WeightFile) -> dict[str, np.ndarray[Any, Any]]:
    return {tensor.name: file.values(tensor) for tensor in file.tensors}


def test_what_torch_saves(tmp_path: Path) -> None:
    state = {
        "model": {"conv.weight": torch.randn(4, 2, 3), "half": torch.arange(6).reshape(3, 2).bfloat16()},
        "step": 7,
        "scalar": torch.tensor(2.5),
        "view": W[:, 1:3],
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        checkpoint.save(state, checkpoint_id=tmp_path, no_dist=True)
    expected = {**state["model"], "scalar": state["scalar"], "view": state["view"]}  # type: ignore[dict-item]
    for path in (str(tmp_path), str(tmp_path / ".metadata")):
        with open_weights(path) as file:
            assert (file.format, file.layout) == ("torch", "torch")
            assert file.metadata == {"container": "distributed checkpoint", "files": "1", "prefix": "model."}
            assert file.notes == ["entries that are no tensors, not shown: 'step'"]
            assert (file.calls(), file.damage) == ([], [])
            for name, found in values(file).items():
                np.testing.assert_array_equal(found, expected.pop(name).float().numpy())
            assert not expected
            expected = {**state["model"], "scalar": state["scalar"], "view": state["view"]}  # type: ignore[dict-item]
    assert weight_files(str(tmp_path)) == [str(tmp_path)]


SHARDS = {
    "rows": (W, [((0, 0), (3, 6)), ((3, 0), (2, 6))]),
    "columns": (W, [((0, 0), (5, 4)), ((0, 4), (5, 2))]),
    "blocks": (W, [((0, 0), (2, 3)), ((0, 3), (2, 3)), ((2, 0), (3, 3)), ((2, 3), (3, 3))]),
    "scalar": (torch.tensor(4), [((), ())]),
    "none": (torch.zeros(0, 2), []),
    "bf": (W.bfloat16(), [((0, 0), (5, 1)), ((0, 1), (5, 5))]),
}


def test_shards_are_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_parts(tmp_path / "c", SHARDS)
    with open_weights(str(tmp_path / "c")) as file:
        assert file.metadata["files"] == "4"
        found = values(file)
        pieces = list(file.pieces(file.find("rows")))
        monkeypatch.setattr(distributed, "PIECE_BYTES", 8)
        assert [len(piece) for piece in file.pieces(file.find("columns"))] == [2] * 15
        monkeypatch.setattr(distributed, "VALUES_LIMIT", 100)
        with pytest.raises(InputError, match="'blocks' is put together from 120 bytes; the limit is 100"):
            file.values(file.find("blocks"))
    assert [len(piece) for piece in pieces] == [18, 12]  # the shards themselves: nothing is put together
    assert found.keys() == SHARDS.keys()
    for name, (tensor, _) in SHARDS.items():
        np.testing.assert_array_equal(found[name], tensor.float().numpy())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp_to_torch_save(tmp_path / "c", tmp_path / "c.pt")  # what torch makes of the same folder
    for name, tensor in torch.load(tmp_path / "c.pt").items():
        assert torch.equal(tensor, SHARDS[name][0])


def test_a_part_alone_is_refused(tmp_path: Path) -> None:
    save_parts(tmp_path / "c", {"a": (W, WHOLE), "b": (W, WHOLE)})
    (tmp_path / "renamed.pt").write_bytes((tmp_path / "c" / "__0_0.distcp").read_bytes())
    for path in (tmp_path / "c" / "__0_0.distcp", tmp_path / "renamed.pt"):
        with pytest.raises(InputError, match=r"a part of a distributed checkpoint.*: give the folder"):
            open_weights(str(path))


def test_calls_of_the_description_and_of_objects_are_told(tmp_path: Path) -> None:
    meta = save_parts(tmp_path / "c", {"w": (W, WHOLE)}, hook=Evil(), epoch=3)
    meta.planner_data = {"w": Evil(), 1: ("w",)}
    describe(tmp_path / "c", meta)
    with open_weights(str(tmp_path / "c")) as file:
        assert file.calls() == ["os.getenv"]
        assert file.notes[0] == "it wants to call 'os.getenv'; it was not called"
    meta.planner_data = None
    describe(tmp_path / "c", meta)
    with open_weights(str(tmp_path / "c")) as file:
        assert file.calls() == ["os.getenv"]
        np.testing.assert_array_equal(file.values(file.find("w")), W.numpy())
    next(info for index, info in meta.storage_data.items() if index.fqn == "epoch").transform_descriptors = ["zstd"]
    describe(tmp_path / "c", meta)
    with open_weights(str(tmp_path / "c")) as file, pytest.raises(InputError, match="is packed: its calls can't be"):
        file.calls()


def change(meta: Metadata, what: str) -> None:
    """Make the description say something else of the tensor ``w``."""
    entry, info = meta.state_dict_metadata["w"], next(iter(meta.storage_data.values()))
    assert not isinstance(entry, checkpoint.BytesStorageMetadata)
    if what == "missing":
        info.relative_path = "__9_0.distcp"
    elif what == "outside":
        info.relative_path = "../c/__0_0.distcp"
    elif what == "cut":
        info.length = 1 << 40
    elif what == "packed":
        info.transform_descriptors = ["zstd"]
    elif what == "nowhere":
        meta.storage_data.clear()
    elif what == "gap":
        entry.chunks.pop()
    elif what == "beyond":
        entry.chunks[1].offsets = torch.Size([4, 0])
    elif what == "axes":
        entry.chunks[1].sizes = torch.Size([12])
    elif what == "dtype":
        entry.properties.dtype = torch.quint8
    elif what == "shape":
        entry.size = (2**40, 2**40)  # type: ignore[assignment]


FLAGS = {
    "missing": "lies in '__9_0.distcp': no such file",
    "outside": "lies in '../c/__0_0.distcp': it lies outside of the checkpoint's folder; not read",
    "cut": "lies in '__0_0.distcp': the file ends at byte ",
    "packed": "is packed by an extension of the writer's, which is not undone",
    "nowhere": "has a part of which it is not said where it lies",
    "gap": "is not covered by its parts",
    "beyond": "is not covered by its parts",
    "axes": "is not covered by its parts",
    "dtype": "has the dtype 'quint8', whose values are not read",
    "shape": "it declares the shape",
}


@pytest.mark.parametrize("what", FLAGS)
def test_what_the_description_gets_wrong_is_flagged(what: str, tmp_path: Path) -> None:
    meta = save_parts(tmp_path / "c", {"w": SHARDS["rows"], "v": (W, WHOLE)})
    change(meta, what)
    describe(tmp_path / "c", meta)
    with open_weights(str(tmp_path / "c")) as file:
        tensor = file.find("w")
        assert tensor.flag.startswith(FLAGS[what])
        assert bool(file.damage) == (what in ("missing", "outside", "cut"))
        with pytest.raises(InputError, match="tensor 'w' "):
            file.values(tensor)
        if what != "nowhere":
            np.testing.assert_array_equal(file.values(file.find("v")), W.numpy())


def test_what_is_wrong_with_many_tensors_is_one_line(tmp_path: Path) -> None:
    save_parts(tmp_path / "c", {"w": SHARDS["rows"], "v": (W, WHOLE)})
    for file in (tmp_path / "c").glob("*.distcp"):
        file.unlink()
    with open_weights(str(tmp_path / "c")) as opened:
        assert opened.damage == ["each of 2 tensors, 'w', 'v', lies in '__0_0.distcp': no such file"]


def test_parts_that_are_not_as_described(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    meta = save_parts(folder, {"w": SHARDS["rows"], "v": (W[:3], [((0, 0), (3, 6))]), "o": SHARDS["columns"]})
    place = {index.fqn: info for index, info in meta.storage_data.items() if index.index == 0}
    place["v"].offset, place["v"].length = place["o"].offset, place["o"].length
    entry = meta.state_dict_metadata["o"]
    assert not isinstance(entry, checkpoint.BytesStorageMetadata)
    entry.chunks[1].offsets = entry.chunks[0].offsets = torch.Size([0, 0])
    entry.chunks[1].sizes = torch.Size([5, 2])
    second = next(info for index, info in meta.storage_data.items() if index.fqn == "o" and index.index == 1)
    describe(folder, meta)
    with open_weights(str(folder)) as file:
        with pytest.raises(InputError, match=r"'v', '__0_0.distcp': what lies at byte .* is another tensor"):
            file.values(file.find("v"))
        with pytest.raises(InputError, match=r"'o', '__0_0.distcp': what lies at byte .* is another tensor"):
            file.values(file.find("o"))
    assert second.offset
    whole, again = (W[:, :3], [((0, 0), (5, 2)), ((0, 1), (5, 1))]), tmp_path / "d"
    save_parts(again, {"w": whole})
    with open_weights(str(again)) as file:
        with pytest.raises(InputError, match="'w' is not covered by its parts"):
            file.values(file.find("w"))
        (again / "__0_0.distcp").unlink()
        with pytest.raises(InputError, match=r"'__0_0.distcp' can't be read: No such file"):
            file.values(file.find("w"))


class Other:
    """A record of no kind that is known."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"state_dict_metadata": [1]}, "describes no checkpoint"),
        ({"state_dict_metadata": {1: 2}}, "describes no tensors by name"),
        ({"storage_data": {1: 2}}, "there is no MetadataIndex where one belongs"),
        ({"storage_data": {Other(a=1): Other(a=1)}}, "there is no MetadataIndex where one belongs"),
    ],
)
def test_a_description_of_something_else(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    describe(tmp_path, Metadata(**{"state_dict_metadata": {}, **fields}))
    with pytest.raises(InputError, match=message):
        open_weights(str(tmp_path))


def test_a_damaged_description(tmp_path: Path) -> None:
    meta = save_parts(tmp_path / "c", {"w": (W, WHOLE)})
    good = pickle.dumps(meta)
    for old, new, message in (
        (b"offsets", b"offsetz", "sizes that are no whole numbers"),
        (b"properties", b"propertiez", "a tensor without a dtype"),
        (b"relative_path", b"relative_pqth", "a part without a file, a start and a length"),
        (b"TensorStorageMetadata", b"TensorStorageMetadatz", None),
    ):
        (tmp_path / "c" / ".metadata").write_bytes(good.replace(old, new))
        if message is None:
            open_weights(str(tmp_path / "c")).close()
            continue
        with pytest.raises(InputError, match=message):
            open_weights(str(tmp_path / "c"))
    (tmp_path / "c" / ".metadata").write_bytes(pickle.dumps(Other()))
    with pytest.raises(InputError, match="no Metadata where one belongs"):
        open_weights(str(tmp_path / "c"))


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / ".metadata").write_text("{}")
    torch.save({"w": W}, tmp_path / "a.pt")
    with open_weights(str(tmp_path)) as file:
        assert [tensor.name for tensor in file.tensors] == ["w"]
    torch.save({"w": W}, tmp_path / "b.pt")
    with pytest.raises(InputError, match=r"a folder of 2 weight files, 'a\.pt', 'b\.pt'; give one of them"):
        open_weights(str(tmp_path))


def test_mutants_end_in_one_line(tmp_path: Path) -> None:
    save_parts(tmp_path / "c", {"w": SHARDS["rows"], "b": SHARDS["columns"]}, step=3)
    good = {path: path.read_bytes() for path in (tmp_path / "c").iterdir()}
    chance = random.Random(0)
    for _ in range(300):
        path = chance.choice(list(good))
        data = bytearray(good[path])
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data[: chance.choice([len(data), chance.randrange(len(data))])])
        with suppress(InputError), open_weights(str(tmp_path / "c")) as file:
            for tensor in file.tensors:
                with suppress(InputError):
                    file.values(tensor)
            file.calls()
        path.write_bytes(good[path])
