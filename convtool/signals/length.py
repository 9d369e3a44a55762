"""Lengths as options give them: samples, or times that become samples once the sample rate is known."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from convtool.errors import InputError

_LENGTH = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(ns|us|[µμ]s|ms|s|min|h)?")
_MICRO = Fraction(1, 1_000_000)
_SECONDS = {
    "ns": Fraction(1, 1_000_000_000),
    "us": _MICRO,
    "µs": _MICRO,
    "μs": _MICRO,  # the Greek letter
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "min": Fraction(60),
    "h": Fraction(3600),
}
UNITS = tuple(_SECONDS)


@dataclass(frozen=True)
class Length:
    """`amount` samples, or with `timed` seconds; `text` is what was typed."""

    text: str
    amount: Fraction
    timed: bool = False

    @classmethod
    def parse(cls, text: str) -> Length:
        """A length of at least one sample, or of more than no time.

        Raises:
            ValueError: `text` is no such length.

        >>> Length.parse("2205").samples(None), Length.parse("50ms").samples(44100), Length.parse("1h").samples(8000)
        (2205, 2205, 28800000)
        """
        found = _LENGTH.fullmatch(text)
        if found is None or (found[2] is None and "." in text):
            raise ValueError(f"'{text}' is no length: give samples, such as 2205, or a time: 50ms, 0.5s, 10min or 1h")
        amount = Fraction(found[1]) * _SECONDS.get(found[2], 1)
        if amount <= 0:
            raise ValueError(f"{text} is too short; the least length is 1 sample")
        return cls(text, amount, found[2] is not None)

    def samples(self, sample_rate: int | None) -> int:
        """The length in whole samples, the nearest to a time.

        Raises:
            InputError: a time has no sample rate, or is less than half a sample.
        """
        if not self.timed:
            return int(self.amount)
        if sample_rate is None:
            raise InputError(
                f"{self.text} is a time and needs a sample rate, which this input does not have; "
                "give --sample-rate, or a length in samples"
            )
        samples = round(self.amount * sample_rate)
        if samples < 1:
            raise InputError(
                f"{self.text} is {float(self.amount * sample_rate):.3g} samples at {sample_rate} Hz; "
                "give a length of at least 1 sample"
            )
        return samples
