"""torch checkpoints: what torch.save writes is listed and read as torch.load reads it, hostile ones are not run."""

from __future__ import annotations

import io
import math
import os
import pickle
import struct
import subprocess
import sys
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from convtool.arrays import open_weights, raw
from convtool.arrays.description import PIECE_BYTES
from convtool.arrays.torch import values as torch_values
from convtool.arrays.torch.names import unwrap
from convtool.arrays.torch.values import TorchReader
from convtool.errors import InputError


def save_zip(path: Path, value: Any) -> None:
    torch.save(value, path)


def save_legacy(path: Path, value: Any) -> None:
    torch.save(value, path, _use_new_zipfile_serialization=False)


def save_deflated(path: Path, value: Any) -> None:
    torch.save(value, path)
    rewrite(path, method=zipfile.ZIP_DEFLATED)


def save_plain(path: Path, value: Any) -> None:
    path.write_bytes(pickle.dumps(value))


SAVERS = [save_zip, save_deflated, save_legacy, save_plain]


def rewrite(
    path: Path,
    change: Callable[[str, bytes], bytes] = lambda _, data: data,
    *,
    method: int = zipfile.ZIP_STORED,
) -> None:
    """Write the archive anew with members changed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: change(name, archive.read(name)) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


OPENED: list[TorchReader] = []


@pytest.fixture(autouse=True)
def closed_in_the_end() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


def opened(path: Path) -> TorchReader:
    file = open_weights(str(path))
    assert isinstance(file, TorchReader)
    OPENED.append(file)
    return file


def saved(path: Path, value: Any) -> TorchReader:
    torch.save(value, path)
    return opened(path)


def names(file: TorchReader) -> list[str]:
    return [tensor.name for tensor in file.tensors]


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        open_weights(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def unreadable(file: TorchReader, name: str) -> str:
    """Why a tensor's values can't be read."""
    tensor = file.find(name)
    assert not tensor.readable
    with pytest.raises(InputError) as caught:
        list(file.pieces(tensor))
    assert str(caught.value) == f"tensor {name!r} can't be read: {tensor.flag}"
    return tensor.flag


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.pt"


# Values

DTYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.float8_e4m3fn, torch.float8_e4m3fnuz, torch.float8_e5m2, torch.float8_e5m2fnuz, torch.float8_e8m0fnu),
    *(torch.complex128, torch.complex64, torch.complex32),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint64, torch.uint32, torch.uint16, torch.uint8),
    torch.bool,
]
UNTYPED = [torch.uint64, torch.uint32, torch.uint16, torch.complex32, *(d for d in DTYPES if "float8" in str(d))]
"""Types without a class of storages, which torch can't load from the format before 1.6, nor in another byte order."""

WIDER = {torch.bfloat16: torch.float32, torch.complex32: torch.complex64} | {
    dtype: torch.float32 for dtype in DTYPES if "float8" in str(dtype)
}


def any_bits(dtype: torch.dtype, *shape: int) -> torch.Tensor:
    """A tensor of random bytes, NaNs and all."""
    generator = torch.Generator().manual_seed(math.prod(shape))
    size = math.prod(shape) * dtype.itemsize
    raw = torch.randint(0, 2 if dtype is torch.bool else 256, (size,), dtype=torch.uint8, generator=generator)
    return raw.view(dtype).reshape(shape)


def as_loaded(tensor: torch.Tensor) -> np.ndarray:
    values: np.ndarray = tensor.to(WIDER.get(tensor.dtype, tensor.dtype)).resolve_conj().resolve_neg().numpy()
    return values


VIEWS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "whole": lambda tensor: tensor,
    "from the middle": lambda tensor: tensor[1:3],
    "transposed": lambda tensor: tensor.transpose(0, 2),
    "every second": lambda tensor: tensor[:, ::2, 1:],
    "one column": lambda tensor: tensor[:, 1, 2],
    "one number": lambda tensor: tensor[2, 1, 3],
    "repeated": lambda tensor: tensor[:1].expand(3, 3, 4),
    "nothing": lambda tensor: tensor[4:],
    "one of an axis": lambda tensor: tensor[:, 1:2, :].transpose(1, 2),
    "overlapping": lambda tensor: tensor.as_strided((3, 4), (2, 1), 5),
}


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
@pytest.mark.parametrize("save", SAVERS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_values_are_those_that_torch_loads(
    save: Callable[[Path, Any], None], dtype: torch.dtype, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensor = any_bits(dtype, 4, 3, 4)
    saved_views = {name: view(tensor) for name, view in VIEWS.items()}
    save(path, saved_views)
    if save is not save_plain and not (save is save_legacy and dtype in UNTYPED):
        loaded = torch.load(path, weights_only=True)
        assert all(
            np.array_equal(as_loaded(loaded[name]), as_loaded(saved_views[name]), equal_nan=True) for name in VIEWS
        )
    with opened(path) as file:
        assert names(file) == list(VIEWS)
        for piece in (PIECE_BYTES, 48):
            monkeypatch.setattr(torch_values, "PIECE_BYTES", piece)
            monkeypatch.setattr(raw, "PIECE_BYTES", piece)
            for info in file.tensors:
                expected = as_loaded(saved_views[info.name])
                values = file.values(info)
                np.testing.assert_array_equal(values, expected, strict=True)
                assert values.tobytes() == expected.tobytes() or np.isnan(expected).any()
                assert (info.shape, info.dtype) == (expected.shape, str(dtype).removeprefix("torch."))
                assert info.nbytes == expected.size * dtype.itemsize
                assert info.parameters == expected.size
                assert (info.flag, info.readable, info.tied_to) == ("", True, "")
                assert all(part.nbytes <= piece for part in file.pieces(info))
                (share,) = file.shares(info)
                assert sum(part.size for part in share) == expected.size


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_big_endian_archives(dtype: torch.dtype, path: Path) -> None:
    tensor = any_bits(dtype, 3, 5)
    views = {"whole": tensor, "part": tensor[:, 1:3]}
    torch.save(views, path)
    swapped = dtype.itemsize // (2 if dtype.is_complex else 1)

    def change(name: str, data: bytes) -> bytes:
        if name.endswith("/byteorder"):
            return b"big"
        return np.frombuffer(data, f"u{swapped}").byteswap().tobytes() if "/data/" in name else data

    rewrite(path, change)
    loaded = views if dtype in UNTYPED else torch.load(path, weights_only=True)
    with opened(path) as file:
        for name, view in views.items():
            np.testing.assert_array_equal(file.values(file.find(name)), as_loaded(view), strict=True)
            np.testing.assert_array_equal(as_loaded(loaded[name]), as_loaded(view))


@pytest.mark.parametrize("save", [save_zip, save_plain])
def test_conjugate_and_negative_views(save: Callable[[Path, Any], None], path: Path) -> None:
    tensor = torch.tensor([[1 + 2j, -3j], [0.5, -1 - 1j]])
    views = {"conj": tensor.conj(), "neg": tensor.clone().conj().imag, "both": tensor.t().conj()[1], "as it is": tensor}
    save(path, views)
    with opened(path) as file:
        for name, view in views.items():
            np.testing.assert_array_equal(file.values(file.find(name)), as_loaded(view), strict=True)
        assert [info.tied_to for info in file.tensors] == [""] * 4


@pytest.mark.parametrize("save", SAVERS)
def test_long_tensors_come_in_pieces(save: Callable[[Path, Any], None], path: Path) -> None:
    long = torch.arange(600_000.0)
    save(path, {"in order": long, "turned": long.view(1000, 600).t(), "narrow": long.to(torch.bfloat16)})
    with opened(path) as file:
        for name, expected in (
            ("in order", long),
            ("turned", long.view(1000, 600).t()),
            ("narrow", long.bfloat16().float()),
        ):
            pieces = [piece.copy() for piece in file.pieces(file.find(name))]
            assert [piece.nbytes for piece in pieces] == [PIECE_BYTES] * 2 + [2_400_000 - 2 * PIECE_BYTES]
            np.testing.assert_array_equal(np.concatenate(pieces), expected.numpy().reshape(-1))


def test_a_truth_value_is_any_byte_but_0(path: Path) -> None:
    torch.save(torch.tensor([True, False, True]), path)
    rewrite(path, lambda name, data: b"\2\0\xff" if name.endswith("data/0") else data)
    with opened(path) as file:
        assert file.values(file.tensors[0]).tolist() == [True, False, True]


# Listing


@pytest.mark.parametrize("save", SAVERS)
def test_listing_and_names(save: Callable[[Path, Any], None], path: Path) -> None:
    save(path, {"a\x1b[31m": torch.zeros(2, 3), "b": torch.nn.Parameter(torch.ones(4)), "c": torch.ones(())})
    with opened(path) as file:
        assert (file.format, file.layout) == ("torch", "torch")
        assert [(info.name, info.shape, info.nbytes) for info in file.tensors] == [
            ("a\x1b[31m", (2, 3), 24),
            ("b", (4,), 16),
            ("c", (), 4),
        ]
        assert file.metadata == {}


@pytest.mark.parametrize("save", [save_zip, save_legacy])
def test_a_checkpoint_of_tensors_needs_no_notes(save: Callable[[Path, Any], None], path: Path) -> None:
    save(path, torch.nn.Sequential(torch.nn.Conv1d(1, 2, 3), torch.nn.LSTM(2, 3)).state_dict())
    assert opened(path).notes == []


@pytest.mark.parametrize("save", [save_zip, save_legacy])
def test_a_single_tensor(save: Callable[[Path, Any], None], path: Path) -> None:
    save(path, torch.arange(5))
    with opened(path) as file:
        assert names(file) == ["tensor"]
        assert file.values(file.tensors[0]).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("save", [save_zip, save_legacy])
def test_listing_needs_neither_torch_nor_numpy(save: Callable[[Path, Any], None], path: Path) -> None:
    save(path, {"w": torch.ones(3)})
    script = (
        "import sys\nfrom convtool.arrays import open_weights\n"
        f"assert open_weights({str(path)!r}).tensors[0].shape == (3,)\n"
        "print({'torch', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout == b"set()\n"


def test_tied_tensors_count_once(path: Path) -> None:
    weight = torch.ones(3, 4)
    other = weight.view(4, 3)
    file = saved(
        path, {"a": weight, "b": weight, "c": weight.detach(), "d": other, "e": weight[:, :1], "f": weight[:, :1]}
    )
    assert [(info.tied_to, info.nbytes, info.parameters) for info in file.tensors] == [
        ("", 48, 12),
        ("a", 0, 0),
        ("a", 0, 0),
        ("", 48, 12),
        ("", 12, 3),
        ("e", 0, 0),
    ]
    assert file.notes == ["'a', 'd', 'e' lie across each other in a storage and may share numbers"]
    np.testing.assert_array_equal(file.values(file.find("c")), np.ones((3, 4)))


def test_parts_of_one_storage_that_do_not_touch_need_no_note(path: Path) -> None:
    flat = torch.arange(12.0)
    file = saved(path, {"b": flat[6:], "a": flat[:6], "none": flat[3:3]})
    assert file.notes == []
    assert [file.values(info).tolist() for info in file.tensors] == [[6, 7, 8, 9, 10, 11], [0, 1, 2, 3, 4, 5], []]


def test_a_stretch_within_another_is_told_though_a_third_begins_between(path: Path) -> None:
    flat = torch.arange(12.0)
    file = saved(path, {"whole": flat, "first": flat[:2], "last": flat[10:]})
    assert file.notes == ["'whole', 'first', 'last' lie across each other in a storage and may share numbers"]


def test_entries_that_are_no_tensors(path: Path) -> None:
    value = {
        "epoch": 3,
        "lr": 0.5,
        "name": "x" * 300,
        "on": True,
        "steps": [1, 2],
        "of": {"args": {"deep": 1}, "n": None},
    }
    file = saved(path, {**value, "w": torch.ones(1)})
    assert file.metadata == {"epoch": "3", "lr": "0.5", "name": "x" * 200, "on": "True", "of.args.deep": "1"}
    assert file.notes == []
    file = saved(path, {"w": torch.ones(1), "deep": {str(index): index for index in range(300)}, "epoch": 3})
    assert list(file.metadata.items())[:2] == [("deep.0", "0"), ("deep.1", "1")]
    assert len(file.metadata) == 32
    assert file.notes == ["269 more entries are no tensors"]
    assert saved(path, 5).metadata == {}


def test_keys_that_are_no_text(path: Path) -> None:
    tensor = torch.ones(1)
    file = saved(path, {1: tensor, ("a", 1): tensor * 2, None: [tensor * 3, (tensor * 4,)], b"x" * 200: tensor})
    assert names(file) == ["1", "[1]", "[2].0", "[2].1.0", "[3]"]
    file = saved(path, {"1": tensor, 1: tensor + 1, "1 (2)": tensor + 2})
    assert names(file) == ["1", "1 (3)", "1 (2)"]


@pytest.mark.parametrize(
    ("paths", "expected", "left_out"),
    [
        ([("state_dict", "a"), ("state_dict", "b")], ["a", "b"], "state_dict."),
        ([("model_state_dict", "a"), ("optimizer_state_dict", "state", "0", "step")], None, "model_state_dict."),
        ([("state_dict", "module.a"), ("state_dict", "module.b")], ["a", "b"], "state_dict.module."),
        ([("state_dict", "module.a"), ("state_dict", "b")], ["module.a", "b"], "state_dict."),
        ([("state_dict", "module.a"), ("rng",)], ["a", "rng"], "state_dict.module."),
        ([("module", "a")], ["a"], "module."),
        ([("state_dict", "model", "module.a")], ["a"], "state_dict.model.module."),
        ([("model", "a"), ("ema", "a")], ["model.a", "ema.a"], ""),
        ([("model", "a"), ("ema", "shadow", "a")], ["model.a", "ema.shadow.a"], ""),
        ([("model", "a"), ("a",)], ["model.a", "a"], ""),
        ([("model", "a"), ("state_dict", "b")], ["model.a", "state_dict.b"], ""),
        ([("net", "a")], ["net.a"], ""),
        ([("module.a",), ("module.b",)], ["a", "b"], "module."),
        ([("model.a",)], ["model.a"], ""),
        ([("model",)], ["model"], ""),
        ([()], ["tensor"], ""),
        ([], [], ""),
        ([("model",) * 6], ["model.model"], "model.model.model.model."),
    ],
)
def test_wrapping_keys(paths: list[tuple[str, ...]], expected: list[str] | None, left_out: str) -> None:
    assert unwrap(paths) == (["a", "optimizer_state_dict.state.0.step"] if expected is None else expected, left_out)


def test_a_training_checkpoint(path: Path) -> None:
    model = torch.nn.DataParallel(torch.nn.Linear(2, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.25, momentum=0.5)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    file = saved(path, {"state_dict": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 7})
    assert names(file) == [
        "weight",
        "bias",
        "optimizer.state.0.momentum_buffer",
        "optimizer.state.1.momentum_buffer",
    ]
    assert file.metadata["prefix"] == "state_dict.module."
    assert file.metadata["epoch"] == "7"
    assert file.metadata["optimizer.param_groups.0.momentum"] == "0.5"


def test_what_is_shared_is_listed_once(path: Path) -> None:
    inner = {"w": torch.ones(1)}
    empty: list[int] = []
    file = saved(path, {"a": inner, "b": {"c": inner}, "d": [empty, empty, (1,), (1,)]})
    assert names(file) == ["a.w"]
    assert file.notes == ["'b.c' is the same as 'a' and listed there alone"]
    loop: dict[str, Any] = {"w": torch.ones(1)}
    loop["again"] = loop
    file = saved(path, loop)
    assert (names(file), file.notes) == (["w"], [])


# Modules


@pytest.mark.parametrize("save", [save_zip, save_legacy, save_plain])
def test_a_pickled_module_lists_its_tensors_and_layers(save: Callable[[Path, Any], None], path: Path) -> None:
    model = torch.nn.Sequential(
        OrderedDict(
            conv=torch.nn.ConvTranspose1d(2, 4, 3, groups=2),
            inner=torch.nn.ModuleDict({"model": torch.nn.LSTM(4, 3), "norm": torch.nn.BatchNorm1d(4)}),
        )
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch finds no source of its own containers
        save(path, model)
    with opened(path) as file:
        expected = model.state_dict()
        assert names(file) == list(expected)
        for name, tensor in expected.items():
            np.testing.assert_array_equal(file.values(file.find(name)), tensor.numpy())
        conv = file.find("conv.weight")
        assert (conv.layer, conv.config["groups"], conv.config["kernel_size"]) == ("ConvTranspose1d", 2, (3,))
        assert "training" not in conv.config
        assert file.find("inner.model.bias_hh_l0").config["hidden_size"] == 3
        assert file.find("inner.norm.running_mean").layer == "BatchNorm1d"
        assert file.metadata == {}
        made = [note for note in file.notes if note.startswith("it is a pickled module and wants to make")]
        assert len(made) == 1
        assert made[0].endswith("none was made")
        for kind in ("container.Sequential", "conv.ConvTranspose1d", "rnn.LSTM", "batchnorm.BatchNorm1d"):
            assert f"'torch.nn.modules.{kind}'" in made[0]


def test_a_module_in_a_checkpoint(path: Path) -> None:
    file = saved(path, {"model": torch.nn.Sequential(torch.nn.Linear(1, 1)), "epoch": 1})
    assert names(file) == ["0.weight", "0.bias"]
    assert file.metadata == {"prefix": "model.", "epoch": "1"}


class Slotted:
    __slots__ = ("held", "text")

    def __init__(self) -> None:
        self.held = [torch.ones(2)]
        self.text = "not shown"


class Row(list[Any]):
    pass


def test_objects_of_any_class(path: Path) -> None:
    file = saved(path, {"slots": Slotted(), "row": Row([torch.zeros(1), 5]), "w": torch.ones(1)})
    assert names(file) == ["slots.held.0", "row.0", "w"]
    assert [info.layer for info in file.tensors] == ["", "Row", ""]
    assert file.notes == [
        f"it wants to call '{__name__}.Slotted'; it was not called",
        f"it wants to call '{__name__}.Row'; it was not called",
    ]
    assert file.metadata == {}


def scripted(path: Path, *, freeze: bool = False) -> torch.nn.Module:
    model = torch.nn.Sequential(torch.nn.Conv1d(1, 2, 3)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated in favour of torch.export
        program = torch.jit.script(model)
        (torch.jit.freeze(program) if freeze else program).save(str(path))
    return model


def test_torchscript(path: Path) -> None:
    model = scripted(path)
    with opened(path) as file:
        assert names(file) == ["0.weight", "0.bias"]
        assert file.tensors[0].layer == "Conv1d"
        np.testing.assert_array_equal(file.values(file.tensors[0]), model[0].weight.detach().numpy())  # type: ignore[index]
        assert file.notes[-1] == "it is a TorchScript archive; its program was not run"


def test_the_inputs_that_torchscript_was_traced_with_are_its_own(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(torch.nn.Linear(3, 2), torch.ones(1, 3)), path)
    with zipfile.ZipFile(path) as archive:
        assert any(name.endswith("/traced_inputs.pkl") for name in archive.namelist())
    with opened(path) as file:
        assert names(file) == ["weight", "bias"]
        assert file.notes[-1] == "it is a TorchScript archive; its program was not run"


def test_torchscript_whose_weights_became_constants(path: Path) -> None:
    model = scripted(path, freeze=True)
    with opened(path) as file:
        assert [(info.name, info.shape) for info in file.tensors] == [("constants.0", (2, 1, 3)), ("constants.1", (2,))]
        np.testing.assert_array_equal(file.values(file.tensors[1]), model[0].bias.detach().numpy())  # type: ignore[index]


# Other tensors


class Subclass(torch.Tensor):
    pass


def test_a_tensor_of_a_class_is_a_tensor(path: Path) -> None:
    file = saved(path, {"w": torch.arange(3.0).as_subclass(Subclass)})
    assert file.values(file.find("w")).tolist() == [0, 1, 2]
    assert file.notes == [f"it wants to import '{__name__}.Subclass'; nothing was imported"]


def test_tensors_without_plain_values_are_listed(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of these are in beta, some deprecated
        matrix = torch.tensor([[0.0, 1, 2], [0, 0, 3]])
        value = {
            "coo": matrix.to_sparse(),
            "csr": matrix.to_sparse_csr(),
            "meta": torch.ones(2, 3, device="meta"),
            "real zeros": torch.quantize_per_channel(matrix, torch.ones(2), torch.zeros(2), 0, torch.quint4x2),
            "nested": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        }
        file = saved(path, value)
    assert [(info.name, info.shape, info.dtype, info.nbytes) for info in file.tensors] == [
        ("coo", (2, 3), "float32", 3 * 4 + 6 * 8),
        ("csr", (2, 3), "float32", 3 * 4 + 3 * 8 + 3 * 8),
        ("meta", (2, 3), "float32", 0),
        ("real zeros", (2, 3), "quint4x2", 6),
        ("nested", (5,), "float32", 20),
    ]
    assert unreadable(file, "coo") == "sparse (torch.sparse_coo); its values are not read"
    assert unreadable(file, "csr") == "sparse (torch.sparse_csr); its values are not read"
    assert unreadable(file, "meta") == "a meta tensor, which has no values"
    assert unreadable(file, "real zeros") == "quantised; its values are not read"
    assert unreadable(file, "nested") == "nested tensors, shown as the buffer that they share; its values are not read"
    assert file.notes == []


@pytest.mark.parametrize("dtype", [torch.quint8, torch.qint8, torch.qint32])
def test_quantised_tensors_give_the_numbers_that_torch_makes_of_them(path: Path, dtype: torch.dtype) -> None:
    matrix = torch.linspace(-3, 9, 600_000).reshape(3, 200_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are deprecated
        value = {
            "one": torch.quantize_per_tensor(matrix, 0.1, 3, dtype),
            "turned": torch.quantize_per_tensor(matrix, 0.07, 0, dtype).t(),
            "none": torch.quantize_per_tensor(torch.zeros(0, 2), 0.1, 3, dtype),
            "rows": torch.quantize_per_channel(
                matrix, torch.tensor([0.1, 0.2, 0.3]), torch.tensor([1, 2, 3]), 0, dtype
            ),
            "columns": torch.quantize_per_channel(
                matrix[:, :4].contiguous(), torch.tensor([0.1, 0.2, 0.3, 0.5]), torch.tensor([1, 2, 3, 0]), 1, dtype
            ),
        }
        file = saved(path, value)
        expected = {name: tensor.dequantize() for name, tensor in value.items()}
    for info in file.tensors:
        values = file.values(info)
        assert info.dtype == str(dtype).removeprefix("torch.")
        assert values.shape == info.shape
        np.testing.assert_array_equal(values, expected[info.name].numpy())
    assert file.find("one").flag == "quantised: scale 0.1, zero point 3"
    assert file.find("rows").flag == "quantised: a scale and a zero point for each index of axis 0"


def test_two_numbers_a_byte_are_counted_and_read(path: Path) -> None:
    codes = torch.tensor([[0x10, 0x32, 0x54], [0x76, 0x98, 0xFA]], dtype=torch.uint8)
    value = {"halves": codes.view(torch.float4_e2m1fn_x2), "one": codes[0, 0].view(torch.float4_e2m1fn_x2)}
    file = saved(path, value)
    halves, one = file.tensors
    assert [halves.shape, halves.dtype, halves.parameters, halves.nbytes] == [(2, 6), "float4_e2m1fn", 12, 6]
    assert file.values(halves).tolist() == [[0, 0.5, 1, 1.5, 2, 3], [4, 6, 0, -0.5, -1, -6]]
    assert (one.shape, file.values(one).tolist()) == ((2,), [0, 0.5])


# Streams that torch would not have written


class Named:
    """What pickles as a name, without being importable."""

    def __init__(self, name: str) -> None:
        self.name = name


class Stored:
    """What pickles as a reference to a storage."""

    def __init__(self, *identity: Any) -> None:
        self.identity = identity


class Made:
    """What pickles as a call of a name, with a state."""

    def __init__(self, name: str, *arguments: Any, state: Any = None) -> None:
        self.name, self.arguments, self.state = name, arguments, state


class Pickler(pickle._Pickler):  # type: ignore[name-defined]  # the one in Python, which can be taught what to write
    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, Named):
            module, _, name = obj.name.rpartition(".")
            self.write(f"c{module}\n{name}\n".encode())
        elif isinstance(obj, Stored):
            super().save(obj.identity)
            self.write(b"Q")
        elif isinstance(obj, Made):
            self.save(Named(obj.name))
            super().save(obj.arguments)
            self.write(b"R")
            if obj.state is not None:
                super().save(obj.state)
                self.write(b"b")
        else:
            super().save(obj, save_persistent_id)


def pickled(value: Any) -> bytes:
    file = io.BytesIO()
    Pickler(file, 2).dump(value)
    return file.getvalue()


def storage(key: Any = "0", count: Any = 6, kind: str = "torch.FloatStorage", *more: Any) -> Stored:
    return Stored("storage", Named(kind), key, "cpu", count, *more)


def tensor(
    held: Any = None, *, offset: Any = 0, size: Any = (2, 3), stride: Any = (3, 1), metadata: Any = None
) -> Made:
    more = () if metadata is None else (metadata,)
    return Made("torch._utils._rebuild_tensor_v2", held or storage(), offset, size, stride, False, None, *more)


def held_by(parameters: int, made: Made) -> Made:
    return held_by(parameters - 1, Made("torch._utils._rebuild_parameter", made, True, None)) if parameters else made


SIX = np.arange(6, dtype="f4").tobytes()


def crafted(path: Path, value: Any, members: dict[str, bytes] | None = None) -> Path:
    """An archive of that stream, and of one storage of six numbers unless told otherwise."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", value if isinstance(value, bytes) else pickled(value))
        for name, data in ({"a/data/0": SIX} if members is None else members).items():
            archive.writestr(name, data)
    return path


def crafted_legacy(path: Path, value: Any, storages: dict[Any, tuple[int, bytes]]) -> Path:
    head = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    data = [struct.pack("<q", count) + stored for count, stored in storages.values()]
    path.write_bytes(b"".join([*head, pickled(value), pickle.dumps(list(storages), 2), *data]))
    return path


def test_the_crafted_archive_is_what_torch_reads(path: Path) -> None:
    crafted(path, {"w": tensor()}, {"a/data/0": SIX, "a/version": b"3\n", "a/byteorder": b"little"})
    np.testing.assert_array_equal(torch.load(path, weights_only=True)["w"].numpy(), np.arange(6).reshape(2, 3))
    with opened(path) as file:
        np.testing.assert_array_equal(file.values(file.find("w")), np.arange(6).reshape(2, 3))
        assert file.notes == []


def test_a_call_of_anything_is_told_and_not_done(path: Path, tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "made"),)

    for save in (save_zip, save_legacy, save_plain):
        save(path, {"w": torch.ones(2), "x": Hostile(), "v": torch.zeros(1)})
        with opened(path) as file:
            assert names(file) == ["w", "v"]
            assert "it wants to call 'posix.mkdir'; it was not called" in file.notes
            assert file.values(file.find("w")).tolist() == [1, 1]
    assert os.listdir(tmp_path) == ["model.pt"]


def test_the_names_that_matter_come_first(path: Path) -> None:
    calls = [Made(f"made.up.{letter}\x1b", tensor()) for letter in "abcdefghijklmnopqrst"]
    crafted(path, [*calls, Made("os.system", "x"), Made("torch.nn.modules.conv.Conv1d"), Named("n" * 300 + ".m")])
    file = opened(path)
    assert file.notes[0] == "it wants to call 'os.system'; it was not called"
    assert file.notes[1] == "it wants to call 'made.up.a\\x1b'; it was not called"
    assert file.notes[16] == "it wants to call 5 more names; they were not called"
    assert file.notes[17] == "it is a pickled module and wants to make 'torch.nn.modules.conv.Conv1d'; none was made"
    assert file.notes[18] == f"it wants to import '{'n' * 299}; nothing was imported"
    assert names(file) == [f"{index}.0" for index in range(20)]


def test_tensors_within_calls_are_listed(path: Path) -> None:
    inner = Made("m.C", tensor(), state={"w": tensor(), "_parameters": {"p": tensor()}, "__dict__": 1})
    outer = Made("m.D", [inner], state=(None, {"v": tensor()}))
    crafted(path, {"x": outer, "y": Made("m.E", state=[tensor()]), "z": Made("m.F", state=(1, 2, tensor()))})
    assert names(opened(path)) == ["x.0.0.0", "x.0.0.w", "x.0.0.p", "x.v", "y.0", "z.2"]


def test_a_call_of_what_a_call_gives(path: Path) -> None:
    stream = b"}X\1\0\0\0xcm\nC\n" + pickled(tensor())[2:-1] + b"\x85R)Rs."
    file = opened(crafted(path, stream))
    assert names(file) == ["x.0"]
    assert opened(crafted(path, b"}X\1\0\0\0xcm\nC\n)R(K\1Q)RK\2}b" + b"1NN" + b"s.")).tensors == ()
    assert (
        opened(crafted(path, b"}X\1\0\0\0xNQ)R}X\1\0\0\0w" + pickled(tensor())[2:-1] + b"sbs.")).tensors[0].layer == ""
    )


def quantised(*parameters: Any, held: Any = None) -> Made:
    held = held or storage("0", 6, "torch.QInt8Storage")
    return Made("torch._utils._rebuild_qtensor", held, 0, (2, 3), (3, 1), parameters, False, None)


PER_TENSOR, PER_CHANNEL = Named("torch.per_tensor_affine"), Named("torch.per_channel_affine")
SCALES = tensor(storage("1", 2), size=(2,), stride=(1,))
ZEROS = tensor(storage("2", 2, "torch.LongStorage"), size=(2,), stride=(1,))


def test_crafted_scales_are_read_and_those_that_are_missing_told(path: Path) -> None:
    numbers = {"a/data/0": bytes(range(6)), "a/data/1": np.array([2, 0.5], "<f4").tobytes()}
    zeros = {"a/data/2": np.array([1, 0], "<i8").tobytes()}
    far = tensor(storage("1", 2, "torch.FloatStorage", ("v", 1, 1)), size=(2,), stride=(1,))
    value = {
        "w": quantised(PER_CHANNEL, SCALES, ZEROS, 0),
        "far": quantised(PER_CHANNEL, far, ZEROS, 0),
        "huge": quantised(PER_TENSOR, 1e300, 0),
    }
    file = opened(crafted(path, value, numbers | zeros))
    assert file.values(file.find("w")).tolist() == [[-2, 0, 2], [1.5, 2, 2.5]]
    assert unreadable(file, "far").startswith("quantised; of its scales or zero points it looks at bytes up to ")
    assert file.values(file.find("huge"))[1].tolist() == [np.inf] * 3
    file = opened(crafted(path, value, numbers))
    assert unreadable(file, "w") == "quantised; its scales or zero points are not in the file"


@pytest.mark.parametrize(
    "other",
    [
        quantised(PER_TENSOR, 1, 0),
        quantised(PER_TENSOR, 0.5, 1 << 31),
        quantised(Named("torch.per_channel_affine_float_qparams"), SCALES, SCALES, 0),
        quantised(PER_TENSOR, 0.5, 0, held=storage()),
    ],
)
def test_other_schemes_are_listed_alone(path: Path, other: Made) -> None:
    assert unreadable(opened(crafted(path, {"w": other})), "w") == "quantised; its values are not read"


@pytest.mark.parametrize(
    "damaged",
    [
        quantised(PER_CHANNEL, SCALES, ZEROS, 2),
        quantised(PER_CHANNEL, SCALES, ZEROS, 1),
        quantised(PER_CHANNEL, Made("os.system"), ZEROS, 0),
        quantised(PER_CHANNEL, SCALES, SCALES, 0),
        quantised(PER_CHANNEL, ZEROS, ZEROS, 0),
        tensor(5),
        tensor(Stored("module", Named("torch.FloatStorage"), "0", "cpu", 6)),
        tensor(Stored("storage", "torch.FloatStorage", "0", "cpu", 6)),
        tensor(Stored("storage")),
        tensor(Stored(*range(1000))),
        tensor(storage(kind="os.system")),
        tensor(storage(key=1.5)),
        tensor(storage(count=-6)),
        tensor(storage(count="6")),
        tensor(storage("0", 6, "torch.FloatStorage", ("1", 2, 5))),
        tensor(storage("0", 6, "torch.FloatStorage", None, None)),
        tensor(offset=-1),
        tensor(offset=True),
        tensor(size=(2, -3)),
        tensor(size=(2, 3, 1)),
        tensor(size="23"),
        tensor(size=(1,) * 65, stride=(1,) * 65),
        tensor(size=(2**62, 1)),
        tensor(stride=(-3, 1)),
        tensor(held=storage(kind="torch.BoolStorage"), metadata={"neg": True}),
        Made("torch._utils._rebuild_tensor_v2"),
        Made("torch._utils._rebuild_tensor_v2", *range(100)),
        Made("torch._utils._rebuild_tensor_v3", storage(), 0, (6,), (1,), False, None, "float32"),
        Made("torch._utils._rebuild_tensor_v3", storage(), 0, (6,), (1,)),
        Made("torch._utils._rebuild_parameter"),
        Made("torch._utils._rebuild_parameter", 5),
        held_by(9, tensor()),
        Made("torch._utils._rebuild_sparse_tensor", "coo", ()),
        Made("torch._utils._rebuild_sparse_tensor", "coo", [tensor()]),
        Made("torch._utils._rebuild_sparse_tensor", "coo", (tensor(), tensor())),
        Made("torch._utils._rebuild_nested_tensor", 5),
        Made("torch._utils._rebuild_meta_tensor_no_storage", Named("torch.float32")),
        Made("torch._tensor._rebuild_from_type_v2", 5),
    ],
)
def test_damaged_descriptions_are_flagged_and_the_rest_is_listed(damaged: Any, path: Path) -> None:
    crafted(path, {"bad": damaged, "good": tensor()})
    file = opened(path)
    assert names(file) == ["bad", "good"]
    assert unreadable(file, "bad") == "its description is damaged"
    assert file.tensors[0].shape == ()
    assert file.values(file.find("good")).shape == (2, 3)


def test_a_dtype_that_is_not_known_is_flagged(path: Path) -> None:
    call = Made("torch._utils._rebuild_tensor_v3", storage(), 0, (6,), (1,), False, None, Named("torch.float3\x1b"))
    file = opened(crafted(path, {"w": call}))
    assert [(info.shape, info.dtype, info.nbytes) for info in file.tensors] == [((6,), "float3\x1b", 0)]
    assert unreadable(file, "w") == r"dtype 'float3\x1b', whose values are not read"


@pytest.mark.parametrize(
    ("made", "flag"),
    [
        (tensor(offset=1), "it looks at bytes up to 28 of a storage of 24"),
        (tensor(stride=(4, 1)), "it looks at bytes up to 28 of a storage of 24"),
        (
            tensor(storage("0", 6, "torch.FloatStorage", ("v", 2, 3)), size=(4,), stride=(1,)),
            "it looks at bytes up to 16 of a storage of 12",
        ),
        (tensor(size=(2**40, 1), stride=(0, 1)), "its values are not stored in order and take or span more than"),
        (tensor(size=(2**40, 2**40), stride=(0, 0)), "it declares the shape"),
        (tensor(size=(2**60, 0), stride=(1, 1)), "it declares the shape"),
    ],
)
def test_views_that_do_not_fit_are_flagged(made: Made, flag: str, path: Path) -> None:
    file = opened(crafted(path, {"bad": made, "good": tensor()}))
    assert unreadable(file, "bad").startswith(flag)
    assert file.values(file.find("good")).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_view_that_spans_more_than_memory_should_hold(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_values, "VALUES_LIMIT", 16)
    file = opened(crafted(path, {"bad": tensor(size=(2,), stride=(5,)), "good": tensor(size=(2,), stride=(3,))}))
    assert (
        unreadable(file, "bad") == "its values are not stored in order and take or span more than 16 bytes, the limit"
    )
    assert file.values(file.find("good")).tolist() == [0, 3]


def test_names_that_are_nested_deeper_than_any_model(path: Path) -> None:
    inner = pickled({"w": tensor()})[2:-1]
    assert names(opened(crafted(path, b"]" * 200 + inner + b"a" * 200 + b"."))) == ["0." * 200 + "w"]
    file = opened(crafted(path, b"]" * 260 + inner + b"a" * 260 + b"."))
    assert (file.tensors, file.notes[0]) == ((), "something is nested too deeply to be looked at")


def test_more_tensors_and_longer_names_than_any_model_has(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tensor()
    crafted(path, pickled([made])[:-2] + b"q\xff0](" + b"h\xff" * 70000 + b"e.")
    assert refusal(path) == "there are more than 65536 tensors, the limit"
    crafted(path, {"x" * 60000 + str(index): tensor() for index in range(290)})
    assert refusal(path) == "the tensors have names of more than 16777216 characters, the limit"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"a/data/0": SIX[:-1]}, "storage 'data/0' has 23 bytes; tensor 'w' needs one of 24 bytes"),
        ({"a/data/1": SIX}, "storage 'data/0' is not in the file; tensor 'w' needs one of 24 bytes"),
        ({"b/data/0": SIX}, "storage 'data/0' is not in the file"),
        ({"a/data/0": SIX, "a/data/../../x": b""}, "member 'a/data/../../x' leads out of the archive"),
        ({"a/data/0": SIX, "/etc/x\x1b": b""}, r"member '/etc/x\x1b' leads out of the archive"),
        ({"a/data/0": SIX, "a/byteorder": b"middle"}, "the byte order is b'middle'; expected little or big"),
        ({"a/data/0": SIX, "a/byteorder": bytes(1000)}, "member 'a/byteorder' unpacks to 1000 bytes; the limit is 64"),
    ],
)
def test_archives_that_contradict_themselves(members: dict[str, bytes], message: str, path: Path) -> None:
    assert refusal(crafted(path, {"w": tensor()}, members)).startswith(message)


def test_a_longer_storage_than_declared_is_none_the_worse(path: Path) -> None:
    file = opened(crafted(path, {"w": tensor()}, {"a/data/0": SIX + SIX}))
    assert file.values(file.find("w")).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_an_archive_without_a_checkpoint(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/other_data.pkl", b"N.")
    assert refusal(path) == "there is no data.pkl in the archive; expected a torch checkpoint"


def test_damaged_streams_and_archives(path: Path) -> None:
    assert refusal(crafted(path, b"\xff")) == "the pickle stream is damaged at byte 1"
    torch.save({"w": torch.ones(100)}, path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert refusal(path) == "the zip archive is damaged: its directory can't be read"
    path.write_bytes(data.replace(struct.pack("<f", 1) * 100, struct.pack("<f", 2) * 100))
    with opened(path) as file, pytest.raises(InputError, match=r"^member '.*data/0' is damaged: its checksum \(CRC\)"):
        list(file.pieces(file.tensors[0]))


def test_a_storage_that_is_packed_in_another_way_is_flagged(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickled({"w": tensor()}))
        archive.writestr("a/data/0", SIX, zipfile.ZIP_BZIP2)
    file = opened(path)
    assert unreadable(file, "w").startswith("member 'data/0' is packed by method 12")


def test_members_that_are_not_read_are_told(path: Path) -> None:
    crafted(path, {"w": tensor()}, {"a/data/0": SIX, "a/data/1": b"", "a/run.sh": b"", "b/data.pkl": b"N.", "c": b""})
    file = opened(path)
    assert names(file) == ["w"]
    assert file.notes == [
        "it has several data.pkl: 'a/data.pkl', 'b/data.pkl'; the tensors are those of the first",
        "no tensor uses 'data/1', 'run.sh'",
    ]
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("a/data/1", b"")
    assert "several members of one name, of which the last counts: 'a/data/1'" in opened(path).notes


def test_the_stream_that_torch_reads_is_the_one_of_the_first_folder(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("b/version", b"3")
        archive.writestr("a/data.pkl", pickled({"a": 1}))
        archive.writestr("b/data.pkl", pickled({"b": 1}))
    assert opened(path).metadata == {"b": "1"}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", pickled({"w": tensor()}))
        archive.writestr("data/0", SIX)
    assert opened(path).values(opened(path).tensors[0]).shape == (2, 3)


# The format before 1.6, and plain pickles


def test_the_crafted_legacy_file_is_what_torch_reads(path: Path) -> None:
    view = storage("7", 6, "torch.FloatStorage", ("8", 2, 3))
    value = {"a": tensor(storage("7", 6, "torch.FloatStorage", None)), "b": tensor(view, size=(3,), stride=(1,))}
    crafted_legacy(path, value, {"7": (6, SIX)})
    loaded = torch.load(path, weights_only=True)
    with opened(path) as file:
        for name in ("a", "b"):
            np.testing.assert_array_equal(file.values(file.find(name)), loaded[name].numpy(), strict=True)
        assert file.values(file.find("b")).tolist() == [2, 3, 4]
        assert file.notes == ["'a', 'b' lie across each other in a storage and may share numbers"]


def test_classes_with_their_source(path: Path) -> None:
    source = Stored("module", Named("my.Net"), "net.py", "class Net: pass")
    stream = b"}X\1\0\0\0m" + pickled(source)[2:-1] + b")\x81" + pickled({"w": tensor()})[2:-1] + b"bs."
    crafted_legacy(path, None, {"0": (6, SIX)})
    path.write_bytes(path.read_bytes().replace(pickled(None), stream))
    with opened(path) as file:
        assert [(info.name, info.layer) for info in file.tensors] == [("m.w", "Net")]
        assert file.notes == ["it wants to call 'my.Net'; it was not called"]
        assert file.values(file.tensors[0]).shape == (2, 3)


@pytest.mark.parametrize(
    ("storages", "message"),
    [
        ({"0": (6, SIX[:-1])}, "storage '0' declares 24 bytes, 23 are there"),
        ({"0": (2**61, SIX)}, f"storage '0' declares {2**63} bytes, 24 are there"),
        ({"0": (-1, SIX)}, "storage '0' declares -4 bytes, 24 are there"),
        ({"0": (5, SIX[:-4])}, "storage '0' has 20 bytes; tensor 'w' needs one of 24 bytes"),
        ({"1": (6, SIX)}, "the checkpoint has a storage that is declared nowhere"),
        ({1.5: (6, SIX)}, "the checkpoint has a storage that is declared nowhere"),
        ({}, "storage '0' is not in the file; tensor 'w' needs one of 24 bytes"),
    ],
)
def test_legacy_storages_that_do_not_fit(storages: dict[Any, tuple[int, bytes]], message: str, path: Path) -> None:
    crafted_legacy(path, {"w": tensor()}, storages)
    assert refusal(path) == message


def test_any_cut_of_a_legacy_file_is_told(path: Path) -> None:
    save_legacy(path, {"w": torch.ones(3), "v": torch.zeros(2)})
    data = path.read_bytes()
    for size in range(2, len(data)):
        path.write_bytes(data[:size])
        assert refusal(path).startswith(("the pickle stream is ", "storage '", "the checkpoint has a storage"))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([0x1950A86A20F9469CFC6C, 1002], "the checkpoint's protocol is not 1001, the only one known"),
        ([0x1950A86A20F9469CFC6C, 1001, list(range(100))], "the pickle stream has more than 40 opcodes, the limit"),
        ([0x1950A86A20F9469CFC6C, 1001, {}, {}, 5], None),
    ],
)
def test_legacy_headers(parts: list[Any], message: str | None, path: Path) -> None:
    path.write_bytes(b"".join(pickle.dumps(part, 2) for part in parts))
    if message is None:
        assert opened(path).tensors == ()
    else:
        assert refusal(path) == message


def test_a_file_that_shrinks_while_it_is_read(path: Path) -> None:
    save_legacy(path, {"w": torch.ones(600_000)})
    with opened(path) as file:
        pieces = file.pieces(file.tensors[0])
        next(pieces)
        os.truncate(path, 2_000_000)
        with pytest.raises(InputError, match=r"^the file shrank while it was read$"):
            list(pieces)


def test_a_plain_pickle_says_that_it_is_one(path: Path) -> None:
    weight = torch.nn.Parameter(torch.arange(4.0))
    path.write_bytes(pickle.dumps({"state_dict": {"a": weight, "b": weight, "c": torch.ones(1, dtype=torch.int8)}}))
    file = opened(path)
    assert [(info.name, info.tied_to) for info in file.tensors] == [("a", ""), ("b", "a"), ("c", "")]
    assert file.values(file.find("b")).tolist() == [0, 1, 2, 3]
    assert file.values(file.find("c")).tolist() == [1]
    assert file.notes == [
        "it is a plain pickle, which torch.save did not write",
        "it wants to call 'torch.storage._load_from_bytes'; it was not called",
    ]


def test_a_plain_pickle_of_the_first_protocols_has_its_storages_as_text(path: Path) -> None:
    path.write_bytes(pickle.dumps({"w": torch.ones(2)}, 2))
    assert unreadable(opened(path), "w") == "its storage is packed as text, by pickle protocol 2 or older, and not read"


def test_damage_within_a_plain_pickle(path: Path) -> None:
    data = pickle.dumps({"w": torch.ones(2), "v": torch.zeros(3)})
    magic = bytes.fromhex("6cfc9c46f9206aa85019")
    at = data.index(magic)
    path.write_bytes(data[:at] + bytes(10) + data[at + 10 :])
    file = opened(path)
    assert unreadable(file, "w") == "its storage is damaged: there is no torch checkpoint"
    assert file.values(file.find("v")).tolist() == [0, 0, 0]
    for wrong in (b"N", b"cos\nsystem\n)R", b"ctorch.storage\n_load_from_bytes\n)R"):
        path.write_bytes(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + wrong + b"K\0K\1\x85K\1\x85tR.")
        assert unreadable(opened(path), "tensor") == "its description is damaged"


def test_a_storage_that_is_missing_within_a_plain_pickle(path: Path) -> None:
    head = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {}, [])]
    inner = b"".join([*head[:3], pickled(storage()), head[3], bytes(100)])
    packed = b"ctorch.storage\n_load_from_bytes\nB" + struct.pack("<I", len(inner)) + inner + b"\x85R"
    path.write_bytes(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(" + packed + b"K\0K\6\x85K\1\x85tR.")
    assert refusal(path).endswith("is not in the file; tensor 'tensor' needs one of 24 bytes")


def test_tar_archives_are_refused_by_name(path: Path) -> None:
    import tarfile

    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    assert refusal(path).startswith("it is a tar archive, in which the first releases of torch wrote checkpoints")
