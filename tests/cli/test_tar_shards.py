"""`convtool pad-batch --shards tar`: what the archives hold, as tarfile and NumPy read them, and unpad-batch."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from convtool.errors import Terminated
from convtool.jobs.padding.store import ShardFolder
from convtool.jobs.padding.tar_shard import open_shard
from tests.conftest import Run

Convtool = Callable[..., Run]
LENGTHS = (300, 700, 1000, 20, 450)


@pytest.fixture(autouse=True)
def signals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[NDArray[np.float32]]:
    """Stereo recordings in `takes/`, with dots in their names, and a manifest; what is decoded of them."""
    monkeypatch.chdir(tmp_path)
    Path("takes").mkdir()
    rng = np.random.default_rng(0)
    with open("m.csv", "w", encoding="utf-8") as manifest:
        manifest.write("path,speaker,text\n")
        for number, samples in enumerate(LENGTHS):
            soundfile.write(f"takes/{number}.take.wav", rng.uniform(-0.5, 0.5, (samples, 2)), 8000, "FLOAT")
            manifest.write(f"takes/{number}.take.wav,{number},wörd {number}\n")
    return [soundfile.read(f"takes/{n}.take.wav", dtype="float32")[0].T for n in range(len(LENGTHS))]


def samples_of(path: str) -> dict[str, dict[str, Any]]:
    """The samples of a shard by their keys, by the rule of WebDataset: members are called KEY.EXTENSION."""
    found: dict[str, dict[str, Any]] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            key, _, extension = member.name.partition(".")
            file = archive.extractfile(member)
            assert file is not None
            data = file.read()
            value = json.loads(data) if extension == "json" else np.load(io.BytesIO(data))
            found.setdefault(key, {})[extension] = value
    return found


def bytes_of(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_each_row_is_a_sample(convtool: Convtool, signals: list[NDArray[np.float32]]) -> None:
    words = ["--shards", "tar", "--batch-size", "3", "--mask", "--pool", "max"]
    assert convtool("pad-batch", "--manifest", "m.csv", "-o", "out/", *words).code == 0
    assert sorted(bytes_of("out")) == ["00000.tar", "00001.tar", "manifest.json"]
    found = {**samples_of("out/00000.tar"), **samples_of("out/00001.tar")}
    assert list(found) == ["00000-00000", "00000-00001", "00000-00002", "00001-00000", "00001-00001"]
    for number, (sample, signal) in enumerate(zip(found.values(), signals, strict=True)):
        assert list(sample) == ["npy", "mask.npy", "pooled.npy", "json"]
        longest = max(LENGTHS[:3] if number < 3 else LENGTHS[3:])
        assert sample["npy"].dtype == np.float32
        assert sample["npy"].tolist() == np.pad(signal, ((0, 0), (0, longest - signal.shape[1]))).tolist()
        assert sample["mask.npy"].tolist() == [n < signal.shape[1] for n in range(longest)]
        assert sample["pooled.npy"].tolist() == signal.max(axis=1).tolist()
        assert sample["json"] == {
            "file": f"takes/{number}.take.wav",
            "length": signal.shape[1],
            "sample_rate": 8000,
            "labels": {"speaker": number, "text": f"wörd {number}"},
        }


@pytest.mark.parametrize("more", [[], ["--side", "left", "--value", "9", "--layout", "NTC"], ["--segment", "128"]])
def test_unpad_gives_the_signals_back(more: list[str], convtool: Convtool, signals: list[NDArray[np.float32]]) -> None:
    arguments = ["takes", "--strategy", "bucket", "--batch-size", "2", *more]
    for kind in ("tar", "npy"):
        assert convtool("pad-batch", *arguments, "-o", f"{kind}/", "--shards", kind).code == 0
        run = convtool("unpad-batch", f"{kind}/", "-o", f"from-{kind}/")
        assert (run.code, run.err) == (0, "5 written, 0 skipped, 0 failed\n")
    for number, signal in enumerate(signals):
        name = f"{number}.take.wav"
        assert soundfile.read(f"from-tar/{name}", dtype="float32")[0].T.tolist() == signal.tolist()
        assert Path("from-tar", name).read_bytes() == Path("from-npy", name).read_bytes()
    with open_shard("tar/00000.tar") as shard:
        assert shard.values(shard.find("batch")).tolist() == np.load("npy/00000.npy").tolist()
    if "--segment" in more:
        keys = [set(sample["json"]) for sample in samples_of("tar/00000.tar").values()]
        assert keys == [{"file", "start", "length", "sample_rate"}] * 2


def test_numbers_alone(convtool: Convtool) -> None:
    assert convtool("pad-batch", "4,5", "7", "-o", "n/", "--shards", "tar", "--pool", "mean").code == 0
    found = samples_of("n/00000.tar")
    assert [sample["npy"].tolist() for sample in found.values()] == [[4, 5], [7, 0]]
    assert [sample["pooled.npy"].tolist() for sample in found.values()] == [4.5, 7]
    assert convtool("unpad-batch", "n", "-o", "back/", "--format", "csv").code == 0
    assert [path.read_text() for path in sorted(Path("back").iterdir())] == ["4,5\n", "7\n"]


def test_the_same_bytes_again_and_after_an_interruption(convtool: Convtool) -> None:
    words = ["pad-batch", "takes", "--shards", "tar", "--batch-size", "2", "--jobs", "1"]
    assert convtool(*words, "-o", "whole/").code == 0
    assert convtool(*words, "-o", "again/").code == 0
    assert bytes_of("whole") == bytes_of("again")
    commits: list[int] = []
    commit = ShardFolder.commit

    def stop(store: ShardFolder, number: int) -> None:
        if commits:
            raise Terminated
        commits.append(number)
        commit(store, number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ShardFolder, "commit", stop)
        assert convtool(*words, "-o", "broken/").code == 143
    assert sorted(bytes_of("broken")) == [".convtool-plan", "00000.tar"]
    assert convtool(*words, "-o", "broken/").err == "3 written, 2 skipped, 0 failed\n"
    assert bytes_of("broken") == bytes_of("whole")
    assert convtool(*words, "-o", "broken/", "--skip-existing").err == "broken/ exists; left as it is\n"
    assert convtool(*words[:2], "-o", "broken/", "--overwrite").code == 0  # arrays in place of archives
    assert sorted(bytes_of("broken")) == ["00000.lengths.npy", "00000.npy", "manifest.json"]


def test_a_folder_of_shards_among_the_inputs_is_passed_over(convtool: Convtool) -> None:
    words = ["pad-batch", ".", "-o", "out/", "--shards", "tar", "--exclude", "m.csv"]
    assert convtool(*words).code == 0
    run = convtool(*words, "--overwrite", "--include", "*.wav", "--include", "*.tar")
    assert run.err.endswith("5 written, 0 skipped, 0 failed\n")


def test_only_folders_have_shards(convtool: Convtool) -> None:
    run = convtool("pad-batch", "4,5", "-o", "b.npz", "--shards", "tar")
    assert run.code == 2
    assert run.err.endswith("Error: --shards is for folders, and -o b.npz is a file; name a folder, or leave it out\n")


def archive_of(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def npy(values: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


ROW = npy(np.zeros((2, 1000), "f4"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is no tar archive, or damaged: empty file"),
        (b"nothing" * 100, "it is no tar archive, or damaged: invalid header"),
        (archive_of({"0.json": b"{}"}), "there is no member KEY.npy in it"),
        (archive_of({"0.npy": ROW})[:2000], "it is no tar archive, or damaged: unexpected end of data"),
        (archive_of({"0.npy": b"none"}), "0.npy: it does not begin as an NPY file does"),
        (archive_of({"0.npy": ROW[:-4]}), "0.npy is truncated: 1999 of 2000 numbers are there"),
        (archive_of({"0.npy": npy(np.array(["a"]))}), "0.npy holds text; expected numbers"),
        (archive_of({"0.npy": npy(np.zeros((2, 9), order="F"))}), "0.npy is in Fortran order"),
        (archive_of({"0.npy": ROW, "1.npy": npy(np.zeros(9))}), "1.npy has another shape or dtype than 0.npy"),
        (archive_of({"0.npy": ROW}), "its batch has shape (1, 2, 1000), which is not that of the 5 rows it tells of"),
    ],
)
def test_damaged_archives(data: bytes, message: str, convtool: Convtool) -> None:
    assert convtool("pad-batch", "takes", "-o", "out/", "--shards", "tar").code == 0
    Path("out/00000.tar").write_bytes(data)
    run = convtool("unpad-batch", "out", "-o", "back/")
    assert (run.code, run.err) == (1, f"Error: out: shard 00000.tar: {message}\n")
    run = convtool("pad-batch", "takes", "-o", "out/", "--shards", "tar", "--skip-existing")
    assert run.code == 2
    assert f"is incomplete: shard 00000.tar: {message}" in run.err
