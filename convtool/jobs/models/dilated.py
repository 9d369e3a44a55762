"""The step from a model of NAM that was read from its file to what runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, overload

from convtool.arrays.nam import nets
from convtool.jobs.models.network import build_network, initial_states
from convtool.jobs.models.place import Place
from convtool.models.layers import chained
from convtool.models.recurrent import RecurrentModel, nam_lstm_layers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convtool.ops.dilated.activations import Activation
    from convtool.ops.dilated.parts import Chain, Conv, Layer, Part, Recurrence


class _Builder:
    """Makes the parts of a net from their descriptions and the weights of these names."""

    def __init__(self, weights: Mapping[str, NDArray[Any]], place: Place) -> None:
        self._weights = weights
        self._place = place

    @overload
    def conv(self, conv: nets.Conv) -> Conv: ...
    @overload
    def conv(self, conv: None) -> None: ...
    def conv(self, conv: nets.Conv | None) -> Conv | None:
        from convtool.ops.dilated.parts import Conv

        if conv is None:
            return None
        weight, bias = self._weights[f"{conv.name}.weight"], self._weights.get(f"{conv.name}.bias")
        return Conv(
            self._place.tensor(weight),
            None if bias is None else self._place.tensor(bias),
            conv.dilation,
            conv.groups,
        )

    def layer(self, layer: nets.Layer) -> Layer:
        from convtool.ops.dilated.parts import Film, Layer

        return Layer(
            self.conv(layer.conv),
            self.conv(layer.mixin),
            _activation(layer.activation),
            gate=None if layer.gate is None else _activation(layer.gate),
            blends=layer.gating == "blended",
            to_next=self.conv(layer.to_next),
            to_head=self.conv(layer.to_head),
            films={place: Film(self.conv(film.conv), film.shift) for place, film in layer.films.items()},
        )

    def chain(self, chain: nets.Chain) -> Chain:
        from convtool.ops.dilated.parts import Chain

        return Chain([self.conv(step) if isinstance(step, nets.Conv) else _activation(step) for step in chain.steps])

    def fir(self, fir: nets.Fir) -> Chain:
        """As a convolution, the last tap of which is at the sample itself."""
        from convtool.ops.dilated.parts import Chain, Conv

        taps = self._weights[f"{fir.name}impulse_response"][None, None, ::-1]
        bias = self._place.tensor(self._weights[f"{fir.name}bias"]) if fir.bias else None
        return Chain([Conv(self._place.tensor(taps), bias)])

    def lstm(self, lstm: nets.Lstm) -> Recurrence:
        from convtool.ops.dilated.parts import Recurrence

        model = RecurrentModel("nam", chained(nam_lstm_layers(self._weights, lstm.name)))
        return Recurrence(build_network(model, self._place), initial_states(model, self._place))

    def net(self, net: nets.Net) -> Part:
        from convtool.ops.dilated.parts import Array, Stack

        if isinstance(net, nets.Chain):
            return self.chain(net)
        if isinstance(net, nets.Fir):
            return self.fir(net)
        if isinstance(net, nets.Lstm):
            return self.lstm(net)
        arrays = [
            Array(self.conv(array.enter), [self.layer(layer) for layer in array.layers], self.conv(array.leave))
            for array in net.arrays
        ]
        return Stack(
            arrays,
            scale=float(self._weights[net.scale][0]),
            head=None if net.head is None else self.chain(net.head),
            condition=None if net.condition is None else self.net(net.condition),
        )


def _activation(described: nets.Activation) -> Activation:
    from convtool.ops.dilated.activations import activation

    return activation(described.name, **described.settings)


def build_stack(net: nets.Net, weights: Mapping[str, NDArray[Any]], place: Place) -> Part:
    """What runs `net` with `weights` there."""
    return _Builder(weights, place).net(net)
