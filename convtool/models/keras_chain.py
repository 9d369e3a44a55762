"""The check that a Keras model is one chain of recurrent and dense layers, which its weights alone do not tell."""

from __future__ import annotations

from convtool.arrays.keras.config import Layer
from convtool.errors import InputError

_WEIGHTED = ("LSTM", "GRU", "Dense")
_IDLE = (
    *("InputLayer", "Identity", "ActivityRegularization"),
    *("Dropout", "SpatialDropout1D", "GaussianDropout", "GaussianNoise", "AlphaDropout"),
)
"""Layers that hand on what they get, once a model is trained."""

_SEQUENCES = ("Sequential", "Functional", "Model")


def check_chain_of_keras(model: Layer) -> None:
    """Refuse a model that computes something beside its recurrent and dense layers.

    Args:
        model: its configuration; one without layers says nothing, and passes.

    Raises:
        InputError: a layer can't be run, or there are several inputs or outputs.
    """
    for side in ("input_layers", "output_layers"):
        ends = model.config.get(side)
        if isinstance(ends, list) and len(ends) > 1 and isinstance(ends[0], list):
            raise InputError(f"the model has {len(ends)} {side.replace('_', ' ')}; expected one layer after another")
    for layer in model.items("layers"):
        _check(layer)


def _check(layer: Layer) -> None:
    inner = layer.item("layer")
    for each in (layer, inner):
        if each is not None and each.foreign:  # whatever its class is called
            raise InputError(
                f"layer {each.name!r} is a {each.foreign}, a class that is not Keras's and computes anything"
            )
    if layer.kind in _SEQUENCES:
        check_chain_of_keras(layer)
    elif layer.kind == "Bidirectional":
        merge = layer.config.get("merge_mode", "concat")
        if merge != "concat":
            raise InputError(f"layer {layer.name!r} merges its directions by {merge!r}; convtool runs 'concat'")
    elif layer.kind not in (*_WEIGHTED, *_IDLE) and not (layer.kind == "TimeDistributed" and _is_dense(inner)):
        raise InputError(
            f"layer {layer.name!r} is a {layer.kind}; of Keras's layers convtool runs {', '.join(_WEIGHTED)}, "
            "Bidirectional and TimeDistributed(Dense)"
        )


def _is_dense(layer: Layer | None) -> bool:
    return layer is not None and layer.kind == "Dense"
