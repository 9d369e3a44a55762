"""Keras layers that are quantised, as `Model.quantize` saves them: what their variables are called, and their numbers.

The files are those of Keras 3.15, which numbers the variables; here they are written without it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from convtool.arrays.description import TensorInfo
from convtool.arrays.keras.hdf5_file import Hdf5Reader

F4 = "float32"
SCALE, WIDE, ROWS = np.ones((1, 7), F4), np.ones(7, F4), np.zeros(5, F4)
PACKED, FULL = np.zeros((5, 4), "i1"), np.zeros((5, 7), "i1")
ZEROS = np.zeros((1, 7), "i1")
COLUMN, ZERO_COLUMN = ROWS[:, None], np.zeros((5, 1), "i1")


def layer(path: Path, key: str, variables: Sequence[np.ndarray], config: dict[str, Any] | None, **options: Any) -> Any:
    """The tensors of a layer `w` by the names of its variables."""
    with h5py.File(path / "m.h5", "w") as file:
        group = file.create_group(f"layers/{key}/vars")
        group.attrs["name"] = "w"
        for number, values in enumerate(variables):
            group.create_dataset(str(number), data=values, **options)
        if config is not None:
            kind = "".join(part.capitalize() for part in key.split("_"))
            layers = [{"class_name": kind, "config": {"name": "w", **config}}]
            file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"layers": layers}})
    opened = Hdf5Reader(str(path / "m.h5"))
    return opened, {info.name.removeprefix("w/"): info for info in opened.tensors}


def mode(text: str) -> dict[str, Any]:
    return {"dtype": {"class_name": "QuantizedDTypePolicy", "config": {"mode": text, "source_name": F4}}}


BLOCKS = ["kernel", "bias", "kernel_scale", "kernel_zero", "g_idx"]
FLOAT8 = ["kernel", "bias", "inputs_scale", "inputs_amax_history", "kernel_scale", "kernel_amax_history"]
FLOAT8 += ["outputs_grad_scale", "outputs_grad_amax_history"]
HISTORY = [np.ones((), F4), np.ones(3, F4)]
EMBEDDED = ["embeddings", "embeddings_scale", "embeddings_zero", "g_idx"]

CASES: dict[str, tuple[str, list[np.ndarray], dict[str, Any] | None, list[str], tuple[int, ...]]] = {
    "int8": ("dense", [FULL, WIDE, WIDE], mode("int8"), BLOCKS[:3], (5, 7)),
    "int8 in words": ("dense", [FULL, WIDE], {"dtype": "int8_from_float32"}, ["kernel", "kernel_scale"], (5, 7)),
    "int8 without settings": ("dense", [FULL, WIDE, WIDE], None, BLOCKS[:3], (5, 7)),
    "int4": ("dense", [PACKED, WIDE, SCALE, ZEROS, ROWS], mode("int4/128"), BLOCKS, (5, 7)),
    "int4 alone": ("dense", [PACKED, WIDE], mode("int4"), ["kernel", "kernel_scale"], (5, 7)),
    "int4 without bias": ("dense", [PACKED, SCALE, ZEROS, ROWS], mode("int4/4"), [BLOCKS[0], *BLOCKS[2:]], (5, 7)),
    "int4 without settings": ("dense", [PACKED, WIDE, SCALE, ZEROS, ROWS], None, BLOCKS, (5, 7)),
    "int4 of one output": (
        *("dense", [PACKED[:, :1], WIDE[:1], SCALE[:, :1], ZEROS[:, :1], ROWS], None, BLOCKS),
        (5, 1),
    ),
    "int4 that does not fit": ("dense", [PACKED, WIDE, WIDE[:3]], mode("int4"), BLOCKS[:3], (5, 4)),
    "einsum": ("einsum_dense", [FULL, WIDE, SCALE[None]], mode("int8"), BLOCKS[:3], (5, 7)),
    "embedding int8": ("embedding", [FULL, ROWS], mode("int8"), EMBEDDED[:2], (5, 7)),
    "embedding int4": ("embedding", [PACKED, ROWS], {**mode("int4"), "output_dim": 7}, EMBEDDED[:2], (5, 7)),
    "embedding in blocks": (
        "embedding",
        [PACKED, COLUMN, ZERO_COLUMN, WIDE],
        mode("int4/128"),
        EMBEDDED,
        (5, 7),
    ),
    "float8": ("dense", [SCALE, WIDE, *3 * HISTORY], mode("float8"), FLOAT8, (1, 7)),
    "float8 without settings": ("dense", [SCALE, WIDE, *3 * HISTORY], None, FLOAT8, (1, 7)),
    "other policy": ("dense", [SCALE, WIDE], {"dtype": {"config": {"name": "mixed_float16"}}}, BLOCKS[:2], (1, 7)),
    "scalar scale": ("dense", [FULL, WIDE, np.ones((), F4)], None, BLOCKS[:3], (5, 7)),
    "other layer": ("unit_normalization", [FULL, np.zeros((3, 2), F4)], None, [], ()),
    "no such number": ("dense", [FULL, *[WIDE] * 6], mode("int8"), [], ()),
}


@pytest.mark.parametrize("case", CASES)
def test_variables_have_the_names_that_keras_gives_them(tmp_path: Path, case: str) -> None:
    key, variables, config, names, shape = CASES[case]
    with (opened := layer(tmp_path, key, variables, config))[0]:
        tensors: dict[str, TensorInfo] = opened[1]
        assert list(tensors) == (names or [str(number) for number in range(len(variables))])
        if names:
            first = tensors[names[0]]
            assert first.shape == shape
            assert first.dtype == (
                "int4" if shape != variables[0].shape or case == "int4 of one output" else first.dtype
            )


@pytest.mark.parametrize("options", [{}, {"chunks": (2, 4), "compression": "gzip"}])
@pytest.mark.parametrize("width", [7, 8])
def test_integers_of_4_bits_are_unpacked_row_by_row(tmp_path: Path, width: int, options: dict[str, Any]) -> None:
    numbers = np.random.default_rng(1).integers(-8, 8, (5, width))
    padded = np.pad(numbers, ((0, 0), (0, width % 2))).astype(np.uint8) & 15
    packed = (padded[:, ::2] | padded[:, 1::2] << 4).view("i1")
    with h5py.File(tmp_path / "m.h5", "w") as file:
        group = file.create_group("layers/dense/vars")
        group.create_dataset("0", data=packed, **options)
        group["1"] = np.ones(width, F4)
    with Hdf5Reader(str(tmp_path / "m.h5")) as opened:
        kernel = opened.find("dense/kernel")
        assert (kernel.dtype, kernel.parameters, kernel.nbytes) == ("int4", 5 * width, 20)
        assert opened.values(kernel).tolist() == numbers.tolist()


def test_opaque_bytes_take_the_type_that_they_are_said_to_be_of(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["w"] = np.array([0x38, 0xB8], "u1").view("V1")
    with Hdf5Reader(str(tmp_path / "m.h5")) as opened:
        assert (opened.tensors[0].dtype, opened.tensors[0].readable) == ("void8", False)
        assert "--void-as bfloat16, float8_e4m3fn or the like says which" in opened.tensors[0].flag
    with Hdf5Reader(str(tmp_path / "m.h5"), void_as="float8_e4m3fn") as opened:
        assert opened.values(opened.tensors[0]).tolist() == [1.0, -1.0]
