"""The torch network of a recurrent model that was read from a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from convtool.jobs.models.place import Place
from convtool.models.layers import ModelLayer, RecurrentLayer
from convtool.models.recurrent import RecurrentModel

if TYPE_CHECKING:
    from torch import nn

    from convtool.ops.recurrent.network import Network, State


def build_network(
    model: RecurrentModel,
    place: Place,
    *,
    condition: Sequence[float] = (),
    engine: Literal["sequence", "cell"] = "sequence",
    gains: bool = True,
) -> Network:
    """The network of `model`; without its `gains`, as its layers and skip alone."""
    from convtool.ops.recurrent.network import Network

    return Network(
        [module for layer in model.layers for module in _modules(layer, place)],
        condition=condition,
        skip=model.skip,
        input_gain=model.input_gain if gains else 1.0,
        output_gain=model.output_gain if gains else 1.0,
        engine=engine,
    )


def initial_states(model: RecurrentModel, place: Place) -> list[State] | None:
    """What the model begins from, where its file says so; all its recurrent layers then do."""
    layers = [layer for layer in model.layers if isinstance(layer, RecurrentLayer)]
    if not layers[0].state:
        return None
    return [tuple(place.tensor(part)[None, None] for part in layer.state) for layer in layers]


def _modules(layer: ModelLayer, place: Place) -> Iterator[nn.Module]:
    from torch import nn

    from convtool.ops.recurrent.network import recurrent_layer

    activations = {"tanh": nn.Tanh(), "relu": nn.ReLU(), "sigmoid": nn.Sigmoid(), "elu": nn.ELU()}
    activations["softmax"] = nn.Softmax(dim=-1)
    weights = {name: place.tensor(values) for name, values in layer.weights.items()}
    if isinstance(layer, RecurrentLayer):
        yield recurrent_layer(layer.kind, weights)
    else:
        linear = nn.Linear(layer.inputs, layer.outputs, bias="bias" in weights, device="meta")
        linear.load_state_dict(weights, assign=True)
        yield linear.requires_grad_(False)
        if layer.activation in activations:
            yield activations[layer.activation]
