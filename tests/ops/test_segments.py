"""Segments of tensors: where they begin, what the command makes of the same, and the signal again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from convtool.errors import InputError
from convtool.ops import cut_segments, join_segments, pad_batch, segment_starts, split_names, unpad_batch
from tests.conftest import Run

SIZES = st.integers(1, 9)


@given(samples=st.integers(0, 40), size=SIZES, hop=st.none() | SIZES)
def test_starts_against_a_loop(samples: int, size: int, hop: int | None) -> None:
    step, whole, all_held = hop or size, [], []
    start, reached = 0, 0
    while start < samples and (reached < samples or step > size):
        all_held.append(start)
        whole += [start] * (start + size <= samples)
        start, reached = start + step, start + size
    assert list(segment_starts(samples, size, hop=hop)) == all_held
    assert list(segment_starts(samples, size, hop=hop, last="drop")) == whole


@given(samples=st.integers(1, 40), size=SIZES, hop=SIZES, side=st.sampled_from(["left", "right"]))
def test_the_signal_comes_back(samples: int, size: int, hop: int, side: Any) -> None:
    signal = torch.arange(2 * samples, dtype=torch.int16).reshape(2, samples)
    hop = min(hop, size)
    batch, lengths, _ = pad_batch(cut_segments(signal, size, hop=hop), length=size, side=side)
    back = join_segments(unpad_batch(batch, lengths, side=side), hop=hop)
    assert torch.equal(back, signal)
    assert back.dtype == signal.dtype


@pytest.mark.parametrize("options", [{}, {"hop": 2}, {"hop": 5}, {"last": "drop"}, {"hop": 2, "last": "drop"}])
def test_the_command_cuts_the_same(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, convtool: Callable[..., Run]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    assert convtool("pad-batch", "1,2,3,4,5,6,7,8", "-o", "b.npz", "--segment", 3, *words).code == 0
    batch, lengths, _ = pad_batch(cut_segments(torch.arange(1, 9), 3, **options))
    with np.load("b.npz") as made:
        np.testing.assert_array_equal(made["batch"].squeeze(), batch)
        assert made["lengths"].tolist() == lengths.tolist()


def test_views_gradients_and_where_segments_differ() -> None:
    signal = torch.arange(6.0, dtype=torch.float64, requires_grad=True)
    assert cut_segments(signal, 4)[1].data_ptr() == signal[4:].data_ptr()
    assert torch.autograd.gradcheck(lambda x: join_segments(cut_segments(x, 3, hop=2), hop=2), signal)
    assert cut_segments(signal[:0], 4) == cut_segments(signal[:3], 4, last="drop") == []
    segments = [torch.full((4,), number) for number in (1, 2, 3)]
    assert join_segments(segments, hop=1).tolist() == [1, 2, 3, 3, 3, 3]
    assert join_segments(segments).tolist() == [1] * 4 + [2] * 4 + [3] * 4
    assert join_segments(segments[:1], hop=9).tolist() == [1] * 4


@pytest.mark.parametrize(
    ("work", "error", "words"),
    [
        (lambda: segment_starts(7, 0), ValueError, "size is 0; it must be at least 1"),
        (lambda: segment_starts(7, 2, hop=0), ValueError, "hop is 0; it must be at least 1"),
        (lambda: cut_segments(torch.ones(7), 2.5), TypeError, "size is 2.5; give a whole number"),  # type: ignore[arg-type]
        (lambda: cut_segments(torch.tensor(1.0), 2), ValueError, r"signal has shape \(\); give"),
        (lambda: segment_starts(7, 2, last="keep"), ValueError, "last is 'keep'; use one of pad, drop"),  # type: ignore[arg-type]
        (lambda: join_segments([]), InputError, "there are no segments"),
        (lambda: join_segments([torch.ones(2), torch.ones(1, 2)]), ValueError, r"segments\[1\] has shape \(1, 2\)"),
        (lambda: join_segments([torch.tensor(1.0)]), ValueError, r"segments\[0\] has shape \(\)"),
        (lambda: join_segments([torch.ones(2)] * 2, hop=3), ValueError, "2 samples, fewer than the hop of 3"),
        (lambda: join_segments([torch.ones(2)] * 2, hop=True), TypeError, "hop is True"),
    ],
)
def test_what_is_refused(work: Callable[[], object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        work()


def test_a_split_depends_on_names_and_seed_alone() -> None:
    names = [f"takes/{number}.wav" for number in range(4000)]
    parts = split_names(names, (0.8, 0.1, 0.1))
    assert [parts.count(part) / 4000 for part in range(3)] == pytest.approx([0.8, 0.1, 0.1], abs=0.02)
    assert split_names([*names[::-1], "new.wav"], (0.8, 0.1, 0.1))[:4000] == parts[::-1]
    assert split_names(as_paths(names), (0.8, 0.1, 0.1)) == parts
    moved = sum(a != b for a, b in zip(parts, split_names(names, (0.8, 0.1, 0.1), seed=1), strict=True))
    assert moved / 4000 == pytest.approx(1 - 0.8**2 - 2 * 0.1**2, abs=0.03)
    assert set(split_names(names, [1 / 3] * 3)) == {0, 1, 2}
    assert set(split_names(names, [1])) == {0}
    assert split_names([], (0.5, 0.5)) == []


def as_paths(names: list[str]) -> list[Path | bytes]:
    return [Path(name) if number % 2 else name.encode() for number, name in enumerate(names)]


@pytest.mark.parametrize("shares", [(), (0.5, 0.4), (1.5, -0.5), (1.0, 0.0), (float("nan"), 0.5)])
def test_shares_that_are_none(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="numbers above 0 whose sum is 1, such as"):
        split_names(["a"], shares)


def test_a_seed_that_is_none() -> None:
    with pytest.raises(TypeError, match=r"seed is 0\.5; give a whole number"):
        split_names(["a"], (0.5, 0.5), seed=0.5)  # type: ignore[arg-type]


def test_the_command_splits_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, convtool: Callable[..., Run]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in/deep").mkdir(parents=True)
    names = [f"{folder}{number}.csv" for folder in ("", "deep/") for number in range(8)]
    for name in names:
        Path("in", name).write_text("1\n2\n")
    words = ["--split", "0.5,0.25,0.25", "--seed", 3]
    assert convtool("pad-batch", "in", "-o", "out/", *words).code == 0
    numbers = split_names(names, (0.5, 0.25, 0.25), seed=3)
    for part, folder in enumerate(("train", "valid", "test")):
        rows = json.loads(Path("out", folder, "manifest.json").read_text())["rows"]
        expected = {name for name, number in zip(names, numbers, strict=True) if number == part}
        assert {row["relative"] for row in rows} == expected != set()


def test_torch_is_imported_once_there_are_tensors() -> None:
    script = (
        "import sys, convtool.ops\n"
        "from convtool.ops.segments import segment_starts\n"
        "from convtool.ops.splitting import split_names\n"
        "segment_starts(9, 4), split_names(['a'], [1])\n"
        "assert 'torch' not in sys.modules\n"
        "assert 'convolve' in dir(convtool.ops) and convtool.ops.convolve.__name__ == 'convolve'\n"
        "assert not hasattr(convtool.ops, 'nothing')\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_what_ops_offers(monkeypatch: pytest.MonkeyPatch) -> None:
    import convtool.ops as ops

    assert dir(ops) == sorted(ops.__all__)
    assert all(getattr(ops, name) is not None for name in ops.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'convolved'"):
        _ = ops.convolved  # type: ignore[attr-defined]
