"""Batches of files that are not what they say, stores that are half-way, and disks that are full."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from convtool.arrays.writing import ArrayWriter
from convtool.errors import InputError, OutputError, UsageError
from convtool.jobs.padding import rows as batch_rows
from convtool.jobs.padding import store as batch_store
from convtool.jobs.padding.pad import Grouping, PadBatch
from convtool.jobs.padding.store import ShardFolder, SingleFile
from convtool.jobs.padding.writing import Padding
from convtool.jobs.side_by_side import side_by_side
from convtool.runs import stopping
from convtool.signals.inputs import Input

RATE = 8000


def recordings(folder: Path, lengths: list[int]) -> list[Input]:
    """Files whose samples are 1, 2, 3... steps of 16 bits."""
    folder.mkdir(exist_ok=True)
    inputs = []
    for number, samples in enumerate(lengths):
        path = folder / f"{number}.wav"
        soundfile.write(path, np.arange(1, samples + 1, dtype=np.int16), RATE)
        inputs.append(Input("file", str(path), path.name))
    return inputs


def lying(monkeypatch: pytest.MonkeyPatch, name: str, declared: int) -> None:
    """Let the header of the file `name` declare another number of samples."""
    whole = batch_rows.open_reader

    def opened(source: Input, options: Any) -> Any:
        from dataclasses import replace

        reader = whole(source, options)
        if source.value.endswith(name):
            reader.signal = replace(reader.signal, frames=declared)
        return reader

    monkeypatch.setattr(batch_rows, "open_reader", opened)


def shards(path: Path, job: PadBatch, **how: Any) -> ShardFolder:
    return ShardFolder(str(path), job.padding, mask=False, overwrite=how.pop("overwrite", False), request=repr(job))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("declared", [2, 9])
@pytest.mark.parametrize("strategy", ["pad", "single"])
def test_a_header_that_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, declared: int, strategy: Any) -> None:
    inputs = recordings(tmp_path / "takes", [5, 4, 3])
    job = PadBatch(grouping=Grouping(strategy=strategy, batch_size=2))
    rows, _ = job.measure(inputs)
    job.run(rows, shards(tmp_path / "true", job), threads=2)
    lying(monkeypatch, "1.wav", declared)
    rows, _ = job.measure(inputs)
    assert [row.samples for row in rows] == [5, declared, 3]
    heard: list[int] = []
    written = job.run(rows, shards(tmp_path / "lied", job), threads=2, done=lambda: heard.append(1))
    assert written.plan is not None
    assert [row.length for row in written.plan.rows] == [5, 4, 3]
    assert (written.failures, len(heard)) == ([], 6)
    assert contents(tmp_path / "lied") == contents(tmp_path / "true")


def test_what_an_interrupted_run_counted_is_recalled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = recordings(tmp_path / "takes", [5, 4])
    job = PadBatch(grouping=Grouping(strategy="single"))
    lying(monkeypatch, "1.wav", 9)
    rows, _ = job.measure(inputs)
    store = shards(tmp_path / "out", job)
    monkeypatch.setattr(store, "finish", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        job.run(rows, store, threads=1)
    assert store.recall() == {inputs[1].value: 4}
    again = job.run(rows, shards(tmp_path / "out", job), threads=1)
    assert again.results == []
    assert sorted(os.listdir(tmp_path / "out"))[-1] == "manifest.json"


def test_a_lie_that_makes_a_row_unfit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = recordings(tmp_path / "takes", [5, 4])
    from convtool.jobs.padding.rows import RowOptions
    from convtool.signals.length import Length

    job = PadBatch(rows=RowOptions(max_length=Length.parse("4")), grouping=Grouping(strategy="single"))
    lying(monkeypatch, "0.wav", 3)
    rows, failures = job.measure(inputs)
    assert failures == []
    written = job.run(rows, shards(tmp_path / "out", job), threads=1)
    assert [failure.error[:17] for failure in written.failures] == ["it has 5 samples,"]
    assert [np.load(tmp_path / "out" / "00000.npy").shape] == [(1, 1, 4)]


def test_rows_that_can_not_be_read_after_all(tmp_path: Path) -> None:
    inputs = recordings(tmp_path / "takes", [5, 4, 3])
    job = PadBatch()
    rows, _ = job.measure(inputs)
    os.unlink(inputs[1].value)
    written = job.run(rows, SingleFile(str(tmp_path / "b.npz"), job.padding), threads=2)
    assert [failure.input for failure in written.failures] == [inputs[1]]
    with np.load(tmp_path / "b.npz") as found:
        assert found["lengths"].tolist() == [5, 3]
    for item in inputs:
        Path(item.value).unlink(missing_ok=True)
    nothing = job.run(rows, SingleFile(str(tmp_path / "c.npz"), job.padding), threads=2)
    assert (nothing.plan, len(nothing.failures)) == (None, 3)
    assert os.listdir(tmp_path) == ["takes", "b.npz"] or sorted(os.listdir(tmp_path)) == ["b.npz", "takes"]


def test_a_file_that_never_stays_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = recordings(tmp_path / "takes", [5, 4])
    job = PadBatch()
    rows, _ = job.measure(inputs)
    counts = iter(range(6, 20))
    whole = batch_rows.read_row

    def changing(row: Any, dtype: str, options: Any, notes: list[str]) -> Any:
        if row.input is inputs[0]:
            raise batch_rows.Miscounted(next(counts))
        return whole(row, dtype, options, notes)

    monkeypatch.setattr("convtool.jobs.padding.segments.read_row", changing)
    with pytest.raises(InputError, match=r"0\.wav changes while it is read; 1 inputs do"):
        job.run(rows, SingleFile(str(tmp_path / "b.npz"), job.padding), threads=1)
    assert os.listdir(tmp_path) == ["takes"]


def test_a_header_that_can_not_be_true_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = recordings(tmp_path / "takes", [5])
    lying(monkeypatch, "0.wav", 1 << 60)
    rows, _ = PadBatch().measure(inputs)
    assert [row.samples for row in rows] == [5]


def test_errors_of_any_kind_are_of_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = recordings(tmp_path / "takes", [5, 4])
    job = PadBatch()
    rows, _ = job.measure(inputs)
    whole = batch_rows.read_row

    def broken(row: Any, dtype: str, options: Any, notes: list[str]) -> Any:
        if row.input is inputs[0]:
            raise ZeroDivisionError("inside")
        notes.append("told")
        return whole(row, dtype, options, notes)

    monkeypatch.setattr("convtool.jobs.padding.segments.read_row", broken)
    written = job.run(rows, SingleFile(str(tmp_path / "b.npz"), job.padding), threads=1)
    assert [failure.error[:28] for failure in written.failures] == ["unexpected ZeroDivisionError"]
    assert [result.notes for result in written.results] == [["told"]]


@pytest.mark.parametrize("pool", [None, "max"])
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: Any) -> None:
    inputs = recordings(tmp_path / "takes", [5, 4])
    job = PadBatch(padding=Padding(pool=pool))
    rows, _ = job.measure(inputs)
    monkeypatch.setattr(os, "pwrite", failing(28))
    for store in (SingleFile(str(tmp_path / "b.npz"), job.padding), shards(tmp_path / "out", job)):
        with pytest.raises(OutputError, match="the disk is full"):
            job.run(rows, store, threads=1)
    assert not (tmp_path / "b.npz").exists()
    assert os.listdir(tmp_path / "out") == [".convtool-plan"]


def test_a_disk_that_fills_up_under_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = recordings(tmp_path / "takes", [5, 4])
    job = PadBatch()
    rows, _ = job.measure(inputs)
    whole = ArrayWriter.write

    def write(file: ArrayWriter, name: str, at: int, values: Any) -> None:
        if name == "batch":
            raise OutputError("full")
        whole(file, name, at, values)

    monkeypatch.setattr(ArrayWriter, "write", write)
    with pytest.raises(OutputError, match="full"):
        job.run(rows, SingleFile(str(tmp_path / "b.npz"), job.padding), threads=2)
    assert os.listdir(tmp_path) == ["takes"]


def failing(number: int) -> Callable[..., int]:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_folder_whose_files_can_not_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = recordings(tmp_path / "takes", [5])
    job = PadBatch()
    rows, _ = job.measure(inputs)
    job.run(rows, shards(tmp_path / "out", job), threads=1)
    monkeypatch.setattr(batch_store.os, "unlink", failing(1))
    with pytest.raises(OutputError, match="Operation not permitted"):
        job.run(rows, shards(tmp_path / "out", job, overwrite=True), threads=1)


@pytest.mark.parametrize("mark", ["{", "[]", '{"plan": 3, "counted": []}', '{"counted": {"a": -1, "b": "c", "d": 2}}'])
def test_a_mark_that_is_damaged_begins_anew(tmp_path: Path, mark: str) -> None:
    inputs = recordings(tmp_path / "takes", [5])
    out = tmp_path / "out"
    out.mkdir()
    (out / ".convtool-plan").write_text(mark)
    (out / "00007.npy").write_bytes(b"stale")
    job = PadBatch()
    rows, _ = job.measure(inputs)
    store = shards(out, job)
    assert store.recall() == ({"d": 2} if '"d"' in mark else {})
    job.run(rows, store, threads=1)
    assert sorted(os.listdir(out)) == ["00000.lengths.npy", "00000.npy", "manifest.json"]


def test_complete_batches_are_not_replaced_unasked(tmp_path: Path) -> None:
    inputs = recordings(tmp_path / "takes", [5])
    job = PadBatch()
    rows, _ = job.measure(inputs)
    job.run(rows, shards(tmp_path / "out", job), threads=1)
    with pytest.raises(UsageError, match="holds batches already; give --overwrite"):
        job.run(rows, shards(tmp_path / "out", job), threads=1)


def test_a_source_that_is_gone_when_its_digest_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = [*recordings(tmp_path / "takes", [5])]
    job = PadBatch()
    rows, _ = job.measure(inputs)
    store = shards(tmp_path / "out", job)
    whole = store.commit

    def commit(number: int) -> None:
        whole(number)
        os.unlink(inputs[0].value)

    monkeypatch.setattr(store, "commit", commit)
    with pytest.raises(InputError, match=r"0\.wav: can't be read again: No such file"):
        job.run(rows, store, threads=1)


def test_numbers_have_a_digest_too(tmp_path: Path) -> None:
    item = Input("numbers", "1,2", "numbers")
    job = PadBatch()
    rows, _ = job.measure([item])
    job.run(rows, shards(tmp_path / "out", job), threads=1)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["rows"][0]["relative"] == "numbers.csv"
    assert len(manifest["rows"][0]["sha256"]) == 64


def test_a_folder_takes_one_run_at_a_time(tmp_path: Path) -> None:
    inputs = recordings(tmp_path / "takes", [5])
    job = PadBatch()
    rows, _ = job.measure(inputs)
    with (
        shards(tmp_path / "out", job),
        pytest.raises(UsageError, match=r"another run is writing batches into .*out; wait for"),
    ):
        job.run(rows, shards(tmp_path / "out", job), threads=1)
    assert os.listdir(tmp_path / "out") == []
    job.run(rows, shards(tmp_path / "out", job), threads=1)
    assert sorted(os.listdir(tmp_path / "out")) == ["00000.lengths.npy", "00000.npy", "manifest.json"]


HOLD = (
    "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX); print(flush=True); input()"
)


def test_a_run_that_was_killed_keeps_nobody_out(tmp_path: Path) -> None:
    inputs = recordings(tmp_path / "takes", [5])
    job = PadBatch()
    rows, _ = job.measure(inputs)
    command = [sys.executable, "-c", HOLD, str(tmp_path / "takes")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(UsageError, match="another run"):
            job.run(rows, shards(tmp_path / "takes", job), threads=1)
        other.kill()
        other.wait()
        assert job.run(rows, shards(tmp_path / "takes", job), threads=1).failures == []


def test_runs_that_begin_at_once_do_not_mix(tmp_path: Path) -> None:
    recordings(tmp_path / "takes", [5, 4, 3])
    program = str(Path(sys.executable).with_name("convtool"))
    command = [program, "pad-batch", "takes", "-o", "out/", "--batch-size"]
    runs = [subprocess.Popen([*command, size], cwd=tmp_path, stderr=subprocess.PIPE) for size in "123"]
    told = [run.communicate()[1].decode() for run in runs]
    assert sorted(run.returncode for run in runs) == [0, 2, 2]
    refusals = ("another run is writing batches into out/", "out/ holds batches already", "out/manifest.json exists")
    assert all(any(refusal in text for refusal in refusals) for text in told if "3 written" not in text)
    rows = next(size for size, run in enumerate(runs, 1) if run.returncode == 0)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["shards"][0]["rows"] == rows
    assert len(os.listdir(tmp_path / "out")) == 2 * len(manifest["shards"]) + 1
    for shard in manifest["shards"]:
        assert np.load(tmp_path / "out" / shard["file"]).shape == (shard["rows"], 1, shard["samples"])


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = recordings(tmp_path / "takes", [5])
    job = PadBatch()
    rows, _ = job.measure(inputs)
    monkeypatch.setattr(batch_store.fcntl, "flock", failing(errno.ENOLCK))
    job.run(rows, shards(tmp_path / "out", job), threads=1)
    assert sorted(os.listdir(tmp_path / "out")) == ["00000.lengths.npy", "00000.npy", "manifest.json"]


def test_a_folder_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    job = PadBatch()
    rows, _ = job.measure(recordings(tmp_path / "takes", [5]))
    with pytest.raises(OutputError, match="file/out: can't be written to: Not a directory"):
        job.run(rows, shards(tmp_path / "file" / "out", job), threads=1)


def test_calls_side_by_side_end_with_the_first_error() -> None:
    done: list[int] = []

    def call(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        done.append(number)
        return number

    results = side_by_side(call, iter(range(1000)), 1)
    with pytest.raises(ValueError, match="three"):
        list(results)
    assert len(done) < 20


def test_calls_that_have_begun_are_asked_to_stop_when_the_iterator_is_closed() -> None:
    begun = threading.Event()

    def call(item: int) -> int:
        if item:
            begun.set()
            while not stopping.asked()():
                time.sleep(0.001)
        return item

    results = side_by_side(call, iter(range(2)), 2)
    assert next(results) == 0
    begun.wait()
    results.close()
