"""What lines above the numbers state: rates and intervals with their units, and that rows are no samples."""

from __future__ import annotations

import pytest

from convtool.errors import InputError
from convtool.signals.text.statements import read_statements


@pytest.mark.parametrize(
    ("line", "rate"),
    [
        ("Sample rate: 48000", 48000),
        ("Sample rate 8000 mono", 8000),
        ("sample_rate_hz: 48000", 48000),
        ("fs=48k", 48000),
        ("fs = 48 kHz", 48000),
        ("Sample rate (kHz): 48", 48000),
        ("Sampling frequency [Hz] = 250", 250),
        ("Sample Rate,48,kHz", 48000),
        ("Sample Rate,1e6,Sa/s", 1e6),
        ("Sample Rate,1000,1000", 1000),
        ("Sample Rate,500,500", 500),
        ("Sample Rate,48000,Channels,2", 48000),
        ("Sample rate: 44,100 Hz", 44100),
        ("Sample rate: 48 000 Hz", 48000),
        ("Sample rate: 1\u202f000\u202f000 S/s", 1e6),
        ("Sample rate: 44,1 kHz", 44100),
        ("Sample rate: 44,100 kHz", None),
        ("Sample rate: 44,100", None),
        ("Sample rate: 48 000", None),
        ("Sample rate: 1.2.3", None),
        ("Sample rate: 44100 Hz. Values are linear.", 44100),
        ("Sample rate: 48000 Hz (2 channels)", 48000),
        ("Sample rate: 1 MHz", 1e6),
        ("Sample rate: 100 mHz", 0.1),
        ("Sample rate: 100 mhz", None),
        ("Sample rate: 60 per minute", 1),
        ("Sample rate: 10 samples per second", 10),
        ("Sample rate: 3600 samples/h", 1),
        ("Sample rate: 10 per fortnight", None),
        ("Sample rate: 10 samples", None),
        ("Sample rate: 10x", None),
        ("Sample rate: 0", None),
        ("Sample Interval (ms): 0.1", 10000),
        ("Sample Interval (us),10", 100000),
        ("Sample Interval: 10 \u03bcs", 100000),
        ("Sampling period = 2 minutes", 1 / 120),
        ("Sample Interval: 5 samples", None),
        ("tInc = 1.0e-06s,", 1e6),
        ("Sample Interval: 0", None),
        ("Interval=\t0.001 s", 1000),
        ("Logging interval: 5 s", None),
        ("0.5 msec/sample", 2000),
        ("  10   .0050    NPTS, DT", 200),
        ("0.5 volts/sample", None),
        ("dt = 0.01 (ms)", 100000),
        ("dt = 0.01 [ms]", 100000),
        ("Sampling rate: 44.1 (kHz)", 44100),
        ("Sampling rate: 44100 (Audio)", None),
        ("Sampling interval: 100 (\u00b5s)", 10000),
        ("Sampling interval: 2 weeks", None),
        ("Sampling interval: 5 usecs", 200000),
        ("Sampling rate: 8 kilohertz", None),
        ("Sample Rate,2,mhz", None),
        ("Sampling interval (weeks): 1", None),
        ("Sampling interval (days): 1", 1 / 86400),
        ("Sampling rate (per channel): 8000", None),
        ("Sample Interval: 1,000 ms", None),
    ],
)
def test_rates_are_taken_with_their_units(line: str, rate: float | None) -> None:
    found = read_statements([line]).rate
    assert found == (None if rate is None else pytest.approx(rate, rel=1e-15))


def test_what_is_not_understood_leaves_the_next_statement_its_say() -> None:
    assert read_statements(["Sample rate: 44,100", "Sample rate: 44100 Hz"]).rate == 44100


@pytest.mark.parametrize(("line", "rate"), [("Sample rate: 1.000,0 Hz", 1000), ("Sample Interval (s): 0,001", 1000)])
def test_numbers_are_read_with_their_decimal_mark(line: str, rate: float) -> None:
    assert read_statements([line], ",").rate == pytest.approx(rate)


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (["Sample Rate: 44100 Hz. Sample values on dB scale."], "levels, not samples: 'Sample values on dB scale'"),
        (["# name: x", "# type: range"], "Octave file of 'type: range'"),
        (["# type: sparse matrix"], "Octave file of 'type: sparse matrix'"),
        (["# type: int32 matrix", "# ndims: 2"], "Octave file of 'ndims: 2'"),
        (["%%MatrixMarket matrix coordinate real general"], "Matrix Market file, '%MatrixMarket matrix"),
    ],
)
def test_rows_that_are_no_samples_are_refused(lines: list[str], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        read_statements(lines)


@pytest.mark.parametrize("kind", ["matrix", "scalar", "bool matrix"])
def test_plain_octave_variables_are_read(kind: str) -> None:
    assert read_statements(["# name: x", f"# type: {kind}", "# rows: 2"]).rate is None
