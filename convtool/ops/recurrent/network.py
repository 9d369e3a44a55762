"""Recurrent networks over signals: the state goes on from block to block, so that streams may be of any length.

With x_t the input of a step, sigmoid gates and products by element, `nn.LSTM` computes ::

    i, f, o, g = W x_t + b + U h_(t-1) + d        c_t = f c_(t-1) + i tanh(g)        h_t = o tanh(c_t)

and `nn.LSTMCell` one such step. Source: S. Hochreiter and J. Schmidhuber, "Long short-term memory", 1997, with the
forget gate of F. Gers, J. Schmidhuber and F. Cummins, "Learning to forget", 2000.

Blocks of some thousand samples are faster than a whole signal, whose gates do not fit into the processor's cache. Where
a signal is cut depends on the block's length alone, never on how it arrived. Matrix products go about their rows in
tiles: cuts at multiples of `TILE`, and never a few rows left over for the end, let each row be summed as in the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from convtool.ops.blocks import Blockwise, Work
from convtool.ops.checks import check_choice, check_size
from convtool.ops.recurrent.steps import Rnn, Run, State, by_cell, by_sequence, zero_state

__all__ = ["Network", "Recurrent", "Rnn", "Run", "State", "recurrent_layer", "run_network"]

TILE = 64

_ENGINES = {"sequence": by_sequence, "cell": by_cell}


def recurrent_layer(kind: Literal["lstm", "gru"], weights: Mapping[str, Tensor]) -> Rnn:
    """The `nn.LSTM` or `nn.GRU` with these parameters, which tell its sizes, layers and directions.

    Args:
        kind: ``lstm`` or ``gru``.
        weights: what the layer's `state_dict` holds: ``weight_ih_l0`` ``(gates * H, I)`` and so on.

    Raises:
        RuntimeError: the parameters do not make one layer.

    >>> layer = nn.LSTM(3, 8, num_layers=2, bidirectional=True, proj_size=4)
    >>> recurrent_layer("lstm", layer.state_dict())
    LSTM(3, 8, proj_size=4, num_layers=2, bidirectional=True)
    """
    first = weights["weight_ih_l0"]
    gates, make = (4, nn.LSTM) if kind == "lstm" else (3, nn.GRU)
    ways = 2 if "weight_ih_l0_reverse" in weights else 1
    projection = {"proj_size": weights["weight_hr_l0"].shape[0]} if "weight_hr_l0" in weights else {}
    layer: Rnn = make(
        first.shape[1],
        first.shape[0] // gates,
        num_layers=sum(name.startswith("weight_ih") for name in weights) // ways,
        bias="bias_ih_l0" in weights,
        bidirectional=ways == 2,
        device="meta",
        **projection,
    )
    layer.load_state_dict(weights, assign=True)
    return layer.requires_grad_(False)


class Network:
    """Recurrent and other layers, one after another, and what goes on around them.

    With I inputs of the first layer, of which the last K are `condition`, and O outputs of the last::

        u = input_gain x, followed by the condition        y = output_gain (layers(u) + u[:skip])

    Args:
        layers: `nn.LSTM` and `nn.GRU` layers, with `nn.Linear` and activations among them.
        condition: the same K values in every sample, such as the knobs of an amplifier.
        skip: how many inputs are added to the outputs: 0, 1 for all outputs alike, or O.
        input_gain: a factor.
        output_gain: a factor.
        engine: ``sequence`` runs each recurrent layer over all samples, ``cell`` step by step; equal to rounding, and
            some fifty times slower.

    Attributes:
        inputs: I - K, those that are left to the signal.
        outputs: O.
        bidirectional: whether a layer reads its input backwards too, and so must have it as a whole.
        recurrent: the recurrent layers, in order.
        runs: how each of these is run; another way of running it may take its place.

    Raises ValueError where the condition leaves no input to the signal, `engine` is not known or can't run a layer, or
    a layer has its batch first.
    """

    def __init__(
        self,
        layers: Sequence[nn.Module],
        *,
        condition: Sequence[float] = (),
        skip: int = 0,
        input_gain: float = 1.0,
        output_gain: float = 1.0,
        engine: Literal["sequence", "cell"] = "sequence",
    ) -> None:
        check_choice("engine", engine, tuple(_ENGINES))
        widths = [width for layer in layers for width in _widths(layer)]
        self.inputs, self.outputs = widths[0] - len(condition), widths[-1]
        if self.inputs < 1:
            raise ValueError(
                f"the condition has {len(condition)} value{'s' * (len(condition) > 1)} and the network {widths[0]} "
                f"input{'s' * (widths[0] > 1)}, of which at least 1 is the signal's"
            )
        self.recurrent = [layer for layer in layers if isinstance(layer, Rnn)]
        if any(layer.batch_first for layer in self.recurrent):
            raise ValueError("a recurrent layer has batch_first=True; expected time first")
        self.bidirectional = any(layer.bidirectional for layer in self.recurrent)
        self.runs: list[Run] = [_ENGINES[engine](layer) for layer in self.recurrent]
        self._layers = layers
        self._condition, self._skip = list(condition), skip
        self._input_gain, self._output_gain = input_gain, output_gain

    def channels(self, channels: int) -> int:
        """How many channels come out of a signal of `channels`.

        Raises:
            ValueError: the network takes another number of them.
        """
        if self.inputs not in (1, channels):
            raise ValueError(
                f"the network has {self.inputs} inputs for the signal, which has {channels} "
                f"channel{'s' * (channels > 1)}; a condition gives the values of inputs that are no channels"
            )
        return channels // self.inputs * self.outputs

    def start(self, like: Tensor, initial: Sequence[State] | None) -> list[State]:
        """The state of each recurrent layer before the first of the rows of `like` ``(time, rows, inputs)``.

        Args:
            like: an input, for its dtype, device and number of rows.
            initial: states to begin from, of as many rows, or of one for all; default zeros.

        Raises:
            ValueError: `initial` has other shapes.
        """
        zeros = [zero_state(layer, like) for layer in self.recurrent]
        return zeros if initial is None else _fitted(initial, zeros)

    def run(self, x: Tensor, states: Sequence[State]) -> tuple[Tensor, list[State]]:
        """From ``(time, rows, inputs)`` and the states before to ``(time, rows, outputs)`` and those after."""
        x = x * self._input_gain
        if self._condition:
            x = torch.cat([x, x.new_tensor(self._condition).expand(*x.shape[:2], -1)], -1)
        y, before, after = x.contiguous(), iter(zip(self.runs, states, strict=True)), []
        for layer in self._layers:
            if isinstance(layer, Rnn):
                run, state = next(before)
                y, state = run(y, state)
                after.append(state)
            else:
                y = layer(y)
        if self._skip:
            y = y + x[..., : self._skip]
        return y * self._output_gain, after


def _widths(layer: nn.Module) -> list[int]:
    """Inputs and outputs; nothing of an activation, which has as many of either."""
    if isinstance(layer, Rnn):
        return [layer.input_size, (layer.proj_size or layer.hidden_size) * (2 if layer.bidirectional else 1)]
    return [layer.in_features, layer.out_features] if isinstance(layer, nn.Linear) else []


def _fitted(initial: Sequence[State], zeros: Sequence[State]) -> list[State]:
    """`initial` with its rows as often as there are in `zeros`."""
    parts, likes = ([part for state in states for part in state] for states in (initial, zeros))
    if [len(state) for state in initial] != [len(state) for state in zeros] or not all(
        part.shape in (like.shape, like[:, :1].shape) for part, like in zip(parts, likes, strict=True)
    ):
        raise ValueError(f"the state has the shapes {_shapes(parts)}; expected {_shapes(likes)}")
    return [
        tuple(part.to(zero).expand_as(zero).contiguous() for part, zero in zip(state, like, strict=True))
        for state, like in zip(initial, zeros, strict=True)
    ]


def _shapes(parts: Sequence[Tensor]) -> str:
    return ", ".join(str(tuple(part.shape)) for part in parts) or "none"


class Recurrent(Blockwise):
    """A `Network` over a signal ``(..., C, T)``, block by block.

    With one input left to the signal, every channel runs on its own and gives O channels of ``(..., C * O, T)``;
    otherwise the C channels are the inputs, and the result is ``(..., O, T)``. Work of a block is done when it is
    staged: each step needs the one before it. Without any block the result is an empty float32 tensor of shape
    ``(0,)``.

    Args:
        network: one with a bidirectional layer keeps the whole signal until it ends.
        block: samples that are worked at once, rounded up to a multiple of `TILE`.
        prewarm: samples of silence that run through before the signal, their outputs dropped.
        initial: the state of each recurrent layer before that, for one row or for each; default zeros.
        flowing: give the output of each sample at once, for a signal that comes in slowly. Its bits are those of a
            longer signal; without, the last outputs of a signal may have other last bits. The cuts show in neither.

    Raises ValueError where `initial` or the channels of a block do not fit, or a bidirectional network is given a
    `prewarm` or `initial`.

    >>> _ = torch.manual_seed(0)
    >>> lstm = nn.LSTM(1, 8).requires_grad_(False)
    >>> x = torch.randn(1, 1000)
    >>> core = Recurrent(Network([lstm]), block=256)
    >>> y = torch.cat([core.push(x[:, :300]), core.push(x[:, 300:]), core.finish()], -1)
    >>> torch.equal(y.T, lstm(x.T)[0])
    True
    """

    def __init__(
        self,
        network: Network,
        *,
        block: int = 4096,
        prewarm: int = 0,
        initial: Sequence[State] | None = None,
        flowing: bool = False,
    ) -> None:
        check_size("block", block, 1)
        check_size("prewarm", prewarm, 0)
        if network.bidirectional and (prewarm or initial):
            raise ValueError("a bidirectional network starts from zeros at both ends; it takes no state and no prewarm")
        self._network = network
        self._block = -(-block // TILE) * TILE
        self._prewarm = prewarm
        self._initial = initial
        self._flowing = flowing and not network.bidirectional
        self._held: list[Tensor] = []
        self._given = 0  # outputs of what is held
        self.states: list[State] = []
        """Those after all samples, once the end has been staged."""

    def stage(self, block: Tensor) -> Work:
        if not self._held:
            self._begin(block[..., :0])
        self._held.append(block)
        if self._network.bidirectional:
            return self._joined([])
        held = torch.cat(self._held, -1)
        if self._flowing:
            return self._flow(held)
        pieces = []
        while held.shape[-1] >= self._block + TILE // 2:
            pieces.append(self._run(held[..., : self._block]))
            held = held[..., self._block :]
        self._held = [held.clone()]
        return self._joined(pieces)

    def stage_end(self) -> Work:
        if not self._held:
            return lambda: torch.empty(0)
        held = torch.cat(self._held, -1)
        return self._joined([self._run(held)[..., self._given :]] if held.shape[-1] else [])

    def _flow(self, held: Tensor) -> Work:
        """The outputs of all samples that have come: of whole tiles, and of one that zeros fill up, to come again."""
        pieces = []
        while count := min(self._block, held.shape[-1] // TILE * TILE):
            pieces.append(self._run(held[..., :count]))
            held = held[..., count:]
        given, self._given = self._given, held.shape[-1]
        if self._given:
            states = self.states
            pieces.append(self._run(nn.functional.pad(held, (0, TILE - self._given)))[..., : self._given])
            self.states = states
        self._held = [held.clone()]
        return self._joined([torch.cat([self._nothing, *pieces], -1)[..., given:]])

    def _begin(self, nothing: Tensor) -> None:
        """Before the first block, of which `nothing` tells all but the samples."""
        self._nothing = nothing.new_zeros(*nothing.shape[:-2], self._network.channels(nothing.shape[-2]), 0)
        like = self._rows(nothing)
        self.states = self._network.start(like, self._initial)
        for start in range(0, self._prewarm, self._block):
            silence = like.new_zeros(min(self._block, self._prewarm - start), *like.shape[1:])
            _, self.states = self._network.run(silence, self.states)

    def _rows(self, block: Tensor) -> Tensor:
        """``(..., C, T)`` as ``(T, rows, inputs)``."""
        channels = block.flatten(0, -2)
        inputs = self._network.inputs
        return channels.reshape(len(channels) // inputs, inputs, -1).permute(2, 0, 1)

    def _run(self, block: Tensor) -> Tensor:
        rows, self.states = self._network.run(self._rows(block), self.states)
        return rows.permute(1, 2, 0).reshape(*block.shape[:-2], -1, block.shape[-1])

    def _joined(self, pieces: Sequence[Tensor]) -> Work:
        joined = torch.cat([self._nothing, *pieces], -1)
        return lambda: joined


def run_network(
    signal: Tensor,
    network: Network,
    *,
    block: int = 4096,
    prewarm: int = 0,
    initial: Sequence[State] | None = None,
) -> tuple[Tensor, list[State]]:
    """What `network` makes of the signal ``(..., C, T)``, and the state of each of its recurrent layers after it.

    Shapes, arguments and errors are those of `Recurrent`. An empty signal gives an empty result; a NaN or infinity may
    spoil everything after it. Differentiable, dtype and device kept; the signal has those of the layers.

    >>> _ = torch.manual_seed(0)
    >>> network = Network([nn.LSTM(1, 8), nn.Linear(8, 1)], skip=1)
    >>> x = torch.randn(2, 1, 6000)
    >>> whole, _ = run_network(x, network)
    >>> first, states = run_network(x[..., :4096], network)
    >>> second, _ = run_network(x[..., 4096:], network, initial=states)
    >>> torch.equal(torch.cat([first, second], -1), whole)
    True
    """
    core = Recurrent(network, block=block, prewarm=prewarm, initial=initial)
    return torch.cat([core.push(signal), core.finish()], -1), core.states
