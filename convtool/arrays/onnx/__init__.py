"""ONNX models, and what of its operators more than one room must know."""

RECURRENT_STATES = {"LSTM": (5, 6), "GRU": (5,), "RNN": (5,)}
"""The inputs of each recurrent operator that its state begins with."""
