"""The extremes that a long waveform is drawn with."""

from __future__ import annotations

import numpy as np

from convtool.plots.waveform import envelope
from tests.helpers.pictures import noise


def test_an_envelope_holds_every_sample() -> None:
    signal = noise(3, 12345).astype(np.float32)
    signal[1, 777] = 9
    starts, low, high = envelope(signal, 1000)
    ends = np.append(starts[1:], 12345)
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        assert (low[:, i] == signal[:, start:end].min(-1)).all()
        assert (high[:, i] == signal[:, start:end].max(-1)).all()
    assert high.max() == 9


def test_an_envelope_leaves_out_what_is_not_finite() -> None:
    _, low, high = envelope(np.array([[1.0, np.inf, np.nan, -np.inf, 3.0, 2.0]]), 3)
    np.testing.assert_array_equal(low, [[1, np.nan, 2]])
    np.testing.assert_array_equal(high, [[1, np.nan, 3]])
