"""Which inputs go into which batch, told from their lengths alone, and how much of a batch is padding."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from random import Random
from typing import Literal, NamedTuple, get_args

from convtool.errors import UsageError
from convtool.files.names import show

Strategy = Literal["pad", "group", "bucket", "single"]
Sort = Literal["none", "length"]

TOLERANCE = 1.02
"""How much more padding even buckets may need than full ones, of which the last may be left with a single row."""


class PlannedBatch(NamedTuple):
    """Inputs that share a batch.

    Attributes:
        rows: their indices, in row order.
        longest: samples of every row: those of the longest input, up to the next multiple.
    """

    rows: tuple[int, ...]
    longest: int


class Waste(NamedTuple):
    """Padding of some batches: in samples, and as a percentage of all samples, real and padding."""

    samples: int
    percent: float


class Bin(NamedTuple):
    """How many inputs have from `shortest` to `longest` samples, both included."""

    shortest: int
    longest: int
    inputs: int


class _Limits(NamedTuple):
    """The most that a batch may have: rows, and rows x longest."""

    rows: int
    samples: int

    def most_rows(self, longest: int) -> int:
        """Rows of a batch whose longest has so many samples."""
        return min(self.rows, self.samples // longest) if longest else self.rows

    def load(self, length: int) -> int:
        """The share of a batch that one row takes, in a unit that makes it a whole number."""
        return max(self.samples, length * self.rows)


def group(
    lengths: Sequence[int],
    *,
    strategy: Strategy,
    batch_size: int | None = None,
    max_samples: int | None = None,
    multiple_of: int = 1,
    sort: Sort = "none",
    seed: int | None = None,
    names: Sequence[str] | None = None,
) -> list[PlannedBatch]:
    """Put inputs into batches, every input into one.

    ========= ============================================================================================
    strategy  batches
    ========= ============================================================================================
    pad       one of all inputs; with limits, one after the other, each as full as they allow
    group     inputs of one length together, so that nothing is padded; with limits, in even parts
    bucket    inputs of similar length together: sorted by length and cut into as few batches as the limits
              allow, evenly, unless that needs over 2 % more padding than full batches and a smaller last one
    single    every input on its own
    ========= ============================================================================================

    Args:
        lengths: samples of each input.
        strategy: as above.
        batch_size: rows of a batch at most.
        max_samples: rows x longest at most, padding included.
        multiple_of: rows are as long as the next multiple of this many samples; lengths with the same next
            multiple are one length.
        sort: order of the inputs before they are put into batches, and so of the rows: as given (``none``) or from
            short to long, equal lengths as given (``length``). ``bucket`` always sorts.
        seed: shuffles the order of the batches, the same way for the same seed; rows stay where they are.
        names: of the inputs, for messages.

    Returns:
        The batches; none where there are no inputs.

    Raises:
        UsageError: an input alone is longer than `max_samples`.
        ValueError: unknown names, limits below 1.

    >>> group([5, 2, 3, 2], strategy="bucket", batch_size=2)
    [PlannedBatch(rows=(1, 3), longest=2), PlannedBatch(rows=(2, 0), longest=5)]
    """
    for name, choice, known in (("strategy", strategy, Strategy), ("sort", sort, Sort)):
        if choice not in get_args(known):
            raise ValueError(f"{name} is {choice!r}; use one of {', '.join(get_args(known))}")
    for name, limit in (("batch_size", batch_size), ("max_samples", max_samples), ("multiple_of", multiple_of)):
        if limit is not None and limit < 1:
            raise ValueError(f"{name} is {limit}; it must be at least 1")
    rounded = [-(-length // multiple_of) * multiple_of for length in lengths]
    _refuse_longer(rounded, max_samples, lengths, names)
    order = list(range(len(rounded)))
    if sort == "length" or strategy == "bucket":
        order.sort(key=lengths.__getitem__)
    most = 1 if strategy == "single" else batch_size or len(order)
    limits = _Limits(most, max_samples or most * max(rounded, default=0))
    batches = list(_STRATEGIES[strategy](order, rounded, limits))
    if seed is not None:
        Random(seed).shuffle(batches)  # noqa: S311 -- no secret hangs on it
    return batches


def waste(batches: Sequence[PlannedBatch], lengths: Sequence[int]) -> Waste:
    """How much of `batches` is padding; `lengths` are those of all inputs, by index.

    >>> waste(group([5, 2, 3, 2], strategy="pad"), [5, 2, 3, 2])
    Waste(samples=8, percent=40.0)
    """
    stored = sum(len(batch.rows) * batch.longest for batch in batches)
    padding = stored - sum(lengths[row] for batch in batches for row in batch.rows)
    return Waste(padding, 100 * padding / stored if stored else 0.0)


def histogram(lengths: Sequence[int], bins: int) -> list[Bin]:
    """Counts of lengths in at most `bins` bins of equal width, from the shortest to the longest.

    >>> histogram([1, 2, 2, 6], 3)
    [Bin(shortest=1, longest=2, inputs=3), Bin(shortest=3, longest=4, inputs=0), Bin(shortest=5, longest=6, inputs=1)]
    """
    if bins < 1:
        raise ValueError(f"bins is {bins}; it must be at least 1")
    if not len(lengths):
        return []
    low, high = min(lengths), max(lengths)
    width = -(-(high - low + 1) // bins)
    counts = Counter((length - low) // width for length in lengths)
    starts = range(low, high + 1, width)
    return [Bin(start, min(start + width - 1, high), counts[number]) for number, start in enumerate(starts)]


def _refuse_longer(
    rounded: Sequence[int], limit: int | None, lengths: Sequence[int], names: Sequence[str] | None
) -> None:
    """UsageError where a row of `rounded` samples is more than a batch may hold."""
    if limit is None or max(rounded, default=0) <= limit:
        return
    longer = [index for index, length in enumerate(rounded) if length > limit]
    name = f"input {longer[0] + 1}" if names is None else show(names[longer[0]])
    more = f" (and {len(longer) - 1} more)" if len(longer) > 1 else ""
    raise UsageError(
        f"{name} has {lengths[longer[0]]} samples, more than the {limit} of a whole batch{more}; "
        f"raise --max-samples to {max(rounded)}, or give --max-length and --truncate"
    )


def _pad(order: Sequence[int], sizes: Sequence[int], limits: _Limits) -> Iterator[PlannedBatch]:
    rows: list[int] = []
    longest = 0
    for index in order:
        if len(rows) >= limits.most_rows(max(longest, sizes[index])):
            yield PlannedBatch(tuple(rows), longest)
            rows, longest = [], 0
        rows.append(index)
        longest = max(longest, sizes[index])
    if rows:
        yield PlannedBatch(tuple(rows), longest)


def _group(order: Sequence[int], sizes: Sequence[int], limits: _Limits) -> Iterator[PlannedBatch]:
    together: dict[int, list[int]] = {}
    for index in order:
        together.setdefault(sizes[index], []).append(index)
    for size, rows in together.items():
        parts = -(-len(rows) // limits.most_rows(size))
        for part in range(parts):
            yield PlannedBatch(tuple(rows[len(rows) * part // parts : len(rows) * (part + 1) // parts]), size)


def _bucket(order: Sequence[int], sizes: Sequence[int], limits: _Limits) -> Iterator[PlannedBatch]:
    ascending = [sizes[index] for index in order]
    full = _full_buckets(ascending, limits)
    even = _even_buckets(ascending, limits, len(full) - 1)
    needed = sum(ascending)
    helps = _stored(ascending, even) - needed <= TOLERANCE * (_stored(ascending, full) - needed)
    for start, end in pairwise(even if helps else full):
        yield PlannedBatch(tuple(order[start:end]), ascending[end - 1])


_STRATEGIES = {"pad": _pad, "group": _group, "bucket": _bucket, "single": _pad}


def _stored(ascending: Sequence[int], bounds: Sequence[int]) -> int:
    """Rows x longest of all buckets between these bounds."""
    return sum((end - start) * ascending[end - 1] for start, end in pairwise(bounds))


def _full_buckets(ascending: Sequence[int], limits: _Limits) -> list[int]:
    """The bounds of buckets that are each filled before the next begins: no other way has fewer."""
    bounds = [0]
    while bounds[-1] < len(ascending):
        bounds.append(_full_bucket(ascending, limits, bounds[-1]))
    return bounds


def _full_bucket(ascending: Sequence[int], limits: _Limits, start: int) -> int:
    """The end of the fullest bucket from `start` on."""
    stop = min(len(ascending), start + limits.most_rows(ascending[start]))
    if (stop - start) * ascending[stop - 1] <= limits.samples:
        return stop
    return bisect_right(range(stop), limits.samples, lo=start, key=lambda last: (last - start + 1) * ascending[last])


def _even_buckets(ascending: Sequence[int], limits: _Limits, count: int) -> list[int]:
    """The bounds of `count` buckets, the fewest that can be, which fill the limits as nearly alike as they can.

    A bucket ends where it has its share of the load that is left, but no later than a full one would, and no earlier
    than lets full buckets hold the rest.
    """
    loads = [0, *accumulate(limits.load(length) for length in ascending)]
    earliest = [len(ascending)]  # at number n, for a rest of n buckets
    while len(earliest) < count:
        earliest.append(earliest[-1] - limits.most_rows(ascending[earliest[-1] - 1]))
    bounds = [0]
    for left in range(count, 0, -1):
        share = -(-(loads[-1] - loads[bounds[-1]]) // left)
        even = bisect_left(loads, loads[bounds[-1]] + share)
        bounds.append(min(max(even, earliest[left - 1]), _full_bucket(ascending, limits, bounds[-1])))
    return bounds
