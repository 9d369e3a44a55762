"""Files of named arrays, each format read and written in one room; nothing in them is ever executed."""

from convtool.arrays.description import TensorInfo, WeightFile
from convtool.arrays.opening import open_weights

__all__ = ["TensorInfo", "WeightFile", "open_weights"]
