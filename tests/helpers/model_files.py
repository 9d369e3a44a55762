"""Small recurrent models in every format that `convtool lstm` reads, all made from the same torch modules."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Rnn = nn.LSTM | nn.GRU
Array = np.ndarray[Any, np.dtype[Any]]


def modules(kind: type[Rnn] = nn.LSTM, *, inputs: int = 1, hidden: int = 8, outputs: int = 1, **options: Any) -> Any:
    """A recurrent layer and a head with weights that are large enough to matter, always the same."""
    torch.manual_seed(11)
    rnn = kind(inputs, hidden, **options).requires_grad_(False)
    linear = nn.Linear(hidden * (2 if rnn.bidirectional else 1), outputs).requires_grad_(False)
    return rnn, linear


def plays(rnn: Rnn, linear: nn.Linear, x: Tensor, *, skip: int = 0) -> Tensor:
    """What a model of these must make of `x` `(inputs, samples)`: `(outputs, samples)`."""
    y = linear(rnn(x.T)[0])
    return (y + x.T[:, :skip] if skip else y).T


def write_json(path: Path, document: Any) -> str:
    path.write_text(json.dumps(document), encoding="utf-8")
    return str(path)


def lists(state: Mapping[str, Tensor], prefix: str = "") -> dict[str, Any]:
    return {prefix + name: value.tolist() for name, value in state.items()}


def guitarml_document(rnn: Rnn, linear: nn.Linear, *, skip: int = 1) -> dict[str, Any]:
    """What Automated-GuitarAmpModelling writes."""
    data = {
        "model": "SimpleRNN",
        "input_size": rnn.input_size,
        "skip": skip,
        "output_size": linear.out_features,
        "unit_type": type(rnn).__name__,
        "num_layers": rnn.num_layers,
        "hidden_size": rnn.hidden_size,
        "bias_fl": linear.bias is not None,
    }
    return {"model_data": data, "state_dict": lists(rnn.state_dict(), "rec.") | lists(linear.state_dict(), "lin.")}


def guitarml(path: Path, rnn: Rnn, linear: nn.Linear, *, skip: int = 1) -> str:
    """The JSON of GuitarML, Proteus..."""
    return write_json(path, guitarml_document(rnn, linear, skip=skip))


def torch_json(path: Path, rnn: Rnn, linear: nn.Linear, *, prefix: str = "lstm.", head: str = "dense.") -> str:
    """A bare state dict as nested lists."""
    return write_json(path, lists(rnn.state_dict(), prefix) | lists(linear.state_dict(), head))


def state_dict(rnn: Rnn, linear: nn.Linear | None, *, prefix: str = "rnn.", head: str = "head.") -> dict[str, Tensor]:
    """What `torch.save(model.state_dict())` writes."""
    state = {prefix + name: value for name, value in rnn.state_dict().items()}
    return state if linear is None else state | {head + name: value for name, value in linear.state_dict().items()}


def pt(path: Path, rnn: Rnn, linear: nn.Linear | None) -> str:
    """A torch state dict."""
    torch.save(state_dict(rnn, linear), path)
    return str(path)


def safetensors(path: Path, rnn: Rnn, linear: nn.Linear | None) -> str:
    """The same as safetensors."""
    from safetensors.torch import save_file

    save_file(state_dict(rnn, linear), path)
    return str(path)


def keras_arrays(rnn: Rnn) -> list[Array]:
    """Kernel, recurrent kernel and bias as Keras has them, of the first direction of the only layer.

    Gates of an LSTM stay i f c o; those of a GRU become z r h, its biases two rows.
    """
    state = {name.removesuffix("_l0"): value.numpy() for name, value in rnn.state_dict().items()}
    order = [0, 1, 2, 3] if isinstance(rnn, nn.LSTM) else [1, 0, 2]

    def gates(values: Array) -> Array:
        parts = np.split(values, len(order))
        return np.concatenate([parts[gate] for gate in order])

    kernel, recurrent = gates(state["weight_ih"]).T, gates(state["weight_hh"]).T
    biases = [gates(state["bias_ih"]), gates(state["bias_hh"])]
    return [kernel, recurrent, sum(biases) if isinstance(rnn, nn.LSTM) else np.stack(biases)]  # type: ignore[list-item]


def rtneural_document(rnn: Rnn, linear: nn.Linear, *, activation: str = "", **more: Any) -> dict[str, Any]:
    """What AIDA-X and RTNeural's Keras exporter write."""
    kind = type(rnn).__name__.lower()
    weights = [values.tolist() for values in keras_arrays(rnn)]
    recurrent = {"type": kind, "activation": "", "shape": [None, None, rnn.hidden_size], "weights": weights}
    head = [linear.weight.T.tolist(), linear.bias.tolist()]
    dense = {
        "type": "dense",
        "activation": activation,
        "shape": [None, None, linear.out_features],
        "weights": head,
    }
    return {"in_shape": [None, None, rnn.input_size], "layers": [recurrent, dense], **more}


def rtneural(path: Path, rnn: Rnn, linear: nn.Linear, **more: Any) -> str:
    """The JSON of AIDA-X."""
    return write_json(path, rtneural_document(rnn, linear, **more))


def nam_document(
    rnn: nn.LSTM, linear: nn.Linear, *, state: Sequence[tuple[Array, Array]] | None = None, **more: Any
) -> dict[str, Any]:
    """What the Neural Amp Modeler writes of an LSTM; `state` is h0 and c0 of each layer."""
    weights: list[float] = []
    for level in range(rnn.num_layers):
        ih, hh, b, d = (values.numpy() for values in rnn.all_weights[level])
        h0, c0 = state[level] if state else (np.zeros(rnn.hidden_size),) * 2
        weights += [*np.hstack([ih, hh]).ravel().tolist(), *(b + d).tolist(), *h0.tolist(), *c0.tolist()]
    weights += [*linear.weight.ravel().tolist(), *linear.bias.tolist()]
    config = {"input_size": rnn.input_size, "hidden_size": rnn.hidden_size, "num_layers": rnn.num_layers}
    if linear.out_features > 1:
        config["out_channels"] = linear.out_features
    return {"version": "0.5.4", "architecture": "LSTM", "config": config, "weights": weights, **more}


def nam(path: Path, rnn: nn.LSTM, linear: nn.Linear, **more: Any) -> str:
    """A `.nam` of the architecture LSTM."""
    return write_json(path, nam_document(rnn, linear, **more))


def keras_layers(rnn: Rnn, linear: nn.Linear, *between: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a Sequential of these, and of layers `between` them."""
    kind = type(rnn).__name__
    settings = {"activation": "tanh", "recurrent_activation": "sigmoid", "reset_after": True}
    recurrent = {"name": kind.lower(), "units": rnn.hidden_size, "return_sequences": True, **settings}
    dense = {"name": "dense", "units": linear.out_features, "activation": "linear"}
    layers = [keras_layer(kind, **recurrent), *between, keras_layer("Dense", **dense)]
    return {"class_name": "Sequential", "config": {"name": "sequential", "layers": layers}}


def keras_layer(kind: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": config}


def keras_weights(rnn: Rnn, linear: nn.Linear) -> bytes:
    """The `.weights.h5` of a Sequential of these."""
    import h5py

    kept = io.BytesIO()
    with h5py.File(kept, "w") as file:
        for number, values in enumerate(keras_arrays(rnn)):
            file[f"layers/{type(rnn).__name__.lower()}/cell/vars/{number}"] = values
        file["layers/dense/vars/0"] = linear.weight.T.numpy()
        file["layers/dense/vars/1"] = linear.bias.numpy()
    return kept.getvalue()


def keras(path: Path, rnn: Rnn, linear: nn.Linear, *, config: Any = None) -> str:
    """A `.keras`, with the configuration of a Sequential unless another is given."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", json.dumps(config or keras_layers(rnn, linear)))
        archive.writestr("model.weights.h5", keras_weights(rnn, linear))
    return str(path)


def keras_h5(path: Path, rnn: Rnn, linear: nn.Linear) -> str:
    """A `.weights.h5`, which has no configuration."""
    path.write_bytes(keras_weights(rnn, linear))
    return str(path)
