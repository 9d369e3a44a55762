"""The mathematics: plain functions on tensors, and their block-wise cores."""
