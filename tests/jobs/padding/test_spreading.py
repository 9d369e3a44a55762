"""Shards that workers elsewhere write are those that are written here, whatever comes between."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import pytest

from convtool.errors import Terminated
from convtool.jobs.copies import Copies
from convtool.jobs.padding import spreading
from convtool.jobs.padding.pad import Grouping, PadBatch, Write, Written
from convtool.jobs.padding.spreading import ShardJob, writing_on
from convtool.signals.inputs import Input
from tests.jobs.padding.test_pad import shards

distributed = pytest.importorskip("distributed")


class Workers(ThreadPoolExecutor):
    """A thread in place of a cluster: one shard at a time."""

    def submit_telling(self, told: Callable[[Any], None], fn: Callable[..., Any], /, *args: Any) -> Future[Any]:
        return self.submit(fn, *args, told)


@pytest.fixture
def spread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Write:
    monkeypatch.setattr(distributed, "get_worker", lambda: SimpleNamespace(address="tcp://192.0.2.1:7"))
    executor: Any = Workers(1)
    return writing_on(executor, ShardJob(JOB, str(tmp_path / "there"), "npy", mask=False))


JOB = PadBatch(grouping=Grouping(strategy="bucket", batch_size=2))
INPUTS = [Input("numbers", "1,2,3", "a"), Input("numbers", "4,5", "b"), Input("numbers", "6", "c")]


def test_everything_is_as_it_is_here(tmp_path: Path, spread: Write) -> None:
    rows, _ = JOB.measure(INPUTS)
    JOB.run(rows, shards(tmp_path / "here", JOB), threads=1)
    written = JOB.run(rows, shards(tmp_path / "there", JOB), threads=1, write=spread)
    assert [(each.row.index, each.worker) for each in written.results] == [(n, "tcp://192.0.2.1:7") for n in range(3)]
    names = sorted(os.listdir(tmp_path / "here"))
    assert names == sorted(os.listdir(tmp_path / "there"))
    assert filecmp.cmpfiles(tmp_path / "here", tmp_path / "there", names, shallow=False)[0] == names


def test_what_was_copied_from_a_pipe_is_written_here(tmp_path: Path, spread: Write) -> None:
    (tmp_path / "copy.csv").write_text("6\n")
    copy = Input("file", str(tmp_path / "copy.csv"), "c")
    rows, _ = JOB.measure([*INPUTS[:2], Input("stdin", "-", "c")], lambda item: copy if item.kind == "stdin" else item)
    written = JOB.run(rows, shards(tmp_path / "there", JOB), threads=1, write=spread)
    assert [each.worker is None for each in written.results] == [False, True, True]  # the last two share a shard


def test_what_was_done_while_nobody_looked_is_told(
    tmp_path: Path, spread: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(futures: list[Future[Any]]) -> None:
        wait(futures)
        raise Terminated

    monkeypatch.setattr(spreading, "as_completed", stopped)
    rows, _ = JOB.measure(INPUTS)
    written = Written()
    with pytest.raises(Terminated):
        JOB.run(rows, shards(tmp_path / "there", JOB), threads=1, written=written, write=spread)
    assert sorted(each.row.index for each in written.results) == [0, 1, 2]


def test_what_was_done_before_it_was_stopped_is_told_and_not_done_again(tmp_path: Path, spread: Write) -> None:
    rows, _ = JOB.measure(INPUTS)
    told: list[None] = []

    def done() -> None:
        told.append(None)
        if len(told) == 3:
            raise Terminated

    written = Written()
    with pytest.raises(Terminated):
        JOB.run(rows, shards(tmp_path / "there", JOB), threads=1, done=done, written=written, write=spread)
    first = [each.row.index for each in written.results]
    assert len(first) == 2
    again: Any = writing_on(Workers(1), ShardJob(JOB, str(tmp_path / "there"), "npy", mask=False))  # type: ignore[arg-type]
    written = JOB.run(rows, shards(tmp_path / "there", JOB), threads=1, write=again)
    assert {each.row.index for each in written.results} == {0, 1, 2} - set(first)


@pytest.fixture
def store() -> Iterator[Any]:
    """A store in memory with rows of one to four numbers."""
    memory = fsspec.filesystem("memory")
    memory.pipe({f"/b/{number}.csv": b"1,2,3,4\n"[: 2 * number + 1] + b"\n" for number in range(4)})
    yield memory
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


def test_what_lies_in_a_store_is_fetched_by_who_writes_it(tmp_path: Path, spread: Write, store: Any) -> None:
    stored = [Input.of_word(f"memory://b/{number}.csv") for number in range(4)]
    with Copies() as copies:
        rows, failures = JOB.measure(stored, copies.of)
        assert ([row.length for row in rows], failures) == ([1, 2, 3, 4], [])
        JOB.run(rows, shards(tmp_path / "here", JOB), threads=1)
        written = JOB.run(rows, shards(tmp_path / "there", JOB), threads=1, write=spread)
        assert {each.worker for each in written.results} == {"tcp://192.0.2.1:7"}
        assert {each.row.source.value for each in written.results} == {row.source.value for row in rows}
        names = sorted(os.listdir(tmp_path / "here"))
        assert filecmp.cmpfiles(tmp_path / "here", tmp_path / "there", names, shallow=False)[0] == names
        for name in names:
            (tmp_path / "there" / name).unlink()
        store.rm("/b/2.csv")
        written = JOB.run(rows, shards(tmp_path / "there", JOB), threads=1, write=spread)
        assert [each.row.index for each in written.results] == [0, 1, 3]
        assert [(each.index, each.error) for each in written.failures] == [
            (2, "no such file in the store, or no such bucket")
        ]
    assert not any(os.path.exists(row.source.value) for row in rows)
