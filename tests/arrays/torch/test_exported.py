"""`torch.export`'s archives as torch writes them, and damaged ones."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from convtool.arrays import open_weights
from convtool.errors import InputError

CONFIG = "prog/data/weights/model_weights_config.json"


class Model(nn.Module):
    """Parameters and buffers of several types, some of them views."""

    def __init__(self) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(2, 4, generator=random))
        self.turned = nn.Parameter(torch.randn(4, 2, generator=random).t())
        self.short = nn.Parameter(torch.randn(3, generator=random).to(torch.bfloat16))
        self.register_buffer("count", torch.tensor([1, 2**40]))
        self.register_buffer("scalar", torch.tensor(2.5, dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        half = self.short.float().sum()
        return x @ (self.weight + self.turned) * self.scalar.float() + half + self.count.sum().float()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    path = tmp_path_factory.mktemp("exported") / "prog.pt2"
    model = Model().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about a parameter that is a view of its storage
        torch.export.save(torch.export.export(model, (torch.ones(3, 2),)), path)
    return path, model.state_dict()


def test_all_tensors_are_listed_and_read(exported: tuple[Path, dict[str, Any]]) -> None:
    path, state = exported
    with open_weights(str(path)) as file:
        assert (file.format, file.layout, file.notes) == ("torch", "torch", [])
        assert {tensor.name: (tensor.shape, tensor.dtype) for tensor in file.tensors} == {
            name: (tuple(value.shape), str(value.dtype).removeprefix("torch.")) for name, value in state.items()
        }
        for tensor in file.tensors:
            expected = state[tensor.name].detach()
            np.testing.assert_array_equal(file.values(tensor), expected.to(torch.float64).numpy())


class Tied(nn.Module):
    """Two layers of one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(3, 3, bias=False)
        self.two = nn.Linear(3, 3, bias=False)
        self.two.weight = self.one.weight
        self.last = nn.Linear(3, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.last(self.two(self.one(x)))
        return found


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tied") / "tied.pt2"
    torch.export.save(torch.export.export(Tied().eval(), (torch.ones(2, 3),)), path)
    return path


def test_tied_weights_are_counted_once(tied: Path) -> None:
    with open_weights(str(tied)) as file:
        assert {tensor.name: tensor.tied_to for tensor in file.tensors if tensor.tied_to} == {
            "two.weight": "one.weight"
        }
        assert sum(tensor.parameters for tensor in file.tensors) == 33
        assert sum(tensor.nbytes for tensor in file.tensors) == 132
        assert file.notes == []
        one, two = (file.find(f"{name}.weight") for name in ("one", "two"))
        np.testing.assert_array_equal(file.values(one), file.values(two))


def test_two_views_of_one_weight_are_no_tied_ones(tied: Path, tmp_path: Path) -> None:
    def turn(config: dict[str, Any]) -> None:
        config["config"]["two.weight"]["tensor_meta"]["strides"] = [{"as_int": 1}, {"as_int": 3}]

    changed = rewritten(tied, tmp_path / "m.pt2", turn, name="tied/data/weights/model_weights_config.json")
    with open_weights(changed) as file:
        assert [tensor.tied_to for tensor in file.tensors] == [""] * 4
        assert file.notes == ["'one.weight', 'two.weight' lie across each other in a storage and may share numbers"]
        one, two = (file.find(f"{name}.weight") for name in ("one", "two"))
        np.testing.assert_array_equal(file.values(one), file.values(two).T)


def rewritten(path: Path, target: Path, change: Callable[[dict[str, Any]], object], name: str = CONFIG) -> str:
    """The archive with its configuration changed."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename == name:
                found = json.loads(data)
                changed = change(found)
                data = json.dumps(found if changed is None else changed).encode()
            new.writestr(entry.filename, data)
    return str(target)


def meta(config: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = config["config"]["weight"]["tensor_meta"]
    return found


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        (lambda config: config["config"]["weight"].update(use_pickle=True), "is pickled; nothing is unpickled"),
        (lambda config: meta(config).update(dtype=99), "has a type that is not read: type 99"),
        (lambda config: config["config"]["weight"].update(path_name="gone"), "is not in the archive: 'gone'"),
        (lambda config: meta(config).update(sizes=[{"as_int": 2}, {"as_int": 5}]), "does not lie within the 32 bytes"),
        (lambda config: meta(config)["storage_offset"].update(as_int=-1), "does not lie within the 32 bytes"),
        (lambda config: meta(config).update(strides=[{"as_int": 4}]), "does not lie within the 32 bytes"),
    ],
)
def test_tensors_that_can_not_be_read_are_flagged(
    change: Callable[[dict[str, Any]], object], flag: str, exported: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    with open_weights(rewritten(exported[0], tmp_path / "x.pt2", change)) as file:
        tensor = file.find("weight")
        assert tensor.flag.startswith(flag)
        gone = flag.startswith(("is not in", "does not lie"))
        assert file.damage == ([f"tensor 'weight' {tensor.flag}"] if gone else [])
        with pytest.raises(InputError, match="tensor 'weight' "):
            file.values(tensor)
        assert file.find("short").readable


@pytest.mark.parametrize(
    "change",
    [
        lambda _: [],
        lambda _: {"config": []},
        lambda config: config["config"]["weight"].pop("tensor_meta"),
        lambda config: meta(config).update(sizes=[{"as_int": -2}]),
        lambda config: meta(config).update(strides=[{"as_int": "1"}]),
    ],
)
def test_configurations_that_are_none(
    change: Callable[[dict[str, Any]], object], exported: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    def changed(config: dict[str, Any]) -> object:
        found = change(config)
        return None if isinstance(found, dict) and "sizes" in found else found

    with pytest.raises(InputError):
        open_weights(rewritten(exported[0], tmp_path / "x.pt2", changed))


def test_a_view_of_too_much_is_refused(
    exported: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convtool.arrays.torch.exported._STRIDED_LIMIT", 8)
    with open_weights(str(exported[0])) as file:
        file.values(file.find("weight"))
        with pytest.raises(InputError, match="tensor 'turned' is a view of 32 bytes; the limit is 8"):
            file.values(file.find("turned"))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.95, 0.97, 0.99, 1])
def test_a_cut_archive_is_damaged(exported: tuple[Path, dict[str, Any]], tmp_path: Path, share: float) -> None:
    """Its sample inputs are an archive of their own, whose directory is the last that is there near the end."""
    whole = exported[0].read_bytes()
    (tmp_path / "x.pt2").write_bytes(whole[: int(share * len(whole)) - 1])
    with pytest.raises(InputError, match=r"^the zip archive is damaged: "):
        open_weights(str(tmp_path / "x.pt2"))


def test_damaged_archives(exported: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    whole = exported[0].read_bytes()
    noise = np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(3):
            data[int(noise.integers(len(data)))] = int(noise.integers(256))
        (tmp_path / "x.pt2").write_bytes(data)
        with suppress(InputError), open_weights(str(tmp_path / "x.pt2")) as file:
            for tensor in file.tensors:
                with suppress(InputError):
                    file.values(tensor)
