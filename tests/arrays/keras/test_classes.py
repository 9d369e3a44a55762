"""Whose classes the objects of a Keras configuration are."""

from __future__ import annotations

from typing import Any

import pytest

from convtool.arrays.keras.classes import foreign_class
from convtool.arrays.keras.config import Layer, calls

OWN = "keras.layers"
TRAINABLE = {"trainable": True}


@pytest.mark.parametrize(
    ("said", "foreign"),
    [
        ({"class_name": "Dense", "module": OWN, "registered_name": None}, ""),
        ({"class_name": "Functional", "module": "keras.src.models.functional", "registered_name": "Functional"}, ""),
        ({"class_name": "Dense", "module": OWN, "registered_name": "mine>Dense"}, "mine>Dense"),
        ({"class_name": "Mix", "module": None, "registered_name": "mine>Mix"}, "mine>Mix"),
        ({"class_name": "Mix", "module": None, "registered_name": None}, "Mix"),
        ({"class_name": "Mix", "module": "my.layers", "registered_name": "mine>Mix"}, "my.layers.Mix"),
        ({"class_name": "Dense", "module": "__main__", "registered_name": "Dense"}, "__main__.Dense"),
        ({"class_name": "mine>Mix", "config": {}}, "mine>Mix"),
        ({"class_name": "Mix", "config": TRAINABLE}, "Mix"),
        ({"class_name": "LocallyConnected1D", "config": TRAINABLE}, ""),
        ({"class_name": "GlorotUniform", "config": {"seed": None}}, ""),  # no layer
        ({"class_name": "__keras_tensor__"}, ""),
    ],
)
def test_whose_class_it_is(said: dict[str, Any], foreign: str) -> None:
    assert foreign_class(said) == foreign


def test_a_class_of_the_name_of_one_of_keras_s_is_not_that() -> None:
    said = {"class_name": "LSTM", "module": None, "registered_name": "mine>LSTM", "config": {"units": 2}}
    layer = Layer.of(said)
    assert layer is not None
    assert (layer.role, layer.settings()) == ("mine>LSTM", {"foreign": True})
    assert layer.variables([(3, 8), (2, 8), (8,)]) == ()
    both = Layer.of({"class_name": "Bidirectional", "module": OWN, "config": {"layer": said}})
    assert both is not None
    forward = both.item("forward_layer")
    assert forward is not None
    assert (forward.foreign, forward.name) == ("mine>LSTM", "forward_")


def test_functions_are_called_by_their_own_names() -> None:
    config = [
        {"class_name": "function", "module": "builtins", "config": "squash", "registered_name": "function"},
        {"class_name": "function", "module": "builtins", "config": "mine>fold", "registered_name": "function"},
        {"class_name": "function", "module": None, "config": "bend", "registered_name": "mine>bend"},
        {"class_name": "function", "module": "keras.activations", "config": "relu"},
    ]
    assert calls(config) == ["builtins.squash", "mine>fold", "mine>bend"]
