"""Which inputs share a batch: every one in one, within the limits, with little padding."""

from __future__ import annotations

import random
from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convtool.errors import UsageError
from convtool.jobs.padding.grouping import Bin, PlannedBatch, Waste, group, histogram, waste

STRATEGIES = ("pad", "group", "bucket", "single")
LENGTHS = st.lists(st.integers(0, 60), max_size=40)
LIMITS = {
    "batch_size": st.none() | st.integers(1, 12),
    "max_samples": st.none() | st.integers(60, 400),
    "multiple_of": st.sampled_from([1, 2, 5, 30]),
}


def rows(batches: list[PlannedBatch]) -> list[list[int]]:
    return [list(batch.rows) for batch in batches]


def seconds(count: int, seed: int = 1) -> list[int]:
    """Lengths of recordings of 1 to 10 s at 16 kHz."""
    generator = random.Random(seed)
    return [generator.randint(16_000, 160_000) for _ in range(count)]


def sorted_and_cut(lengths: list[int], size: int) -> int:
    """The padding when everything is sorted and cut at every `size` rows."""
    ordered = sorted(lengths)
    parts = [ordered[start : start + size] for start in range(0, len(ordered), size)]
    return sum(len(part) * part[-1] for part in parts) - sum(lengths)


def fewest(lengths: list[int], batch_size: int, max_samples: int) -> int:
    """The fewest batches of neighbours in order of length, by trying all cuts."""
    ordered = sorted(lengths)
    for cuts in range(len(ordered)):
        for places in combinations(range(1, len(ordered)), cuts):
            parts = [ordered[start:end] for start, end in pairwise([0, *places, len(ordered)])]
            if all(len(part) <= batch_size and len(part) * part[-1] <= max_samples for part in parts):
                return len(parts)
    return 0


class TestEveryStrategy:
    @settings(max_examples=200)
    @given(
        LENGTHS,
        st.sampled_from(STRATEGIES),
        st.sampled_from(["none", "length"]),
        st.none() | st.integers(0, 3),
        st.fixed_dictionaries(LIMITS),
    )
    def test_each_input_once_within_the_limits(
        self, lengths: list[int], strategy: Any, sort: Any, seed: int | None, limits: dict[str, Any]
    ) -> None:
        made = group(lengths, strategy=strategy, sort=sort, seed=seed, **limits)
        assert sorted(row for batch in made for row in batch.rows) == list(range(len(lengths)))
        step = limits["multiple_of"]
        for batch in made:
            assert batch.longest == -(-max(lengths[row] for row in batch.rows) // step) * step
            assert len(batch.rows) <= (limits["batch_size"] or len(lengths))
            assert len(batch.rows) * batch.longest <= (limits["max_samples"] or 60 * 40)
            if strategy == "group":
                assert batch.longest - min(lengths[row] for row in batch.rows) < step
            if strategy == "single":
                assert len(batch.rows) == 1
            if sort == "length" or strategy == "bucket":
                assert list(batch.rows) == sorted(batch.rows, key=lambda row: (lengths[row], row))
            else:
                assert list(batch.rows) == sorted(batch.rows)

    @settings(max_examples=100)
    @given(LENGTHS, st.sampled_from(STRATEGIES), st.integers(), st.fixed_dictionaries(LIMITS))
    def test_a_seed_shuffles_the_batches_and_nothing_else(
        self, lengths: list[int], strategy: Any, seed: int, limits: dict[str, Any]
    ) -> None:
        made = group(lengths, strategy=strategy, seed=seed, **limits)
        assert made == group(lengths, strategy=strategy, seed=seed, **limits)
        assert sorted(made) == sorted(group(lengths, strategy=strategy, **limits))

    def test_seeds_differ(self) -> None:
        orders = [rows(group(range(1, 20), strategy="single", seed=seed)) for seed in (None, 0, 1)]
        assert orders[0] == [[row] for row in range(19)]
        assert orders[1] != orders[0] != orders[2] != orders[1]

    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_no_inputs_no_batches(self, strategy: Any) -> None:
        assert group([], strategy=strategy, batch_size=2, max_samples=1) == []


class TestPad:
    def test_one_batch_in_input_order(self) -> None:
        assert group([5, 2, 3], strategy="pad") == [PlannedBatch((0, 1, 2), 5)]
        assert group([5, 2, 3], strategy="pad", sort="length", multiple_of=4) == [PlannedBatch((1, 2, 0), 8)]

    def test_limits_cut_it_into_consecutive_batches(self) -> None:
        assert rows(group([5, 2, 3, 9, 1], strategy="pad", batch_size=2)) == [[0, 1], [2, 3], [4]]
        assert rows(group([1, 1, 1, 1, 4, 1], strategy="pad", max_samples=8)) == [[0, 1, 2, 3], [4, 5]]
        assert rows(group([1, 1, 1, 8, 8], strategy="pad", max_samples=16)) == [[0, 1, 2], [3, 4]]
        made = group([1, 1, 1, 4, 4], strategy="pad", batch_size=2, sort="length", seed=None)
        assert rows(made) == [[0, 1], [2, 3], [4]]


class TestGroup:
    def test_equal_lengths_in_order_of_appearance(self) -> None:
        lengths = [3, 5, 3, 2, 5]
        assert group(lengths, strategy="group") == [
            PlannedBatch((0, 2), 3),
            PlannedBatch((1, 4), 5),
            PlannedBatch((3,), 2),
        ]
        assert rows(group(lengths, strategy="group", sort="length")) == [[3], [0, 2], [1, 4]]

    def test_lengths_of_one_multiple_are_equal(self) -> None:
        assert group([3, 5, 4, 0], strategy="group", multiple_of=4) == [
            PlannedBatch((0, 2), 4),
            PlannedBatch((1,), 8),
            PlannedBatch((3,), 0),
        ]

    def test_limits_split_evenly(self) -> None:
        assert rows(group([7] * 7, strategy="group", batch_size=3)) == [[0, 1], [2, 3], [4, 5, 6]]
        assert rows(group([7] * 5, strategy="group", batch_size=9, max_samples=28)) == [[0, 1], [2, 3, 4]]


class TestBucket:
    def test_by_length_and_then_as_given(self) -> None:
        made = group([9, 1, 9, 2, 1], strategy="bucket", batch_size=2)
        assert made == [PlannedBatch((1, 4), 1), PlannedBatch((3, 0), 9), PlannedBatch((2,), 9)]

    def test_without_limits_it_is_one(self) -> None:
        assert group([5, 2, 3], strategy="bucket") == [PlannedBatch((1, 2, 0), 5)]

    @pytest.mark.parametrize(
        ("count", "size", "wanted"),
        [(7, 3, [3, 2, 2]), (65, 32, [22, 22, 21]), (10, 4, [4, 3, 3]), (8, 4, [4, 4]), (3, 9, [3])],
    )
    def test_the_last_is_not_left_with_few(self, count: int, size: int, wanted: list[int]) -> None:
        made = group([100 + n for n in range(count)], strategy="bucket", batch_size=size)
        assert [len(batch.rows) for batch in made] == wanted

    def test_the_last_is_small_where_evenness_pads_more(self) -> None:
        made = group([1, 1, 1, 1, 10], strategy="bucket", batch_size=4)
        assert rows(made) == [[0, 1, 2, 3], [4]]
        assert waste(made, [1, 1, 1, 1, 10]) == Waste(0, 0.0)

    def test_samples_are_shared_out_evenly(self) -> None:
        lengths = seconds(1000)
        made = group(lengths, strategy="bucket", max_samples=1_600_000)
        fill = [len(batch.rows) * batch.longest / 1_600_000 for batch in made]
        assert min(fill[1:]) > 0.75  # the first has many short rows, of which the longest is far longer

    @settings(max_examples=100)
    @given(
        st.lists(st.integers(0, 20), min_size=1, max_size=9),
        st.integers(1, 9),
        st.integers(20, 60),
    )
    def test_there_are_as_few_as_can_be(self, lengths: list[int], batch_size: int, max_samples: int) -> None:
        made = group(lengths, strategy="bucket", batch_size=batch_size, max_samples=max_samples)
        assert len(made) == fewest(lengths, batch_size, max_samples)

    @settings(max_examples=200)
    @given(LENGTHS, st.fixed_dictionaries(LIMITS))
    def test_no_more_padding_than_one_batch(self, lengths: list[int], limits: dict[str, Any]) -> None:
        bucket = group(lengths, strategy="bucket", **limits)
        one = group(lengths, strategy="pad", multiple_of=limits["multiple_of"])
        assert waste(bucket, lengths).samples <= waste(one, lengths).samples
        assert waste(bucket, lengths).percent <= waste(one, lengths).percent

    @settings(max_examples=200)
    @given(LENGTHS, st.integers(1, 12))
    def test_padding_within_2_percent_of_sorting_everything(self, lengths: list[int], size: int) -> None:
        made = group(lengths, strategy="bucket", batch_size=size)
        assert waste(made, lengths).samples <= 1.02 * sorted_and_cut(lengths, size)

    @pytest.mark.parametrize("count", [65, 500, 2000])
    def test_recordings_of_1_to_10_seconds(self, count: int) -> None:
        lengths = seconds(count)
        made = group(lengths, strategy="bucket", batch_size=32)
        sizes = [len(batch.rows) for batch in made]
        assert max(sizes) - min(sizes) <= 1
        assert waste(made, lengths).samples <= 1.02 * sorted_and_cut(lengths, 32)


class TestRefusals:
    def test_an_input_longer_than_a_batch_is_named(self) -> None:
        for strategy in STRATEGIES:
            with pytest.raises(UsageError, match=r"^a\\x1bb has 9 samples, more than the 8 of a whole batch; raise"):
                group([1, 9], strategy=strategy, max_samples=8, names=["x", "a\x1bb"])  # type: ignore[arg-type]
        with pytest.raises(UsageError, match=r"input 2 has 7 .* batch \(and 1 more\); raise --max-samples to 12,"):
            group([1, 7, 9], strategy="pad", max_samples=7, multiple_of=4)
        assert len(group([1, 9], strategy="pad", max_samples=9, names=["x", "y"])) == 2

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"strategy": "sorted"}, "strategy is 'sorted'; use one of pad, group, bucket, single"),
            ({"sort": "name"}, "sort is 'name'; use one of none, length"),
            ({"batch_size": 0}, "batch_size is 0; it must be at least 1"),
            ({"max_samples": 0}, "max_samples is 0"),
            ({"multiple_of": -1}, "multiple_of is -1"),
        ],
    )
    def test_options(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            group([1], **{"strategy": "pad"} | options)


class TestWaste:
    def test_padding_and_its_share(self) -> None:
        lengths = [4, 1, 3]
        assert waste([PlannedBatch((0, 1), 4), PlannedBatch((2,), 8)], lengths) == Waste(8, 50.0)

    @pytest.mark.parametrize("lengths", [[], [0, 0]])
    def test_nothing_stored(self, lengths: list[int]) -> None:
        assert waste(group(lengths, strategy="pad"), lengths) == Waste(0, 0.0)


class TestHistogram:
    @settings(max_examples=200)
    @given(st.lists(st.integers(0, 1000), min_size=1, max_size=30), st.integers(1, 40))
    def test_every_length_is_in_its_bin(self, lengths: list[int], bins: int) -> None:
        made = histogram(lengths, bins)
        assert 1 <= len(made) <= bins
        assert (made[0].shortest, made[-1].longest) == (min(lengths), max(lengths))
        assert all(after.shortest == before.longest + 1 for before, after in pairwise(made))
        assert len({bin.longest - bin.shortest for bin in made[:-1]}) <= 1
        for bin in made:
            assert bin.inputs == sum(bin.shortest <= length <= bin.longest for length in lengths)

    def test_edges(self) -> None:
        assert histogram([], 3) == []
        assert histogram([5, 5], 3) == [Bin(5, 5, 2)]
        assert histogram([1, 9], 1) == [Bin(1, 9, 2)]
        with pytest.raises(ValueError, match="bins is 0; it must be at least 1"):
            histogram([1], 0)
