"""Commands on a store that speaks S3, by way of s3fs."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import soundfile

from convtool.errors import InputError
from convtool.files import remote, stores
from convtool.files.remote_file import RemoteFile
from tests.helpers.s3_server import S3Server, storing

Program = Callable[..., Any]


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with storing() as running:
        yield running


@pytest.fixture
def s3(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    server.objects.clear()
    server.requests.clear()
    server.latency = server.together = server.breaking = 0
    server.after = lambda _: None
    return server


@pytest.fixture
def takes(s3: S3Server, tmp_path: Path) -> Path:
    """A folder of recordings that is here, and in the bucket `b` too; one of them is damaged."""
    noise = np.random.default_rng(1)
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    for number in range(24):
        samples = noise.uniform(-0.5, 0.5, 400 + number)
        soundfile.write(folder / ("sub" * (number % 2)) / f"{number:02d}.wav", samples, 8000)
    (folder / "07.wav").write_bytes(b"RIFF....WAVEfmt damaged")
    for path in folder.rglob("*.wav"):
        s3.objects[f"b/in/{path.relative_to(folder).as_posix()}"] = path.read_bytes()
    return folder


def test_a_folder_of_a_bucket_into_another_at_once(
    s3: S3Server, takes: Path, convtool: Program, tmp_path: Path
) -> None:
    here = convtool("convolve", f"{takes}/", "-k", "1,0.5", "-o", f"{tmp_path}/out/", "--jobs", "1")
    s3.latency = 0.3
    report = ("--report", "s3://b/report.jsonl")
    there = convtool("convolve", "s3://b/in/", "-k", "1,0.5", "-o", "s3://b/out/", "--jobs", "2", *report)
    assert here.code == there.code == 1
    assert there.err.replace("s3://b/in", str(takes)) == here.err
    written = {name[6:]: data for name, data in s3.objects.items() if name.startswith("b/out/")}
    expected = {p.relative_to(tmp_path / "out").as_posix(): p.read_bytes() for p in (tmp_path / "out").rglob("*.wav")}
    assert written == expected
    assert len(written) == 24
    assert s3.together >= 8
    rows = [json.loads(line) for line in s3.objects["b/report.jsonl"].splitlines()]
    assert [row["input"] for row in rows] == sorted(f"s3://{name}" for name in s3.objects if name.startswith("b/in/"))
    assert [row["input"] for row in rows if row["status"] == "failed"] == ["s3://b/in/07.wav"]
    skipped = convtool("convolve", "s3://b/in/sub/", "-k", "1", "-o", "s3://b/out/sub/", "--skip-existing")
    assert (skipped.code, skipped.err) == (0, "0 written, 12 skipped, 0 failed\n")


def test_archives_in_a_bucket_and_back(s3: S3Server, takes: Path, convtool: Program) -> None:
    run = convtool("pad-batch", "s3://b/in/sub/", "-o", "s3://b/shards/", "--batch-size", "5", "--shards", "tar")
    assert (run.code, run.err) == (0, "12 written, 0 skipped, 0 failed\n")
    assert sorted(name[9:] for name in s3.objects if name.startswith("b/shards/")) == [
        *(f"{number:05d}.tar" for number in range(3)),
        "manifest.json",
    ]
    assert convtool("unpad-batch", "s3://b/shards/", "-o", "s3://b/back/").code == 0
    back, before = (soundfile.read(io.BytesIO(s3.objects[f"b/{at}/01.wav"])) for at in ("back", "in/sub"))
    assert back[0].tolist() == before[0].tolist()


def test_shards_in_a_bucket_and_back(s3: S3Server, takes: Path, convtool: Program) -> None:
    run = convtool("pad-batch", "s3://b/in/sub/", "-o", "s3://b/shards/", "--batch-size", "5")
    assert (run.code, run.err) == (0, "12 written, 0 skipped, 0 failed\n")
    assert sorted(name[9:] for name in s3.objects if name.startswith("b/shards/")) == [
        *(f"{number:05d}{array}.npy" for number in range(3) for array in (".lengths", "")),
        "manifest.json",
    ]
    assert convtool("unpad-batch", "s3://b/shards/", "-o", "s3://b/back/").code == 0
    for number in range(1, 24, 2):
        back, before = (soundfile.read(io.BytesIO(s3.objects[f"b/{at}/{number:02d}.wav"])) for at in ("back", "in/sub"))
        assert back[0].tolist() == before[0].tolist()
    again = convtool("pad-batch", "s3://b/in/sub/", "-o", "s3://b/shards/", "--overwrite", "--strategy", "single")
    assert again.code == 0
    assert sum(name.startswith("b/shards/") for name in s3.objects) == 25


def test_faults_are_one_line(s3: S3Server, convtool: Program) -> None:
    run = convtool("convolve", "s3://denied/a.csv", "-k", "1")
    assert (run.code, run.err.count("\n")) == (1, 1)
    assert "Error: s3://denied/a.csv: the store denies access; check its credentials" in run.err
    run = convtool("convolve", "s3://b/none.csv", "-k", "1")
    assert run.err == "Error: s3://b/none.csv: no such file in the store, or no such bucket\n"
    s3.objects["b/a.csv"] = b"1\n"
    assert convtool("convolve", "s3://b/a.csv", "-k", "1", "-o", "s3://denied/a.csv", "--overwrite").code == 1
    assert "b/a.csv exists" in convtool("convolve", "1", "-k", "1", "-o", "s3://b/a.csv").err


def test_an_output_that_came_after_planning_is_left(s3: S3Server) -> None:
    s3.objects["b/a"] = b"1"
    with tempfile.TemporaryFile() as file, pytest.raises(FileExistsError):
        remote.upload(file, "s3://b/a", replace=False)
    assert s3.objects["b/a"] == b"1"


def test_an_object_that_changes_while_it_is_read(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.objects["b/n"] = bytes(1 << 20)
    with RemoteFile("s3://b/n") as file:
        assert file.pread(10, 1 << 19) == bytes(10)
        s3.objects["b/n"] = b"1" * (1 << 20)
        with pytest.raises(InputError, match="changed while it was read"):
            file.pread(10, 100_000)
    monkeypatch.setattr(remote, "AHEAD_BYTES", 1 << 10)
    with remote.download("s3://b/n") as file:
        assert file.read() == s3.objects["b/n"]

    def write_anew(request: str) -> None:
        if request == "GET b/n":
            s3.objects["b/n"] += b"1"

    s3.after = write_anew
    with pytest.raises(InputError, match="changed while it was read"):
        remote.download("s3://b/n")


def test_what_breaks_off_is_fetched_anew_from_its_beginning(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_PAUSE", 0)
    before, after = b"1" * 400_000, b"2" * 400_000
    s3.objects["b/n"] = before
    s3.breaking = 2

    def write_anew(_: str) -> None:
        s3.objects["b/n"] = after

    s3.after = write_anew
    with remote.download("s3://b/n") as file:
        assert file.read() == after
    assert s3.requests == ["GET b/n"] * 3
    s3.breaking = 4
    with pytest.raises(InputError, match=r"the store or the connection failed: .*\(tried 4 times\)"):
        remote.download("s3://b/n")


def test_a_store_that_is_not_up_is_asked_four_times(monkeypatch: pytest.MonkeyPatch, convtool: Program) -> None:
    """By us alone: what botocore would do by itself comes neither before nor between."""
    monkeypatch.setattr(stores, "_PAUSE", 0)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    waited: list[float] = []
    monkeypatch.setattr(stores.time, "sleep", waited.append)
    fsspec.filesystem("s3").clear_instance_cache()
    run = convtool("convolve", "s3://b/a.csv", "-k", "1")
    fsspec.filesystem("s3").clear_instance_cache()
    assert (run.code, run.err.count("\n"), len(waited)) == (1, 1, 3)
    assert run.err.startswith("Error: s3://b/a.csv: the store or the connection failed: Could not connect to the endp")
    assert run.err.endswith("(tried 4 times)\n")


def test_requests_that_a_store_can_not_serve_are_made_four_times(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, convtool: Program
) -> None:
    monkeypatch.setattr(stores, "_PAUSE", 0)
    s3.objects["b/a.csv"] = b"1\n"
    s3.failing = 3
    assert convtool("convolve", "s3://b/a.csv", "-k", "1").out == "1\n"
    s3.requests.clear()
    s3.failing = 9
    run = convtool("convolve", "s3://b/a.csv", "-k", "1")
    assert run.err == "Error: s3://b/a.csv: the server answers 503 (tried 4 times)\n"
    assert s3.requests == ["GET b/a.csv"] * 4
    s3.failing = 0
