"""Number types that NumPy lacks, against ml_dtypes: every bit pattern of each."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from convtool.arrays.narrow import NARROW, widen


@pytest.mark.parametrize("dtype", sorted(NARROW))
def test_every_bit_pattern(dtype: str) -> None:
    bits = (ml_dtypes.iinfo if "int" in dtype else ml_dtypes.finfo)(dtype).bits
    codes = np.arange(1 << bits, dtype=np.uint16 if bits == 16 else np.uint8)
    reference = codes.view(getattr(ml_dtypes, dtype))
    found = widen(codes, dtype)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, reference.astype(np.float32))
    real = ~np.isnan(found)  # the sign of zero counts, that of NaN does not
    np.testing.assert_array_equal(np.signbit(found[real]), np.signbit(reference.astype(np.float32)[real]))


def test_shapes_are_kept_and_bits_beyond_the_type_count_for_nothing() -> None:
    codes = np.array([[0x38, 0x78], [0xB8, 0xF8]], np.uint8)
    assert widen(codes, "int4").tolist() == [[-8, -8], [-8, -8]]
    assert widen(codes, "float6_e2m3fn").shape == (2, 2)
    np.testing.assert_array_equal(widen(codes, "float6_e2m3fn"), widen(codes & 0x3F, "float6_e2m3fn"))
