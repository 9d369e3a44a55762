"""Rows of a batch that are too long for memory."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convtool.errors import OutputError
from convtool.jobs.padding import unpad as module
from convtool.jobs.padding.reading import read_batches
from convtool.jobs.padding.unpad import Parts, unpad
from convtool.runs.outcome import Outcome
from convtool.runs.plan import Task, plan
from convtool.signals.opening import WriteOptions


def unpadded(batch: Path, folder: Path, *, threads: int, skip: Sequence[int] = ()) -> list[Outcome]:
    (stored,) = read_batches(str(batch))
    tasks = plan([row.item for row in stored.rows], f"{folder}/")
    tasks = [Task(task.index, task.input, task.output, task.index in skip) for task in tasks]
    with Parts([stored]) as parts:
        return list(unpad(stored, tasks, WriteOptions(), parts, threads=threads))


@pytest.mark.parametrize("layout", ["NCT", "NTC"])
@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_long_rows_go_through_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str, left: bool, save: Any
) -> None:
    monkeypatch.setattr(module, "LONG", 1000)
    monkeypatch.setattr(module, "BLOCK_SAMPLES", 64)
    lengths = [200, 1, 0, 41, 150, 200, 43, 0, 199, 42]
    rng = np.random.default_rng(0)
    signals = [rng.standard_normal((3, length)) for length in lengths]
    batch, mask = np.zeros((len(lengths), 3, 200)), np.zeros((len(lengths), 200), bool)
    for row, signal in enumerate(signals):
        at = slice(200 - lengths[row], 200) if left else slice(0, lengths[row])
        batch[row, :, at], mask[row, at] = signal, True
    save(tmp_path / "b.npz", batch=batch if layout == "NCT" else batch.swapaxes(1, 2), lengths=lengths, mask=mask)
    outcomes = unpadded(tmp_path / "b.npz", tmp_path / "out", threads=2, skip=[4])
    assert [outcome.status for outcome in outcomes] == ["written"] * 4 + ["skipped"] + ["written"] * 5
    for number, signal in enumerate(signals):
        path = tmp_path / "out" / f"{number:05d}.npy"
        assert path.exists() == (number != 4)
        if number != 4:
            np.testing.assert_array_equal(np.load(path), signal)


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    import tracemalloc

    np.savez(tmp_path / "b.npz", batch=np.zeros((3, 2, 1 << 20)), lengths=np.array([1 << 20] * 3))
    tracemalloc.start()
    try:
        unpadded(tmp_path / "b.npz", tmp_path / "out", threads=1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.load(tmp_path / "out" / "00002.npy").shape == (2, 1 << 20)
    assert peak < 12 << 20  # a row takes 16 MiB


def test_a_temporary_folder_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def seek(self, _: int) -> int:
            return 0

        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module, "LONG", 8)
    monkeypatch.setattr(module.tempfile, "TemporaryFile", Full)
    np.savez(tmp_path / "b.npz", batch=np.zeros((1, 4)), lengths=np.array([4]))
    with pytest.raises(OutputError, match=r"no room in .*: No space left on device; set TMPDIR to another folder"):
        unpadded(tmp_path / "b.npz", tmp_path / "out", threads=1)
