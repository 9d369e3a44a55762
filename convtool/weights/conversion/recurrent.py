"""The weights of recurrent layers, converted from one layout to another.

With a direction's weights W of its input and U of its state, a row for each gate and unit, its biases b and d, and
sigmoid gates, all three layouts compute ::

    LSTM   i, f, o, g from W x + b + U h + d        c' = f c + i tanh(g)      h' = o tanh(c')
    GRU    r, z from W x + b + U h + d              h' = (1 - z) n + z h
           n = tanh(W x + b + r (U h + d))          reset after the product: torch; Keras's reset_after
           n = tanh(W x + b + U (r h) + d)          reset before it: ONNX unless linear_before_reset

and differ in how they keep the numbers. Where b and d only occur as their sum, Keras keeps the sum: converting to Keras
adds them, rounded once, and from Keras the second is zero.

Sources: the documentation of torch.nn.LSTM and nn.GRU; Keras's LSTMCell and GRUCell; ONNX's Operators.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from convtool.errors import InputError
from convtool.weights.conversion.deferred import Deferred, add, concatenate, of_tensor, stack
from convtool.weights.kinds import RECURRENT
from convtool.weights.layouts import GATES, Described
from convtool.weights.naming import TORCH_RECURRENT, in_habit

_SAME_GATE = {"g": "c", "n": "h"}
_BEFORE_CANDIDATE = {"lstm": ["sigmoid", "tanh"], "gru": ["sigmoid"], "rnn": []}
"""Activations as ONNX lists them: of the gates, of the LSTM's candidate, and then the one that makes the state."""

_KERAS_CLASSES = {"lstm": "lstm", "gru": "gru", "rnn": "simple_rnn"}
_Tensors = Mapping[str, Described]
"""The tensors of one direction by their roles; in ONNX those of both."""


@dataclass(frozen=True)
class _Direction:
    """The weights of one direction in torch's shapes, whatever the order of their gates."""

    weight: Deferred
    recurrent: Deferred
    biases: tuple[Deferred, ...] = ()
    """That of the input and that of the state, or none."""

    @property
    def arrays(self) -> tuple[Deferred, ...]:
        """All of them."""
        return self.weight, self.recurrent, *self.biases

    def in_order(self, order: Sequence[int]) -> _Direction:
        """With its gates in that order; where they are, it stays what can be read a stretch at a time."""
        if list(order) == sorted(order):
            return self
        weight, recurrent, *biases = (array.blocks(order) for array in self.arrays)
        return _Direction(weight, recurrent, tuple(biases))

    def fits(self, gates: int) -> bool:
        """Whether the shapes are those of one direction with so many gates."""
        hidden = self.recurrent.shape[-1]
        return self.recurrent.shape[1:] == (hidden,) and {array.shape[0] for array in self.arrays} == {gates * hidden}


class RecurrentTensor(NamedTuple):
    """One tensor of a recurrent layer in its new layout."""

    name: str
    role: str
    array: Deferred
    reverse: bool = False


_Written = tuple[list[RecurrentTensor], dict[str, Any]]


def convert_recurrent(
    tensors: Sequence[Described], *, to: str, stacked: bool
) -> tuple[str, list[RecurrentTensor], dict[str, Any]]:
    """A recurrent layer in the layout `to`: the prefix of its names, its tensors, and what it must be told to use them.

    Args:
        tensors: all of the layer's, in another layout.
        to: `torch`, `keras` or `onnx`.
        stacked: whether it is one of several in one `nn.LSTM`, which the others keep as layers with names of their own.

    Raises:
        InputError: the layout has no layer that computes the same, or the tensors are no whole layer.
    """
    _refuse_settings(tensors, to)
    kind, layout = tensors[0].kind, tensors[0].layout
    forward, backward = ({each.role: each for each in tensors if each.reverse is way} for way in (False, True))
    if len(forward) + len(backward) < len(tensors):
        raise InputError("several of its tensors play the same part")
    directions = [*_READ[layout](forward), *(_READ[layout](backward) if backward else ())]
    if not all(direction.fits(RECURRENT[kind]) for direction in directions):
        raise _misfit()
    if (kind, to) in GATES:
        order = _order(GATES[kind, layout], GATES[kind, to])
        directions = [direction.in_order(order) for direction in directions]
    prefix = _prefix(tensors[0], to, stacked=stacked)
    reset_after, backwards = _resets_after(forward), _runs_backwards(forward, directions)
    return prefix, *_WRITE[to](prefix, kind, directions, reset_after=reset_after, backwards=backwards)


def _refuse_settings(tensors: Sequence[Described], to: str) -> None:
    for role in ("projection", "peephole"):
        if any(each.role == role for each in tensors):
            raise InputError(f"it has a {role}, which {to}'s layer does not have")
    for each in tensors:
        _refuse_activations(each.kind, each.tensor.config, to)
        if each.tensor.config.get("input_forget"):
            raise InputError(f"its input and forget gates are coupled (input_forget), which {to}'s layer can't do")
        if clip := each.tensor.config.get("clip"):  # onnxruntime takes 0 for none
            raise InputError(f"it clips what its activations get to {clip:g} (clip), which {to}'s layer can't do")


def _refuse_activations(kind: str, config: Mapping[str, Any], to: str) -> None:
    """Keras names one for the gates and one for the rest; ONNX lists them for each direction."""
    states = ["tanh", "relu"] if kind == "rnn" else ["tanh"]
    for setting, known in (("activation", states), ("recurrent_activation", ["sigmoid"])):
        value = config.get(setting)
        if value not in (None, "", *known):
            raise InputError(f"its {setting} is {value!r}; {to}'s layer has {' or '.join(known)}")
    listed = [str(name).lower() for name in config.get("activations") or ()]
    usual = [[*_BEFORE_CANDIDATE[kind], state] for state in states]
    if listed and not any(listed in (one, 2 * one) for one in usual):
        raise InputError(f"its activations are {', '.join(listed)}; {to}'s layer has {', '.join(usual[0])}")


# Reading: each direction of a layer


def _need(tensors: _Tensors, role: str) -> Deferred:
    if role not in tensors:
        raise InputError(f"its tensor of the part {role!r} is missing")
    return of_tensor(tensors[role].tensor)


def _misfit() -> InputError:
    return InputError("the shapes of its tensors do not fit each other")


def _from_torch(tensors: _Tensors) -> list[_Direction]:
    biases: tuple[Deferred, ...] = ()
    if "bias" in tensors:
        bias = _need(tensors, "bias")
        biases = bias, bias.zeros()
    elif "input_bias" in tensors or "recurrent_bias" in tensors:
        biases = _need(tensors, "input_bias"), _need(tensors, "recurrent_bias")
    if "joined" not in tensors:
        return [_Direction(_need(tensors, "input"), _need(tensors, "recurrent"), biases)]
    joined = _need(tensors, "joined")
    rows, columns = joined.shape
    inputs = max(0, columns - rows // RECURRENT[tensors["joined"].kind])
    return [_Direction(joined.columns(0, inputs), joined.columns(inputs, columns), biases)]


def _from_keras(tensors: _Tensors) -> list[_Direction]:
    biases: tuple[Deferred, ...] = ()
    if "bias" in tensors:
        bias = _need(tensors, "bias")
        if len(bias.shape) == 2 != bias.shape[0]:
            raise _misfit()
        biases = (bias, bias.zeros()) if len(bias.shape) == 1 else (bias.item(0), bias.item(1))
    weight, recurrent = (_need(tensors, role).transpose((1, 0)) for role in ("input", "recurrent"))
    return [_Direction(weight, recurrent, biases)]


def _from_onnx(tensors: _Tensors) -> list[_Direction]:
    weight, recurrent = _need(tensors, "input"), _need(tensors, "recurrent")
    count, rows, _ = weight.shape
    both = None
    if "bias" in tensors:
        bias = _need(tensors, "bias")
        if bias.shape != (count, 2 * rows):
            raise _misfit()
        both = bias.reshape((count, 2, rows))
    if recurrent.shape[0] != count or count not in (1, 2):
        raise _misfit()
    return [
        _Direction(
            weight.item(index),
            recurrent.item(index),
            (both.item(index).item(0), both.item(index).item(1)) if both else (),
        )
        for index in range(count)
    ]


_READ = {"torch": _from_torch, "keras": _from_keras, "onnx": _from_onnx}


def tells_its_reset(part: Described, *, biased: bool) -> bool:
    """Whether the GRU that `part` is of, which has biases or not, says where it applies its reset gate.

    Keras's bias says it by its shape, ONNX's node by what it is told; of the node's tensors alone none does.
    """
    config = part.tensor.config
    if part.layout == "keras":
        return biased or "reset_after" in config
    return part.layout == "torch" or bool(part.tensor.layer) or "linear_before_reset" in config


def _resets_after(forward: _Tensors) -> bool:
    """Of a GRU: whether it applies its reset gate after the product with the recurrent weights, as torch's does.

    So it is taken to where nothing says it: torch's and Keras's own do, and in ONNX so do those that come from there.
    """
    first = next(iter(forward.values()))
    if not tells_its_reset(first, biased="bias" in forward):
        return True
    if first.layout == "keras":
        return len(forward["bias"].axes) == 2 if "bias" in forward else bool(first.tensor.config["reset_after"])
    return first.layout == "torch" or bool(first.tensor.config.get("linear_before_reset"))


def _runs_backwards(forward: _Tensors, directions: Sequence[_Direction]) -> bool:
    """Whether the layer has one direction, and that against time."""
    config = next(iter(forward.values())).tensor.config
    backwards = bool(config.get("go_backwards")) or config.get("direction") == "reverse"
    if backwards and len(directions) > 1:
        raise InputError("its forward direction runs backwards")
    return backwards


def _order(source: Sequence[str], target: Sequence[str]) -> list[int]:
    """Where in `source` each gate of `target` is."""
    source, target = ([_SAME_GATE.get(gate, gate) for gate in gates] for gates in (source, target))
    return [source.index(gate) for gate in target]


# Writing


def _prefix(tensor: Described, to: str, *, stacked: bool) -> str:
    stem = in_habit(tensor.prefix, to).rstrip("./")
    if stacked and to != "torch":
        stem = f"{stem}_l{tensor.level}".lstrip("_")
    return stem and stem + ("/" if to == "keras" else ".")


def _to_torch(
    prefix: str, kind: str, directions: Sequence[_Direction], *, reset_after: bool, backwards: bool
) -> _Written:
    if backwards:
        raise InputError("it runs against time alone; torch's layer runs forward, or in both directions")
    if kind == "gru" and not reset_after:
        raise InputError("it applies the reset gate before the recurrent product; torch's nn.GRU applies it after")
    tensors = [
        RecurrentTensor(f"{prefix}{word}_l0{'_reverse' * reverse}", role, array, bool(reverse))
        for reverse, direction in enumerate(directions)
        for (word, role), array in zip(TORCH_RECURRENT.items(), direction.arrays, strict=False)
    ]
    return tensors, {"bidirectional": len(directions) > 1}


def _to_keras(
    prefix: str, kind: str, directions: Sequence[_Direction], *, reset_after: bool, backwards: bool
) -> _Written:
    tensors = []
    for direction, way in zip(directions, ("forward", "backward"), strict=False):
        place = f"{prefix}{way}_{_KERAS_CLASSES[kind]}/" if len(directions) > 1 else prefix
        found = {
            "kernel": direction.weight.transpose((1, 0)),
            "recurrent_kernel": direction.recurrent.transpose((1, 0)),
        }
        if direction.biases:
            apart = kind == "gru" and reset_after
            found["bias"] = stack(direction.biases) if apart else add(*direction.biases)
        for (word, array), role in zip(found.items(), ("input", "recurrent", "bias"), strict=False):
            tensors.append(RecurrentTensor(place + word, role, array, way == "backward"))
    return tensors, {"go_backwards": backwards} | ({"reset_after": reset_after} if kind == "gru" else {})


def _to_onnx(
    prefix: str, kind: str, directions: Sequence[_Direction], *, reset_after: bool, backwards: bool
) -> _Written:
    tensors = [
        RecurrentTensor(f"{prefix}W", "input", stack([direction.weight for direction in directions])),
        RecurrentTensor(f"{prefix}R", "recurrent", stack([direction.recurrent for direction in directions])),
    ]
    biases = [concatenate(direction.biases) for direction in directions if direction.biases]
    if len(biases) == len(directions):
        tensors.append(RecurrentTensor(f"{prefix}B", "bias", stack(biases)))
    elif biases:
        raise InputError("one of its directions has biases and the other has none")
    way = "reverse" if backwards else "bidirectional" if len(directions) > 1 else "forward"
    return tensors, {"direction": way} | ({"linear_before_reset": int(reset_after)} if kind == "gru" else {})


_WRITE = {"torch": _to_torch, "keras": _to_keras, "onnx": _to_onnx}
