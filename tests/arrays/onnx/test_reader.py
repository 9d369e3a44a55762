"""ONNX: every data type wherever it is stored, which node uses what, files beside the model, and damage.

The models are made by the onnx package, and its own reading of the numbers is the reference; what it won't write is put
together field by field.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, NodeProto, TensorProto, helper, numpy_helper

from convtool.arrays import open_weights
from convtool.arrays.description import PIECE_BYTES, TensorInfo
from convtool.arrays.narrow import NARROW
from convtool.arrays.onnx import protobuf
from convtool.arrays.onnx.graph import TENSORS_LIMIT
from convtool.arrays.onnx.reader import OnnxReader
from convtool.errors import InputError

NAMES = [name for name in TensorProto.DataType.keys() if name not in ("UNDEFINED", "STRING")]  # noqa: SIM118
SOME = [0, 1, 1, 0, 1, 1, 1]  # what each type holds, and an odd number of them


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


def model_of(*tensors: TensorProto, nodes: Sequence[NodeProto] = (), **more: Any) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "graph", [], [], initializer=tensors, **more)
    return helper.make_model(graph, producer_name="maker", producer_version="1.2", ir_version=10)


def saved(path: Path, *tensors: TensorProto, **more: Any) -> OnnxReader:
    path.write_bytes(model_of(*tensors, **more).SerializeToString())
    return OnnxReader(str(path))


def listed(path: Path, *tensors: TensorProto, **more: Any) -> dict[str, TensorInfo]:
    with saved(path, *tensors, **more) as file:
        return {tensor.name: tensor for tensor in file.tensors}


def check(file: OnnxReader, *tensors: TensorProto) -> None:
    """The file has those tensors and the numbers that onnx reads from them."""
    assert [tensor.name for tensor in file.tensors] == [tensor.name for tensor in tensors]
    for tensor, proto in zip(file.tensors, tensors, strict=True):
        expected = numpy_helper.to_array(proto)
        narrow = tensor.dtype in NARROW
        assert (tensor.flag, tensor.readable, tensor.shape) == ("", True, expected.shape)
        assert tensor.dtype == expected.dtype.name
        values = file.values(tensor)
        assert values.dtype == (np.float32 if narrow else expected.dtype)
        np.testing.assert_array_equal(values, expected.astype(np.float32) if narrow else expected)


# Numbers, and where they are


@pytest.mark.parametrize("name", NAMES)
def test_numbers_in_typed_fields(name: str, path: Path) -> None:
    tensors = [
        helper.make_tensor("vector", TensorProto.DataType.Value(name), [7], SOME),
        helper.make_tensor("scalar", TensorProto.DataType.Value(name), [], [1]),
        helper.make_tensor("empty", TensorProto.DataType.Value(name), [2, 0], []),
    ]
    with saved(path, *tensors) as file:
        check(file, *tensors)


@pytest.mark.parametrize("name", NAMES)
def test_numbers_in_raw_bytes(name: str, path: Path) -> None:
    dtype = helper.tensor_dtype_to_np_dtype(TensorProto.DataType.Value(name))
    tensors = [
        numpy_helper.from_array(np.array(SOME, dtype), "vector"),
        numpy_helper.from_array(np.ones((3, 1, 5), dtype), "cube"),
        numpy_helper.from_array(np.zeros((0,), dtype), "empty"),
    ]
    assert all(tensor.HasField("raw_data") for tensor in tensors)
    with saved(path, *tensors) as file:
        check(file, *tensors)
        stored = [len(tensor.raw_data) for tensor in tensors]
        assert [tensor.nbytes for tensor in file.tensors] == stored


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint32", "uint64", "float64", "complex128"])
def test_extreme_numbers_in_typed_fields(dtype: str, path: Path) -> None:
    if "int" in dtype:
        limits = np.iinfo(dtype)
        values = [int(limits.min), int(limits.max), 127, 1 << 6, 0]
    else:
        values = [1e308, -5e-324, np.inf, np.nan]
    code = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    tensor = helper.make_tensor("t", code, [len(values)], values)
    with saved(path, tensor) as file:
        check(file, tensor)


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("more", [0, 7])
@pytest.mark.parametrize("name", ["FLOAT", "INT64", "BFLOAT16", "INT4", "FLOAT6E2M3", "BOOL"])
def test_large_tensors_come_in_pieces(name: str, more: int, raw: bool, path: Path) -> None:
    size = {"INT64": 8, "BOOL": 1}.get(name, 4)  # of each number as it is given
    count = 2 * PIECE_BYTES // size + more
    values = np.arange(count) % 2
    code = TensorProto.DataType.Value(name)
    if raw:
        tensor = numpy_helper.from_array(values.astype(helper.tensor_dtype_to_np_dtype(code)), "t")
    else:
        tensor = helper.make_tensor("t", code, [count], values)
    with saved(path, tensor) as file:
        pieces = [piece.copy() for piece in file.pieces(file.tensors[0])]
        assert [piece.nbytes for piece in pieces] == [PIECE_BYTES, PIECE_BYTES, more * size][: 2 + (more > 0)]
        np.testing.assert_array_equal(np.concatenate(pieces), values)


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    return bytes([value & 0x7F | 0x80]) + varint(value >> 7) if value > 0x7F else bytes([value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def held(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


def tensor_bytes(code: int, dims: Sequence[int], *content: bytes, name: str = "t") -> bytes:
    return b"".join(number(1, size) for size in dims) + number(2, code) + held(8, name.encode()) + b"".join(content)


def written(path: Path, *graph: bytes, before: bytes = b"") -> OnnxReader:
    """A model of these fields of the graph."""
    path.write_bytes(number(1, 8) + before + held(7, b"".join(graph)))
    return OnnxReader(str(path))


@pytest.mark.parametrize(
    ("code", "parts"),
    [
        (TensorProto.INT64, [number(7, value) for value in (5, -3, 1 << 40)]),
        (TensorProto.INT64, [held(7, varint(5)), held(7, b""), number(7, -3), held(7, varint(1 << 40))]),
        (TensorProto.FLOAT, [b"\x25" + np.float32(value).tobytes() for value in (5, -3, 0.1)]),
        (TensorProto.DOUBLE, [b"\x51" + np.float64(value).tobytes() for value in (5, -3, 0.1)]),
        (TensorProto.FLOAT, [held(4, np.float32([5, -3]).tobytes()), b"\x25" + np.float32(0.1).tobytes()]),
    ],
)
def test_numbers_field_by_field(code: int, parts: list[bytes], path: Path) -> None:
    """Typed fields may come in parts, or number by number: every reader of the format must take them."""
    content = tensor_bytes(code, [3], *parts)
    with written(path, held(5, content)) as file:
        check(file, TensorProto.FromString(content))


def test_dimensions_may_be_packed(path: Path) -> None:
    content = held(1, varint(2) + varint(300)) + number(2, TensorProto.INT8) + held(8, b"t") + held(9, bytes(600))
    with written(path, held(5, content)) as file:
        check(file, TensorProto.FromString(content))


def test_many_numbers_field_by_field(path: Path) -> None:
    values = np.arange(30_000) * 7919
    content = tensor_bytes(TensorProto.INT64, [len(values)], *(number(7, int(value)) for value in values))
    with written(path, held(5, content)) as file:
        np.testing.assert_array_equal(file.values(file.tensors[0]), values)


# Who uses what


def node(op: str, inputs: Sequence[str], outputs: Sequence[str] = ("y",), **more: Any) -> NodeProto:
    return helper.make_node(op, inputs, outputs, **more)


def named(name: str) -> TensorProto:
    return numpy_helper.from_array(np.ones(2, np.float32), name)


@pytest.mark.parametrize(
    ("used", "layer", "config"),
    [
        (node("Conv", ["x", "w"], group=4, name="c"), "Conv", {"group": 4, "input": 1, "node": "c"}),
        (node("Conv", ["x", "x", "w"]), "Conv", {"input": 2, "node": "Conv_0"}),
        (node("ConvTranspose", ["x", "w"], strides=[2]), "ConvTranspose", {"input": 1, "node": "ConvTranspose_0"}),
        (
            node("Gemm", ["x", "w"], transB=1, alpha=0.5),
            "Gemm",
            {"transB": 1, "alpha": 0.5, "input": 1, "node": "Gemm_0"},
        ),
        (node("MatMul", ["w", "x"]), "MatMul", {"input": 0, "node": "MatMul_0"}),
        (
            node("LSTM", ["x", "r", "w"], hidden_size=3, direction="reverse", activations=["Sigmoid", "Tanh", "Relu"]),
            "LSTM",
            {
                "hidden_size": 3,
                "direction": "reverse",
                "activations": ["Sigmoid", "Tanh", "Relu"],
                "input": 2,
                "node": "LSTM_0",
            },
        ),
        (
            node("GRU", ["x", "w", "", ""], linear_before_reset=1, clip=0.5),
            "GRU",
            {"linear_before_reset": 1, "clip": 0.5, "input": 1, "node": "GRU_0"},
        ),
        (
            node("Conv", ["x", "w"], domain="com.maker"),
            "com.maker.Conv",
            {"input": 1, "node": "com.maker.Conv_0"},
        ),
        (node("Conv", ["x", "w"], domain="ai.onnx"), "Conv", {"input": 1, "node": "Conv_0"}),
        (node("Identity", ["w"], []), "Identity", {"input": 0, "node": "Identity_0"}),
        (node("Relu", ["x"]), "", {}),
    ],
)
def test_the_node_that_uses_a_tensor(used: NodeProto, layer: str, config: dict[str, Any], path: Path) -> None:
    tensor = listed(path, named("w"), nodes=[used])["w"]
    assert (tensor.layer, dict(tensor.config)) == (layer, config)


def test_the_first_of_several_nodes_counts(path: Path) -> None:
    nodes = [node("Relu", ["x"]), node("Gather", ["w", "i"]), node("MatMul", ["x", "w"], name="m")]
    tensors = listed(path, named("w"), named("i"), nodes=nodes)
    assert (tensors["w"].layer, tensors["w"].config["input"], tensors["w"].config["node"]) == ("Gather", 0, "Gather_1")
    assert (tensors["i"].layer, tensors["i"].config["input"]) == ("Gather", 1)


@pytest.mark.parametrize(
    ("scopes", "module"),
    [("['', 'net', 'net.0', 'conv1d']", "net.0"), ("['', 'conv1d']", ""), ("['conv1d']", None), ("damaged", None)],
)
def test_the_module_that_torch_s_exporter_tells(scopes: str, module: str | None, path: Path) -> None:
    used = node("Conv", ["x", "w"])
    for key, value in (("namespace", "another"), ("pkg.torch.onnx.name_scopes", scopes)):
        used.metadata_props.add(key=key, value=value)
    used.metadata_props.add(value="a key is missing")
    assert listed(path, named("w"), nodes=[used])["w"].config.get("module") == module


def test_tensors_are_seen_through_copies_and_quantisation(path: Path) -> None:
    nodes = [
        node("Identity", ["w"], ["same"]),
        node("DequantizeLinear", ["q", "scale"], ["real"]),
        node("Identity", ["real"], ["again"]),
        node("Conv", ["x", "again", "same"], group=2),
    ]
    tensors = listed(path, named("w"), named("q"), named("scale"), nodes=nodes)
    assert [(tensor.layer, tensor.config["input"]) for tensor in tensors.values()] == [
        ("Conv", 2),
        ("Conv", 1),
        ("DequantizeLinear", 1),
    ]


@pytest.mark.parametrize("op", ["LSTM", "GRU", "RNN"])
def test_initial_states_are_seen_through_what_repeats_them(op: str, path: Path) -> None:
    nodes = [
        node("Slice", ["h"], ["first"]),
        node("Expand", ["first", "size"], ["state"]),
        node("Expand", ["w"], ["weight"]),
        node("Mul", ["m"], ["product"]),
        node("Expand", ["m"], ["other"]),
        node(op, ["x", "weight", "r", "", "", "state", "other", "p"], name="rec"),
    ]
    tensors = listed(path, *map(named, ("h", "w", "m", "size", "p")), nodes=nodes)
    used = {name: (tensor.layer, tensor.config["input"]) for name, tensor in tensors.items()}
    assert used == {"h": (op, 5), "w": ("Expand", 0), "m": ("Mul", 0), "size": ("Expand", 1), "p": (op, 7)}
    assert tensors["h"].config["node"] == "rec"


def test_an_initial_state_of_the_graph_around(path: Path) -> None:
    inner = branch(nodes=[node("GRU", ["x", "w", "r", "", "", "state"], name="rec")])
    nodes = [node("Expand", ["h"], ["state"]), node("If", ["x"], then_branch=inner, name="if")]
    (tensor,) = listed(path, named("h"), nodes=nodes).values()
    assert (tensor.layer, tensor.config["node"]) == ("GRU", "if/then_branch/rec")


def test_an_input_left_out_uses_no_nameless_tensor(path: Path) -> None:
    assert listed(path, named(""), nodes=[node("LSTM", ["", "w", "r"])])[""].layer == ""


def test_constants_come_after_the_initializers(path: Path) -> None:
    value = numpy_helper.from_array(np.float32([[1, 2]]), "inner name")
    nodes = [
        node("Constant", [], ["k"], value=value),
        node("Constant", [], [], value=value),
        node("ConstantOfShape", ["s"], ["filled"], value=value),
        node("Constant", [], ["other"], value=value, domain="com.maker"),
        node("Gemm", ["x", "k"]),
    ]
    with saved(path, named("w"), nodes=nodes) as file:
        assert [tensor.name for tensor in file.tensors] == ["w", "k"]
        assert file.tensors[1].layer == "Gemm"
        np.testing.assert_array_equal(file.values(file.find("k")), [[1, 2]])


def test_constants_that_are_no_tensors_but_numbers(path: Path) -> None:
    given: dict[str, Any] = {
        "value_float": 0.5,
        "value_floats": [1.5, -2.0],
        "value_int": -7,
        "value_ints": [1 << 40, -1, 0],
        "value_string": "a",
        "value_strings": ["a", "b"],
    }
    nodes = [node("Constant", [], [name], **{name: value}) for name, value in given.items()]
    empty = AttributeProto(name="value_ints", type=AttributeProto.INTS)
    nodes.append(node("Constant", [], ["none"]))
    nodes[-1].attribute.append(empty)
    sparse = helper.make_sparse_tensor(
        helper.make_tensor("s", TensorProto.FLOAT, [1], [1]), numpy_helper.from_array(np.int64([3])), [4]
    )
    nodes.append(node("Constant", [], ["sparse"], sparse_value=sparse))
    with saved(path, nodes=nodes) as file:
        told = {tensor.name: (tensor.dtype, tensor.shape) for tensor in file.tensors}
        values = {tensor.name: file.values(tensor).tolist() for tensor in file.tensors if tensor.readable}
    assert told == {
        "value_float": ("float32", ()),
        "value_floats": ("float32", (2,)),
        "value_int": ("int64", ()),
        "value_ints": ("int64", (3,)),
        "value_string": ("text", ()),
        "value_strings": ("text", (2,)),
        "none": ("int64", (0,)),
        "sparse": ("float32", (4,)),
    }
    numbers = {name: value for name, value in given.items() if "string" not in name}
    assert values == numbers | {"none": []}


def branch(*tensors: TensorProto, nodes: Sequence[NodeProto] = ()) -> onnx.GraphProto:
    return helper.make_graph(nodes, "body", [], [], initializer=tensors)


def test_graphs_within_graphs(path: Path) -> None:
    inner = branch(named("w"), named("deep"), nodes=[node("Conv", ["x", "w"]), node("Gemm", ["x", "outer"])])
    loop = node("Loop", [], body=branch(named("b"), nodes=[node("Scan", [], name="s", body=inner)]))
    choice = node("If", ["c"], else_branch=branch(named("e")), then_branch=branch(nodes=[node("MatMul", ["e", "w"])]))
    tensors = listed(path, named("w"), named("outer"), nodes=[loop, choice])
    assert {name: tensor.layer for name, tensor in tensors.items()} == {
        "w": "MatMul",  # in the loop another tensor has its name
        "outer": "Gemm",
        "Loop_0/body/b": "",
        "Loop_0/body/s/body/w": "Conv",
        "Loop_0/body/s/body/deep": "",
        "If_1/else_branch/e": "",
    }
    assert tensors["outer"].config["node"] == "Loop_0/body/s/body/Gemm_1"


def test_several_graphs_in_one_attribute(path: Path) -> None:
    attribute = AttributeProto(name="bodies", type=AttributeProto.GRAPHS)
    attribute.graphs.extend([branch(named("a")), branch(named("b"))])
    used = node("Any", [], domain="com.maker", name="n", other=1)
    used.attribute.append(attribute)
    assert list(listed(path, nodes=[used])) == ["n/bodies/a", "n/bodies/b"]


def test_what_the_model_says_of_itself(path: Path) -> None:
    model = model_of(named("w"), named("w"))
    model.opset_import.append(helper.make_opsetid("com.maker", 3))
    model.functions.append(helper.make_function("com.maker", "F", [], [], [], []))
    path.write_bytes(model.SerializeToString())
    with open_weights(str(path)) as file:
        assert (file.format, file.layout) == ("onnx", "onnx")
        assert file.metadata == {
            "ir_version": "10",
            "producer": "maker",
            "producer_version": "1.2",
            "opset": str(onnx.defs.onnx_opset_version()),
        }
        assert [tensor.name for tensor in file.tensors] == ["w"]
        assert file.notes == [
            "functions of its own, not searched for tensors: 1",
            "tensors left out for the name of one before: 1",
        ]


# Numbers in files beside the model


def external(path: Path, *, name: str = "t", shape: Sequence[int] = (4,), **told: str) -> OnnxReader:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape, data_location=TensorProto.EXTERNAL)
    for key, value in told.items():
        tensor.external_data.add(key=key, value=value)
    return saved(path, tensor)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"offset": "8", "length": "16", "basepath": "/"}, [2, 3, 4, 5]),
        ({"offset": "0", "checksum": "none"}, [0, 1, 2, 3]),
        ({}, [0, 1, 2, 3]),
    ],
)
def test_external_data(told: dict[str, str], expected: list[float], path: Path, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "model.data").write_bytes(np.arange(10, dtype="<f4").tobytes())
    with external(path, location="sub/model.data", **told) as file:
        assert (file.tensors[0].flag, file.tensors[0].readable) == ("external: 'sub/model.data'", True)
        np.testing.assert_array_equal(file.values(file.tensors[0]), expected)


def test_external_data_that_onnx_wrote(path: Path) -> None:
    large = numpy_helper.from_array(np.random.default_rng(0).normal(size=(3, 200_000)).astype("f4"), "large")
    small = named("small")
    model = model_of(large, small)
    onnx.save_model(model, str(path), save_as_external_data=True, location="all.data", size_threshold=100)
    with OnnxReader(str(path)) as file:
        assert [tensor.flag for tensor in file.tensors] == ["external: 'all.data'", ""]
        np.testing.assert_array_equal(file.values(file.tensors[0]), numpy_helper.to_array(large))


def test_external_data_that_is_not_there_is_damage(path: Path) -> None:
    with external(path, location="gone") as file:
        assert (file.tensors[0].shape, file.tensors[0].nbytes) == ((4,), 16)
        assert (file.tensors[0].readable, file.tensors[0].flag) == (False, "external: 'gone': no such file")
        assert file.damage == ["tensor 't' external: 'gone': no such file"]
        with pytest.raises(InputError, match=r"external: 'gone': no such file"):
            file.values(file.tensors[0])


def test_external_data_that_goes_after_the_listing(path: Path, tmp_path: Path) -> None:
    (tmp_path / "d").write_bytes(bytes(16))
    with external(path, location="d") as file:
        assert file.damage == []
        (tmp_path / "d").write_bytes(bytes(15))
        with pytest.raises(InputError, match=r"external: 'd' has 15 bytes; the tensor's are from 0 to 16"):
            file.values(file.tensors[0])


def test_each_external_file_is_told_once(path: Path, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(bytes(16))
    tensors = [
        TensorProto(name=name, data_type=TensorProto.FLOAT, dims=(4,), data_location=TensorProto.EXTERNAL)
        for name in ("a", "b", "c", "d")
    ]
    for tensor, location in zip(tensors, ["there", "gone", "gone", "../x"], strict=True):
        tensor.external_data.add(key="location", value=location)
    with saved(path, *tensors) as file:
        assert file.damage == [
            "each of 2 tensors, 'b', 'c', external: 'gone': no such file",
            "tensor 'd' external: '../x' is refused; expected a file in the model's folder",
        ]


@pytest.mark.parametrize(
    "location",
    ["", "/etc/hostname", "../other", "a/../../b", "a\\..\\b", "\\\\host\\share", "C:\\data", "c:data", "a\0b", ".."],
)
def test_locations_that_are_refused(location: str, path: Path) -> None:
    with external(path, location=location) as file:
        assert not file.tensors[0].readable
        assert file.tensors[0].flag == f"external: {location!r} is refused; expected a file in the model's folder"
        with pytest.raises(InputError, match=r"tensor 't' can't be read: external: .* is refused"):
            file.pieces(file.tensors[0])


@pytest.mark.parametrize(
    ("told", "flag"),
    [
        ({"offset": "-1"}, "with the offset '-1'; expected a number of bytes"),
        ({"offset": "abc"}, "with the offset 'abc'"),
        ({"offset": "٣"}, "with the offset '٣'"),
        ({"offset": "9" * 5000}, f"with the offset '{'9' * 40}'"),
        ({"length": ""}, "with the length ''"),
        ({"length": "-16"}, "with the length '-16'"),
        ({"length": "20"}, "20 bytes of 'd'; its shape takes 16"),
    ],
)
def test_stretches_that_can_not_be(told: dict[str, str], flag: str, path: Path) -> None:
    with external(path, location="d", **told) as file:
        assert not file.tensors[0].readable
        assert flag in file.tensors[0].flag


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(16))
    (folder / "inside").write_bytes(np.float32([1, 2, 3, 4]).tobytes())
    (folder / "out").symlink_to(tmp_path / "secret")
    (folder / "up").symlink_to(tmp_path)
    (folder / "in").symlink_to("inside")
    (folder / "loop").symlink_to("loop")
    for location, reason in [
        ("out", "is a link out of the model's folder"),
        ("up/secret", "is a link out of"),
        ("loop", "can't be read"),
    ]:
        with external(folder / "m.onnx", location=location) as file, pytest.raises(InputError, match=reason):
            file.values(file.tensors[0])
    with external(folder / "m.onnx", location="in") as file:
        np.testing.assert_array_equal(file.values(file.tensors[0]), [1, 2, 3, 4])


def test_external_files_that_are_none(path: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "short").write_bytes(bytes(20))
    for location, reason in [
        ("pipe", "'pipe': it is no regular file"),
        (".", "'.': it is no regular file"),
        ("short", "'short' has 20 bytes; the tensor's are from 8 to 24"),
    ]:
        with external(path, location=location, offset="8") as file, pytest.raises(InputError, match=reason):
            file.values(file.tensors[0])


# What can't be read is listed all the same


@pytest.mark.parametrize(
    ("tensor", "dtype", "shape", "flag"),
    [
        (tensor_bytes(99, [2]), "unknown (99)", (2,), "it is of the data type 99, which ONNX does not have"),
        (tensor_bytes(0, [2]), "unknown (0)", (2,), "data type 0"),
        (tensor_bytes(8, [1], held(6, b"text")), "text", (1,), "it holds text, not numbers"),
        (tensor_bytes(1, [-3]), "float32", (0,), "it declares the shape (-3,)"),
        (tensor_bytes(1, [1 << 62, 4]), "float32", (0,), "which is larger than any memory"),
        (tensor_bytes(1, [1] * 65), "float32", (0,), "it declares 65 axes"),
        (tensor_bytes(1, [1 << 40]), "float32", (1 << 40,), "it holds 0 bytes; its shape takes 4398046511104"),
        (tensor_bytes(1, [2], held(9, bytes(7))), "float32", (2,), "it holds 7 bytes; its shape takes 8"),
        (tensor_bytes(1, [2], held(9, bytes(9))), "float32", (2,), "it holds 9 bytes"),
        (tensor_bytes(1, [2], held(4, bytes(12))), "float32", (2,), "it holds 12 bytes"),
        (tensor_bytes(1, [2], held(5, bytes(8))), "float32", (2,), "it holds 0 bytes"),
        (tensor_bytes(7, [3], held(7, bytes(2))), "int64", (3,), "it holds 2 bytes; its shape takes 3 integers"),
        (tensor_bytes(21, [5], held(5, bytes(2))), "uint4", (5,), "it holds 2 bytes; its shape takes 3 integers"),
        (tensor_bytes(1, [1], held(9, bytes(4)), held(3, b"")), "float32", (1,), "it is a segment of a larger tensor"),
    ],
)
def test_tensors_with_a_fault(tensor: bytes, dtype: str, shape: tuple[int, ...], flag: str, path: Path) -> None:
    with written(path, held(5, tensor), held(5, tensor_bytes(1, [1], held(9, bytes(4)), name="sound"))) as file:
        found, sound = file.tensors
        assert (found.dtype, found.shape, found.readable) == (dtype, shape, False)
        assert flag in found.flag
        assert file.values(sound) == [0]
        with pytest.raises(InputError, match=r"^tensor 't' can't be read: it "):
            file.pieces(found)


def test_sparse_tensors_are_listed(path: Path) -> None:
    sparse = helper.make_sparse_tensor(
        helper.make_tensor("s", TensorProto.FLOAT, [2], [1, 2]), numpy_helper.from_array(np.int64([3, 9])), [4, 5]
    )
    tensor = listed(path, named("w"), sparse_initializer=[sparse])["s"]
    assert (tensor.shape, tensor.dtype, tensor.nbytes, tensor.readable) == ((4, 5), "float32", 80, False)
    assert tensor.flag == "it is stored sparse; its values are not read"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (held(7, varint(1) + b"\x80" * 11 + varint(0)), "an integer has more than ten bytes"),
        (held(7, b"\x80" * 12 + bytes(3)), "an integer has more than ten bytes"),
        (held(7, b"\x80" * 70_000), "an integer has more than ten bytes"),
        (held(7, bytes(2) + b"\x80"), "the numbers end within one"),
        (held(7, bytes(1) + b"\x80\x00"), "8 bytes of the tensor's numbers are missing"),
        (held(7, bytes(4)), "the tensor holds more numbers than its shape takes"),
    ],
)
def test_integers_that_only_reading_shows_to_be_damaged(content: bytes, reason: str, path: Path) -> None:
    with written(path, held(5, tensor_bytes(TensorProto.INT64, [3], content))) as file:
        assert file.tensors[0].readable
        with pytest.raises(InputError, match=reason):
            file.values(file.tensors[0])


@pytest.mark.parametrize("raw", [True, False])
def test_a_file_that_is_cut_after_it_was_listed(path: Path, raw: bool) -> None:
    values = np.zeros(1000)
    typed = helper.make_tensor("t", TensorProto.DOUBLE, [1000], values)
    with saved(path, numpy_helper.from_array(values, "t") if raw else typed) as file:
        os.truncate(path, 500)
        with pytest.raises(InputError, match=r"the file shrank while it was read"):
            file.values(file.tensors[0])


# Damage


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "there is no graph in it; expected an ONNX model"),
        (number(1, 8), "there is no graph in it"),
        (number(7, 8), "field 7 at byte 1 is a number, not a message or text"),
        (held(7, b"")[:-1], "truncated: it ends within a field, at byte 1"),
        (held(7, bytes(9))[:-1], "1 bytes of field 7 at byte 2 are not there"),
        (b"\x3a" + varint(1 << 60), "bytes of field 7 at byte 10 are not there"),
        (held(7, b"\x80" * 11), "the integer at byte 2 has more than ten bytes"),
        (b"\x80\x80", "truncated: it ends within a field"),
        (b"\x0b", "the field at byte 1 has the unknown wire type 3"),
        (b"\x0d\x00\x00", "2 bytes of field 1 at byte 1 are not there"),
        (held(1, b"8"), "field 1 at byte 2 is no integer"),
        (held(7, held(5, held(2, b"1"))), "field 2 at byte 6 is no integer"),
        (held(7, held(5, number(8, 1))), "is a number, not a message or text"),
        (held(7, held(5, number(9, 1))), "is a number, not a message or text"),
        (held(7, held(5, held(1, b"\x80") + number(2, 1))), "field 1 ends within an integer, at byte"),
        (held(7, number(1, 1)), "is a number, not a message or text"),
        (held(7, held(1, held(5, held(1, b"alpha") + number(2, 1)))), "is no float32"),
    ],
)
def test_files_that_are_no_models(content: bytes, reason: str, path: Path) -> None:
    path.write_bytes(content)
    with pytest.raises(InputError, match=reason):
        OnnxReader(str(path))


def test_fields_of_every_kind_that_say_nothing_are_passed(path: Path) -> None:
    unknown = number(90, 1) + held(91, b"x") + varint(92 << 3 | 5) + bytes(4) + varint(93 << 3 | 1) + bytes(8)
    value = tensor_bytes(1, [1], held(9, np.float32(3).tobytes()), unknown)
    entry = held(13, unknown + held(1, b"location") + held(2, b"x"))  # without data_location it says nothing
    attribute = held(5, unknown + held(1, b"group") + number(3, 2))
    user = held(1, held(1, b"x") + held(1, b"t") + held(4, b"Conv") + attribute + unknown)
    choice = held(1, held(4, b"If") + held(5, unknown) + held(5, unknown + held(1, b"b") + held(6, unknown)))
    sparse = held(15, unknown + held(1, tensor_bytes(1, [0], name="s")) + number(3, 2))
    before = unknown + held(8, unknown + held(1, b"ai.onnx") + number(2, 17))
    with written(path, unknown, user, choice, held(5, value + entry), sparse, before=before) as file:
        assert [tensor.name for tensor in file.tensors] == ["t", "s"]
        assert file.metadata == {"ir_version": "8", "opset": "17"}
        assert (file.tensors[0].layer, file.tensors[0].config["group"]) == ("Conv", 2)
        assert file.values(file.tensors[0]) == [3]


def test_names_that_are_no_text_are_shown_in_part(path: Path) -> None:
    with written(path, held(5, number(2, 1) + held(8, b"a\xffb\n"))) as file:
        assert file.tensors[0].name == "a\ufffdb\n"


def test_graphs_nested_without_end(path: Path) -> None:
    for depth, fits in [(15, True), (16, False), (300, False)]:
        graph = held(5, tensor_bytes(1, [0], name="w"))
        for _ in range(depth):
            graph = held(1, held(4, b"If") + held(5, held(1, b"b") + held(6, graph)))
        if fits:
            with written(path, graph) as file:
                assert file.tensors[0].name == "If_0/b/" * depth + "w"
        else:
            with pytest.raises(InputError, match="more than 16 graphs within one another"):
                written(path, graph)


def test_more_than_a_model_can_have(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=f"more than {TENSORS_LIMIT} tensors"):
        written(path, held(5, b"") * (TENSORS_LIMIT + 1))
    monkeypatch.setattr(protobuf, "FIELDS_LIMIT", 1000)
    with pytest.raises(InputError, match="more than 1000 fields"):
        written(path, held(1, b"") * 1000)
    with pytest.raises(InputError, match="more than 1000 fields"):
        written(path, held(5, held(1, bytes(1000))))
    monkeypatch.setattr(protobuf, "TEXT_LIMIT", 1000)
    with pytest.raises(InputError, match="names in it take more than 1000 bytes"):
        written(path, held(5, held(8, bytes(600))) * 2)
    with pytest.raises(InputError, match="names in it take more than 1000 bytes"):  # each tensor has the loop's name
        written(path, held(1, held(3, bytes(400)) + held(5, held(6, held(5, b"") * 3))))


def test_damage_is_an_input_error_or_other_numbers(path: Path, tmp_path: Path) -> None:
    """Every byte of a model turned over, and the model cut off there."""
    lstm = node("LSTM", ["x", "w", "r"], hidden_size=2, direction="reverse", activations=["Tanh"])
    model = model_of(named("w"), helper.make_tensor("r", TensorProto.INT4, [3], [1, 2, 3]), nodes=[lstm])
    whole = model.SerializeToString()
    told = 0
    for at in range(len(whole)):
        for damaged in (whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :], whole[:at]):
            path.write_bytes(damaged)
            try:
                with OnnxReader(str(path)) as file:
                    for tensor in file.tensors:
                        file.values(tensor)
            except InputError as error:
                told += 1
                assert "\n" not in str(error)  # noqa: PT017 (some damage does not show)
    assert told > len(whole)


# What it costs


def test_listing_reads_the_headers_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four tensors of 1 GB, which are holes in the file."""
    size = 1 << 30
    with open(path, "wb") as file:
        head = tensor_bytes(TensorProto.FLOAT, [size >> 2]) + varint(9 << 3 | 2) + varint(size)
        tensor = varint(5 << 3 | 2) + varint(len(head) + size) + head
        file.write(number(1, 8) + varint(7 << 3 | 2) + varint(4 * (len(tensor) + size)))
        for _ in range(4):
            file.write(tensor)
            file.seek(size, os.SEEK_CUR)
        file.truncate()
    read: list[int] = []
    real: Callable[[int, int, int], bytes] = os.pread

    def counted(descriptor: int, count: int, start: int) -> bytes:
        content = real(descriptor, count, start)
        read.append(len(content))
        return content

    monkeypatch.setattr(os, "pread", counted)
    with OnnxReader(str(path)) as opened:
        assert opened.tensors[0].nbytes == size
        assert opened.notes == ["tensors left out for the name of one before: 3"]
    assert sum(read) < 1 << 20


def test_listing_loads_no_library(path: Path) -> None:
    saved(path, named("w")).close()
    script = (
        "import sys; from convtool.arrays import open_weights\n"
        f"with open_weights({str(path)!r}) as file: assert file.tensors[0].name == 'w'\n"
        "assert not {'numpy', 'onnx', 'google', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
