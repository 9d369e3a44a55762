"""GGUF's types of tensors: plain numbers, and blocks in which several share a scale.

Sources: ``ggml.h``, and ``ggml-common.h`` for what stands where in a block.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from convtool.arrays.raw import as_numbers, stored_type

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Block(NamedTuple):
    """A type of tensors."""

    name: str
    """NumPy's or torch's, or ggml's own where it is quantised."""
    numbers: int
    """In a block; 1 where numbers stand alone."""
    nbytes: int
    """That a block takes."""
    scales: slice = slice(0, 2)
    """The bytes of a block that hold its scale, and its offset where it has one."""
    scale: str = "float16"
    """The type of these."""


TYPES = {
    0: Block("float32", 1, 4),
    1: Block("float16", 1, 2),
    2: Block("Q4_0", 32, 18),
    3: Block("Q4_1", 32, 20, slice(0, 4)),
    6: Block("Q5_0", 32, 22),
    7: Block("Q5_1", 32, 24, slice(0, 4)),
    8: Block("Q8_0", 32, 34),
    9: Block("Q8_1", 32, 36, slice(0, 4)),
    10: Block("Q2_K", 256, 84, slice(80, 84)),
    11: Block("Q3_K", 256, 110, slice(108, 110)),
    12: Block("Q4_K", 256, 144, slice(0, 4)),
    13: Block("Q5_K", 256, 176, slice(0, 4)),
    14: Block("Q6_K", 256, 210, slice(208, 210)),
    15: Block("Q8_K", 256, 292, slice(0, 4), "float32"),
    16: Block("IQ2_XXS", 256, 66),
    17: Block("IQ2_XS", 256, 74),
    18: Block("IQ3_XXS", 256, 98),
    19: Block("IQ1_S", 256, 50),
    20: Block("IQ4_NL", 32, 18),
    21: Block("IQ3_S", 256, 110),
    22: Block("IQ2_S", 256, 82),
    23: Block("IQ4_XS", 256, 136),
    24: Block("int8", 1, 1),
    25: Block("int16", 1, 2),
    26: Block("int32", 1, 4),
    27: Block("int64", 1, 8),
    28: Block("float64", 1, 8),
    29: Block("IQ1_M", 256, 56, slice(48, 56)),
    30: Block("bfloat16", 1, 2),
    34: Block("TQ1_0", 256, 54, slice(52, 54)),
    35: Block("TQ2_0", 256, 66, slice(64, 66)),
    39: Block("MXFP4", 32, 17, slice(0, 1), "float8_e8m0fnu"),
    40: Block("NVFP4", 64, 36, slice(0, 4), "float8_e4m3fn"),
    41: Block("Q1_0", 128, 18),
}
"""By their numbers in the file; those that are missing were taken out of ggml again."""


def scales_in(data: NDArray[np.uint8], block: Block, order: str) -> NDArray[Any]:
    """The scales and offsets of whole blocks: where these are finite, so are all numbers.

    A scale that can be so large that its product with an integer is beyond float32 is given as that infinity.

    Args:
        data: the blocks, one behind the other.
        block: what they are.
        order: ``<`` or ``>``.
    """
    import numpy as np

    part = np.ascontiguousarray(data.reshape(-1, block.nbytes)[:, block.scales])
    if block.name == "IQ1_M":  # four words of scales for parts of the block hold four bits of it each
        words = part.view(f"{order}u2") >> 12
        return (words @ np.array([1, 1 << 4, 1 << 8, 1 << 12], np.uint16)).view(np.float16)
    scales = as_numbers(part.view(stored_type(block.scale, order)).reshape(-1), block.scale)
    if block.name not in _LARGEST:
        return scales
    largest = _LARGEST[block.name](data.reshape(-1, block.nbytes)).astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        products = scales * largest
    return np.where(np.isfinite(scales) & np.isinf(products), products, scales)


def _largest_float4(blocks: NDArray[np.uint8]) -> NDArray[Any]:
    """The largest of what each block's codes of 4 bits stand for: ``float4_e2m1fn``, without their sign."""
    import numpy as np

    codes = blocks[:, 1:]
    magnitudes = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    return cast("NDArray[Any]", magnitudes[np.maximum(codes & 7, codes >> 4 & 7).max(axis=1)])


def _largest_int8(blocks: NDArray[np.uint8]) -> NDArray[Any]:
    import numpy as np

    integers = blocks[:, 4:260].view(np.int8).astype(np.int16)
    return cast("NDArray[Any]", np.abs(integers).max(axis=1))


_LARGEST = {"MXFP4": _largest_float4, "Q8_K": _largest_int8}
"""The greatest magnitude that the scale of each block is multiplied by, of types whose scales reach float32's limit."""
