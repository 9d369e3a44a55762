"""Files of two frameworks side by side: names, modules, values, and norms that are folded into the layer before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from convtool.errors import InputError
from convtool.jobs.inspection.diff import differences
from convtool.jobs.inspection.listing import list_weights
from convtool.jobs.inspection.matching import match
from tests.helpers.side_by_side import compared, listing, of_node
from tests.helpers.weight_arrays import Array, Arrays, arrays_of, info, model, rnn, signal, through


def test_recurrent_layers_by_the_module_that_the_export_tells() -> None:
    file = arrays_of(model(rec=rnn(nn.LSTM, num_layers=2, bidirectional=True), same=rnn(nn.LSTM)))
    made = through(Arrays(file.arrays, "torch"), "onnx")
    arrays, told = {}, {}
    for number, (name, value) in enumerate(made.items()):
        layer, _, word = name.rpartition(".")
        place = {"W": 1, "R": 2, "B": 3}[word]
        arrays[f"val_{number}"] = value
        told[f"val_{number}"] = of_node("LSTM", place, node=f"n_{layer}", module=layer.partition("_")[0], hidden_size=4)
    arrays["val_state"], arrays["val_shape"] = np.zeros((2, 1, 4)), np.array([1, 2])
    told["val_state"], told["val_shape"] = of_node("LSTM", 5, node="n"), of_node("Reshape", 1, node="r")
    found, notes = compared(listing(file.arrays, "torch"), listing(arrays, "onnx", **told))
    assert found == []
    assert notes == [
        "not compared, initial states of zeros: 'val_state'",
        "not compared, constants of the graph: 'val_shape'",
    ]


@pytest.mark.parametrize("told", [{"node": "n", "module": ""}, {"node": "/MatMul"}], ids=["newer", "older"])
def test_the_module_at_the_root(told: dict[str, Any]) -> None:
    """The whole model is one layer: nothing stands before the names of its tensors."""
    weight = signal(3, 4)
    theirs = listing({"val_0": weight.T}, "onnx", val_0=of_node("MatMul", 1, **told))
    (found,), _ = compared(listing({"weight": 2 * weight}, "torch"), theirs)  # too far for its values to tell
    assert (found.name, found.other, found.relative) == ("weight", "val_0", 0.5)


def test_recurrent_layers_at_the_root() -> None:
    file = arrays_of(rnn(nn.GRU))
    made = through(Arrays(file.arrays, "torch"), "onnx")
    arrays = {f"onnx::GRU_{number}": 2 * value for number, value in enumerate(made.values())}
    of_layer = {"node": "/GRU", "hidden_size": 4, "linear_before_reset": 1}
    told = {name: of_node("GRU", number, **of_layer) for number, name in enumerate(arrays, 1)}
    pairs, _ = match(listing(file.arrays, "torch"), listing(arrays, "onnx", **told))
    assert [(pair.name, pair.other and pair.other.name) for pair in pairs] == [
        (name, f"GRU.{name}") for name in file.arrays
    ]


@pytest.mark.parametrize("node", ["Conv_3", "", "/"])
def test_a_node_whose_name_tells_no_module(node: str) -> None:
    theirs = listing({"k": signal(6, 2, 3)}, "onnx", k=of_node("Conv", 1, node=node))
    pairs, _ = match(listing({"b.weight": 2 * signal(6, 2, 3)}, "torch"), theirs)
    assert [pair.name for pair in pairs if pair.one is None or pair.other is None] == ["b.weight", "k"]


def test_modules_in_the_names_of_nodes_of_the_older_exporter() -> None:
    weight = signal(3, 4)
    for node in ("/blocks.0/net/net.1/MatMul", "/blocks.0/net.1/MatMul"):
        name = "blocks.0.net.1.weight"
        theirs = listing({"onnx::MatMul_7": weight.T}, "onnx", **{"onnx::MatMul_7": of_node("MatMul", 1, node=node)})
        ours = listing({name: 2 * weight}, "torch")
        (found,), _ = compared(ours, theirs)  # too far for its values to tell
        assert (found.largest, found.relative) == (np.abs(weight).max(), 0.5)
        if "net/" not in node:
            continue
        assert {pair.name for pair in match(ours, theirs)[0]} == {name}


def test_a_module_says_nothing_of_what_can_not_be_its_tensor() -> None:
    theirs = listing({"k": signal(6, 2, 3)}, "onnx", k=of_node("Conv", 1, node="n", module="bn"))
    pairs, _ = match(listing({"bn.weight": signal(6), "bn.bias": signal(6)}, "torch"), theirs)
    assert [(pair.one is None, pair.other is None) for pair in pairs] == [(False, True)] * 2 + [(True, False)]


@pytest.mark.parametrize("layout", ["torch", "keras"])
@pytest.mark.parametrize("name", ["mel", "W", "net.mel", "net.W"])
@pytest.mark.parametrize("shape", [(3, 5), (4, 4)])
def test_a_matrix_of_the_model_s_own_is_compared_as_it_is_stored(shape: Any, name: str, layout: str) -> None:
    """The graph multiplies by it from the right, as by the transposed weight of a dense layer."""
    values = signal(*shape)
    of_layer = {name.replace(".", "_"): of_node("MatMul", 1, node="n", module="")}
    ours = listing({name: values, "fc.bias": np.ones(3)}, layout)
    theirs = {name: values, "fc.bias": np.ones(3)}
    assert compared(ours, listing(theirs, "onnx", **of_layer)) == ([], [])
    (found,), _ = compared(ours, listing(theirs | {name: values + 0.5}, "onnx", **of_layer))
    assert (found.name, found.largest, found.other) == (name, pytest.approx(0.5), "")
    (found,), _ = compared(ours, listing(theirs | {name: values[:, 1:]}, "onnx", **of_layer))
    assert (found.name, found.what.startswith("shape")) == (name, True)


def test_a_matrix_that_is_stored_transposed() -> None:
    told = {"mel": of_node("MatMul", 1, node="n")}
    theirs = listing({"mel": signal(3, 5).T}, "onnx", **told)
    assert compared(listing({"mel": signal(3, 5)}, "torch"), theirs) == ([], [])


def test_a_weight_of_a_layer_that_is_stored_alike() -> None:
    """A model may multiply by it as it is, ``x @ self.fc.weight``; which only equal values tell."""
    weight = signal(4, 4)
    told = {"fc_weight": of_node("MatMul", 1, node="n")}
    ours = listing({"fc.weight": weight, "fc.bias": np.ones(4)}, "torch")
    for there in (weight, weight.T):
        theirs = listing({"fc.weight": there, "fc.bias": np.ones(4)}, "onnx", **told)
        assert compared(ours, theirs) == ([], [])
    theirs = listing({"fc.weight": weight + 0.5, "fc.bias": np.ones(4)}, "onnx", **told)
    (found,), _ = compared(ours, theirs)
    assert found.largest == np.abs(weight - (weight + 0.5).T).max()


def test_names_that_mean_another_part_elsewhere() -> None:
    """ONNX has a scale for the weight of a norm; what is called so in both files is not renamed in one of them."""
    ours = listing({"a.scale": signal(4)}, "torch")
    theirs = listing({"m.a.scale": signal(4) + 0.5}, "onnx", m_a_scale=of_node("Mul", 1, node="n"))
    (found,), _ = compared(ours, theirs, strip_prefix="m.")
    assert found.largest == pytest.approx(0.5)


def test_recurrent_weights_are_not_taken_as_they_are_stored() -> None:
    arrays = {"W": signal(1, 16, 3), "R": signal(1, 16, 4)}
    told = {"W": of_node("LSTM", 1, node="n", hidden_size=4), "R": of_node("LSTM", 2, node="n", hidden_size=4)}
    found, _ = compared(listing(arrays, "torch"), listing(arrays, "onnx", **told))
    assert {each.name for each in found} == {"W", "R", "n.weight_ih_l0", "n.weight_hh_l0"}


def test_values_tell_where_no_name_does() -> None:
    one, other = signal(4, 5), signal(4, 5) + 3
    ours = listing({"a.weight": one, "b.weight": other, "c": np.zeros(2), "d.weight": signal(4, 5) - 9}, "torch")
    near = other * (1 + 1e-4)
    pairs, _ = match(ours, listing({"x/kernel": near.T, "y/kernel": one.T, "c": np.ones(2)}, "keras"))
    told = {pair.name: pair.other.name for pair in pairs if pair.one and pair.other}
    assert told == {"a.weight": "y.weight", "b.weight": "x.weight", "c": "c"}
    (beyond, alone, last) = differences(pairs)
    assert (beyond.name, beyond.other, round(beyond.relative or 0, 6)) == ("b.weight", "x.weight", 1e-4)
    assert (alone.name, last.name) == ("c", "d.weight")


def test_values_that_several_have() -> None:
    weight = signal(4, 5)
    ours = listing({"a.weight": weight, "b.weight": weight}, "torch")
    (alone,) = differences(match(ours, listing({"x/kernel": weight.T}, "keras"))[0])
    assert (alone.name, alone.what) == ("b.weight", "only in the first file")


def test_recurrent_biases_that_keras_adds_up() -> None:
    file = arrays_of(model(rec=rnn(nn.LSTM), gru=rnn(nn.GRU)))
    found, notes = compared(listing(file.arrays, "torch"), listing(through(file, "keras"), "keras"))
    assert (found, notes) == ([], [])


class Normed(nn.Module):
    """A layer and the norm behind it."""

    def __init__(self, layer: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self.other, self.layer, self.norm = nn.Linear(3, 6), layer, norm
        norm.eps = 1e-3
        for name in ("running_mean", "running_var", "weight", "bias"):
            value = getattr(norm, name)
            if value is not None:
                value.data.uniform_(0.5, 2)
        self.double().eval()


FOLDED = [
    (nn.Conv1d(2, 6, 5), nn.BatchNorm1d(6), "Conv", (1, 2, 9)),
    (nn.Conv2d(6, 6, 3, groups=6, bias=False), nn.BatchNorm2d(6), "Conv", (1, 6, 5, 5)),
    (nn.ConvTranspose1d(2, 6, 5), nn.BatchNorm1d(6, affine=False), "ConvTranspose", (1, 2, 9)),
    (nn.ConvTranspose1d(8, 6, 5, groups=2), nn.BatchNorm1d(6), "ConvTranspose", (1, 8, 9)),
    (nn.ConvTranspose2d(4, 6, 3, groups=2, bias=False), nn.BatchNorm2d(6), "ConvTranspose", (1, 4, 5, 5)),
    (nn.ConvTranspose1d(6, 6, 3, groups=6), nn.BatchNorm1d(6), "ConvTranspose", (1, 6, 9)),
    (nn.Linear(4, 6), nn.BatchNorm1d(6), "Gemm", (3, 4)),
]
NAMES = ["conv", "depthwise", "transposed", "groups", "groups without bias", "depthwise transposed", "dense"]


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(("layer", "norm", "op", "shape"), FOLDED, ids=NAMES)
def test_norms_folded_into_the_layer_before(
    layer: nn.Module, norm: nn.Module, op: str, shape: tuple[int, ...], named: bool
) -> None:
    """The folded layer is made by probing torch: its bias is what zeros give, its weight what scales its outputs."""
    module = Normed(layer, norm)
    ours = arrays_of(module)
    weight = ours.arrays["layer.weight"]
    x = torch.zeros(shape, dtype=torch.float64)
    with torch.no_grad():
        shift = module.norm(module.layer(x)).movedim(1, -1).reshape(-1, 6)[0].numpy()
        bias = ours.arrays.get("layer.bias", np.zeros(6))
        moved = torch.from_numpy(np.array([bias, bias + 1])).reshape(2, 6, *[1] * (len(shape) - 2))
        scale = module.norm(moved).diff(dim=0).reshape(6).numpy()
    folded, number = weight.copy(), getattr(layer, "groups", 1)
    for row, column in np.ndindex(weight.shape[:2]):
        output = row // (len(weight) // number) * weight.shape[1] + column if op == "ConvTranspose" else row
        folded[row, column] *= scale[output]
    groups = {"group": number} if number > 1 else {}
    names = ["layer.weight", "layer.bias"] if named else ["val_1", "val_2"]
    more = {"node": "n", **groups, **({"transB": 1} if op == "Gemm" else {})}
    arrays = {"other.weight": ours.arrays["other.weight"], "other.bias": ours.arrays["other.bias"]}
    arrays |= {names[0]: folded, names[1]: shift}
    told = {name.replace(".", "_"): of_node(op, number, **more) for number, name in enumerate(names, 1)}
    tensors = [
        info(each, value.shape, layer=op if op == "Conv" and groups and each == "layer.weight" else "", groups=number)
        for each, value in ours.arrays.items()
    ]
    first = list_weights("m", Arrays(ours.arrays, "torch", tensors))
    found, notes = compared(first, listing(arrays, "onnx", **told))
    assert found == []
    assert notes == ["norm is folded into layer (epsilon 0.001)"]


def test_a_folded_bias_that_is_not_there() -> None:
    module = Normed(nn.Conv1d(2, 6, 5, bias=False), nn.BatchNorm1d(6))
    arrays = {name: value for name, value in arrays_of(module).arrays.items() if not name.startswith("other")}
    scale = arrays["norm.weight"] / np.sqrt(arrays["norm.running_var"] + 1e-3)
    theirs = listing({"layer.weight": arrays["layer.weight"] * scale[:, None, None]}, "onnx")
    (found,), _ = compared(listing(arrays, "torch"), theirs)
    assert (found.name, found.what) == ("layer.bias", "only in the first file")
    arrays["norm.bias"] = arrays["norm.running_mean"] * scale  # so that nothing is added
    found_then, notes = compared(listing(arrays, "torch"), theirs)
    assert (found_then, notes[0]) == ([], "norm is folded into layer (epsilon 0.001)")


def test_no_norm_is_looked_for_in_what_is_no_layer() -> None:
    """A table of as many rows as the norm has channels stands nearer to it than the layer does."""
    arrays = arrays_of(Normed(nn.Linear(4, 6), nn.BatchNorm1d(6))).arrays
    arrays = {key: arrays[key] for key in ("layer.weight", "layer.bias")} | {"embed.weight": signal(6, 4)} | {**arrays}
    scale = arrays["norm.weight"] / np.sqrt(arrays["norm.running_var"] + 1e-3)
    theirs = {name: value for name, value in arrays.items() if not name.startswith("norm")}
    theirs["layer.weight"] = arrays["layer.weight"] * scale[:, None]
    theirs["layer.bias"] = (arrays["layer.bias"] - arrays["norm.running_mean"]) * scale + arrays["norm.bias"]
    found, notes = compared(listing(arrays, "torch"), listing(theirs, "onnx"))
    assert (found, notes[0]) == ([], "norm is folded into layer (epsilon 0.001)")


def test_a_norm_that_is_folded_nowhere_is_a_difference() -> None:
    module = Normed(nn.Conv1d(2, 6, 5), nn.BatchNorm1d(6))
    arrays = arrays_of(module).arrays
    theirs = {name: value for name, value in arrays.items() if not name.startswith("norm")}
    theirs["shape"] = signal(6, 2, 4)
    found, notes = compared(listing(arrays, "torch"), listing(theirs, "onnx", shape=of_node("Conv", 1, node="n")))
    assert notes == ["not compared, counts of batches: 'norm.num_batches_tracked'"]
    assert {each.name for each in found} == {
        *(f"norm.{name}" for name in ("weight", "bias", "running_mean", "running_var")),
        "shape",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("norm.running_var", np.ones(3)),
        ("norm.weight", np.ones(3)),
        ("norm.running_var", np.full(6, -1.0)),
        ("norm.running_var", np.full(6, -1e-5)),
        ("norm.weight", np.full(6, np.inf)),
        ("layer.bias", np.ones(5)),
    ],
    ids=["variances", "gains", "negative", "nothing", "infinite", "bias"],
)
def test_damaged_norms_and_biases_are_differences(name: str, value: Array) -> None:
    arrays = {**arrays_of(Normed(nn.Conv1d(2, 6, 5), nn.BatchNorm1d(6))).arrays}
    scale = arrays["norm.weight"] / np.sqrt(arrays["norm.running_var"] + 1e-3)
    theirs = {"layer.weight": arrays["layer.weight"] * scale[:, None, None], "layer.bias": arrays["layer.bias"]}
    found, _ = compared(listing({**arrays, name: value}, "torch"), listing(theirs, "onnx"))
    assert name in {each.name for each in found}


def test_a_prefix_and_names_that_meet() -> None:
    weight = signal(2, 3)
    ours, theirs = listing({"net.a.weight": weight}, "torch"), listing({"a.weight": 3 * weight}, "onnx")
    pairs, _ = match(ours, theirs, strip_prefix="net.")
    assert len(pairs) == 1
    alike = listing({"a/b/kernel": weight, "a.b/kernel": weight}, "keras")
    told = r"'a/b/kernel' and 'a\.b/kernel' have one name in torch's layout, 'a\.b\.weight'; rename one of them"
    with pytest.raises(InputError, match=f"^{told}"):
        match(alike, ours)
    with pytest.raises(InputError, match=f"^in the second file, {told}"):
        match(ours, alike)
    with pytest.raises(InputError, match=r"without the prefix 'net\.', 'net\.a\.weight' and 'a\.weight' have one name"):
        match(listing({"net.a.weight": weight, "a.weight": weight}, "torch"), theirs, strip_prefix="net.")


def test_slopes_are_shaped_like_what_they_multiply_in_a_graph() -> None:
    ours = {"a.weight": signal(4), "b.weight": np.array([0.3]), "c.weight": signal(5)}
    arrays = {"k": signal(4).reshape(4, 1, 1), "m": np.full((1, 1, 1), 0.3), "c.weight": signal(5).reshape(5, 1)}
    told = {
        "k": of_node("PRelu", 1, node="n"),  # by its values
        "m": of_node("PRelu", 1, node="/b/PRelu"),
        "c_weight": of_node("PRelu", 1, node="o"),
    }
    found, notes = compared(listing(ours, "torch"), listing(arrays, "onnx", **told))
    assert (found, notes) == ([], [])
    arrays["m"] = arrays["m"] + 1
    found, _ = compared(listing(ours, "torch"), listing(arrays, "onnx", **told))
    assert [(each.name, each.largest) for each in found] == [("b.weight", 1.0)]


def test_a_module_that_several_tensors_come_from_says_nothing_of_them() -> None:
    one, other, far = signal(4, 3), signal(4, 3) + 9, signal(4, 3) - 9
    told = {name: of_node("MatMul", 1, node=name, module="fc") for name in ("k", "m")}
    theirs = listing({"k": one.T, "m": other.T}, "onnx", **told)
    pairs, _ = match(listing({"fc.weight": other}, "torch"), theirs)
    assert [(pair.name, pair.other and pair.other.name) for pair in pairs] == [("fc.weight", "m"), ("k", "k")]
    pairs, _ = match(listing({"fc.weight": far}, "torch"), theirs)
    assert [pair.name for pair in pairs if pair.one is None or pair.other is None] == ["fc.weight", "k", "m"]


def test_norms_of_layers_alike_are_folded_each_into_its_own() -> None:
    """No name tells which layer is which, and the tensors are longer than what is looked at of them first."""
    random = np.random.default_rng(0)
    plain, made, told = {}, {}, {}
    for layer in range(3):
        weight, (gain, offset, mean) = random.normal(size=(40, 40, 3)), random.normal(size=(3, 40))
        variance = random.uniform(0.001, 0.002, 40)  # beside which the other epsilons are not small
        plain |= {f"c{layer}.weight": weight, f"n{layer}.weight": gain, f"n{layer}.bias": offset}
        plain |= {f"n{layer}.running_mean": mean, f"n{layer}.running_var": variance}
        scale = gain / np.sqrt(variance + 1e-5)
        for number, value in ((1, weight * scale[:, None, None]), (2, offset - scale * mean)):
            made[f"val_{9 - layer}{number}"] = value
            told[f"val_{9 - layer}{number}"] = of_node("Conv", number, node=f"k{layer}")
    found, notes = compared(listing(plain, "torch"), listing(made, "onnx", **told))
    assert found == []
    assert sorted(notes) == [f"n{layer} is folded into c{layer} (epsilon 1e-05)" for layer in range(3)]
