"""URLs wherever a path stands: a web server on loopback, and fsspec's store in memory."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import soundfile
from safetensors.numpy import save

from convtool.errors import InputError, OutputError
from convtool.files import remote, remote_file, stores
from convtool.files.remote_file import RemoteFile
from tests.helpers.web_server import WebServer, serving

Program = Callable[..., Any]


@pytest.fixture(scope="module")
def server() -> Iterator[WebServer]:
    with serving() as running:
        yield running


@pytest.fixture
def web(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> WebServer:
    monkeypatch.setattr(stores, "_PAUSE", 0)
    server.files.clear()
    server.requests.clear()
    server.sent = 0
    server.files["x.csv"] = b"4\n1\n2\n5\n"
    return server


@pytest.fixture
def store() -> Iterator[Any]:
    memory = fsspec.filesystem("memory")
    memory.pipe({"/b/in/a.csv": b"4,1,2,5\n", "/b/in/sub/b.csv": b"1,1\n", "/b/in/.c.csv": b"9\n", "/b/in/d.md": b"-"})
    yield memory
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]


def test_input_and_kernel_from_a_web_server(web: WebServer, convtool: Program) -> None:
    web.files["k.csv"] = b"1,2,-1\n"
    run = convtool("convolve", web.url("/files/x.csv?sig=1"), "-k", web.url("/files/k.csv"))
    assert (run.code, run.out) == (0, "4\n9\n0\n8\n8\n-5\n")


@pytest.mark.parametrize("folder", ["plain", "broken"])
def test_servers_that_send_no_ranges_or_break_off_at_first(web: WebServer, convtool: Program, folder: str) -> None:
    run = convtool("convolve", web.url(f"/{folder}/x.csv"), "-k", "1")
    assert (run.code, run.out, run.err) == (0, "4\n1\n2\n5\n", "")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/files/none.csv", "no such file in the store"),
        ("/denied/x.csv", "the store denies access; check its credentials, which are taken from the store's own"),
        ("/long/x.csv", "the store or the connection failed"),
        ("/always-broken/x.csv", "(tried 4 times)"),
        ("/failing/x.csv", "the server answers 503 (tried 4 times)"),
        ("/busy/x.csv", "the server answers 429 (tried 4 times)"),
        ("/away/x.csv", "the store or the connection failed"),
    ],
)
def test_faults_are_one_line_without_secrets(web: WebServer, convtool: Program, path: str, said: str) -> None:
    url = web.url(path).replace("//", "//me:key@")
    run = convtool("convolve", f"{url}?signature=1", "-k", "1")
    assert run.code == 1
    assert run.err.count("\n") == 1
    assert run.err.startswith(f"Error: {web.url(path)}?...: ")
    assert said in run.err
    assert "key" not in run.err.replace("x.csv", "")
    assert "signature=1" not in run.err
    run = convtool("convolve", f"{url}?signature=1", "-k", "1", "--debug")
    assert "Traceback" in run.err
    assert "signature=1" not in run.err
    assert "key@" not in run.err


def test_a_store_that_is_not_known_is_refused(convtool: Program) -> None:
    run = convtool("convolve", "ftp://host/a.csv", "-k", "1")
    assert run.code != 0
    assert "ftp:// is no store that convtool reads or writes; it knows s3," in run.err


def test_a_missing_package_is_named(convtool: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "aiohttp", None)
    run = convtool("convolve", "http://127.0.0.1:9/a.csv", "-k", "1")
    assert "URLs of http:// need aiohttp: install the extra 'remote', or aiohttp itself" in run.err


def test_an_output_is_put_whole_and_replaces_nothing_unasked(web: WebServer, convtool: Program) -> None:
    out = web.url("/files/out.wav")
    arguments = ("convolve", "0.5,0.25", "-k", "1", "--sample-rate", "8000", "-o", out)
    assert convtool(*arguments).code == 0
    assert web.files["out.wav"].startswith(b"RIFF")
    run = convtool(*arguments[:-1], web.url("/files/out"))
    assert (run.code, "the extension names no format" in run.err) == (2, True)
    run = convtool(*arguments)
    assert (run.code, "out.wav exists; give --overwrite" in run.err) == (2, True)
    assert convtool(*arguments, "--overwrite").code == 0
    assert convtool(*arguments, "--skip-existing").code == 0
    assert sum(each.startswith("PUT") for each in web.requests) == 2
    assert convtool(*arguments[:-1], web.url("/files/signed.wav?signature=1.2")).code == 0
    assert web.files["signed.wav"] == web.files["out.wav"]
    run = convtool("local-var", "1,2", "-w", "2", "-o", out, "--plot", web.url("/files/p.csv?signature=1"))
    assert "/files/p.csv?...: a picture can be png" in run.err


def test_an_output_that_came_after_planning_is_left(web: WebServer, tmp_path: Path) -> None:
    from convtool.errors import OutputError
    from convtool.files.atomic import write_file

    with pytest.raises(OutputError, match="exists since the work on it began"):
        write_file(web.url("/files/x.csv"), b"1")
    assert web.files["x.csv"] == b"4\n1\n2\n5\n"
    with pytest.raises(OutputError, match=r"^http://127[^ ]*/y.csv: the store or the connection failed.*4 times"):
        write_file(web.url("/files/y.csv").replace(str(web.server_address[1]), "9"), b"1")


def test_a_folder_of_a_store_into_another(store: Any, convtool: Program, tmp_path: Path) -> None:
    report = "memory://b/report.jsonl"
    arguments = ("convolve", "memory://b/in/", "-k", "1", "-o", "memory://b/out/", "--jobs", "1", "--report", report)
    dry = convtool(*arguments, "--dry-run")
    assert dry.out.splitlines() == [
        "memory://b/in/a.csv -> memory://b/out/a.csv",
        "memory://b/in/sub/b.csv -> memory://b/out/sub/b.csv",
    ]
    assert [json.loads(line)["status"] for line in store.cat(report).splitlines()] == ["planned"] * 2
    store.rm(report)
    store.pipe("/b/out/sub/b.csv", b"old")
    assert "memory://b/out/sub/b.csv exists; give --overwrite" in convtool(*arguments).err
    run = convtool(*arguments, "--skip-existing", "--dry-run")
    assert "memory://b/out/sub/b.csv (exists)" in run.out


def test_patterns_lists_and_templates(store: Any, convtool: Program) -> None:
    run = convtool("convolve", "memory://b/in/**/*.csv", "-k", "1", "-o", "memory://b/o/{index}-{name}", "--dry-run")
    assert "memory://b/in/sub/b.csv -> memory://b/o/1-b.csv" in run.out
    store.pipe("/b/list.scp", b"one memory://b/in/a.csv\n")
    run = convtool("convolve", "--input-list", "memory://b/list.scp", "-k", "2")
    assert (run.code, run.out) == (0, "8,2,4,10\n")
    run = convtool("convolve", "--input-list", "memory://b/none", "-k", "2")
    assert (run.code, "memory://b/none: no such file in the store" in run.err) == (2, True)
    assert "no file at or below it" in convtool("convolve", "memory://b/none/", "-k", "1").err
    assert "a web server does not list" in convtool("convolve", "http://127.0.0.1:9/d/", "-k", "1").err
    same = convtool("convolve", "memory://b/in/a.csv", "-k", "1", "-o", "memory://b/in/a.csv", "--overwrite")
    assert (same.code, "is the input" in same.err) == (2, True)


def test_folders_without_a_slash_and_what_is_passed_over(store: Any, convtool: Program) -> None:
    store.pipe("/b/in/e.wav", b"RIFF")
    run = convtool("convolve", "memory://b/in", "-k", "1", "-o", "memory://b/in2", "--dry-run", "-v")
    assert run.code == 2  # nothing is there to say that it is a folder
    store.mkdir("/b/in2")
    run = convtool("-v", "convolve", "memory://b/in", "-k", "1", "-o", "memory://b/in2", "--dry-run")
    assert run.out == "memory://b/in/e.wav -> memory://b/in2/e.wav\n"
    assert "3 files passed over" in run.err
    run = convtool("convolve", "memory://b/in", "--include", "*.csv", "--exclude", "sub", "-k", "3")
    assert run.out == "12,3,6,15\n"


def test_batches_to_a_store_and_back(store: Any, convtool: Program) -> None:
    run = convtool("pad-batch", "memory://b/in/", "-o", "memory://b/batch.npz")
    assert (run.code, run.err) == (0, "1 file passed over (-v tells which)\n2 written, 0 skipped, 0 failed\n")
    run = convtool("unpad-batch", "memory://b/batch.npz", "-o", "memory://b/back/", "--jobs", "1")
    assert run.code == 0
    assert store.cat("/b/back/a.csv") == b"4,1,2,5\n"
    run = convtool("pad-batch", "memory://b/in/", "-o", "memory://b/batch.npz", "--skip-existing")
    assert "exists; left as it is" in run.err
    run = convtool("pad-batch", "memory://b/in/", "-o", "http://127.0.0.1:9/shards/")
    assert (run.code, "no run could complete a folder of shards there; give a batch in one file" in run.err) == (
        2,
        True,
    )


def test_an_input_of_a_batch_that_is_not_there_stops_no_other(store: Any, convtool: Program) -> None:
    inputs = ("memory://b/in/a.csv", "memory://b/none.csv", "memory://b/in/sub/b.csv")
    run = convtool("pad-batch", *inputs, "-o", "memory://b/batch.npz")
    assert (run.code, run.err) == (
        1,
        "Error: memory://b/none.csv: no such file in the store, or no such bucket\n2 written, 0 skipped, 1 failed\n",
    )
    run = convtool("pad-batch", *inputs, "-o", "memory://b/first.npz", "--fail-fast")
    assert (run.code, run.err.count("Error")) == (1, 1)
    assert not store.exists("/b/first.npz")
    run = convtool("rescale", "1,2", "--fit", inputs[1], "--method", "robust")
    assert (run.code, run.err) == (1, "Error: memory://b/none.csv: no such file in the store, or no such bucket\n")
    run = convtool("rescale", "1,2", "--fit", inputs[0], "--method", "robust")
    assert run.code == 0


def test_shards_in_a_store_and_back(store: Any, convtool: Program) -> None:
    arguments = ("pad-batch", "memory://b/in/", "-o", "memory://b/shards/", "--batch-size", "1", "--mask")
    assert convtool(*arguments).code == 0
    names = [name.rpartition("/")[2] for name in store.find("/b/shards")]
    assert len(names) == len({"manifest.json"} | set(names)) == 7
    assert "exists" in convtool(*arguments).err
    assert "exists; left as it is" in convtool(*arguments, "--skip-existing").err
    assert convtool("unpad-batch", "memory://b/shards/", "-o", "memory://b/back/").code == 0
    assert store.cat("/b/back/sub/b.csv") == b"1,1\n"
    store.rm_file("/b/shards/00001.lengths.npy")
    run = convtool(*arguments, "--skip-existing")
    assert (run.code, "incomplete: there is no 00001.lengths.npy" in run.err) == (2, True)
    before = store.cat("/b/shards/manifest.json")
    assert convtool(*arguments, "--overwrite").code == 0
    assert store.cat("/b/shards/manifest.json") == before
    assert convtool("unpad-batch", "memory://b/none/", "-o", "memory://b/back/").code == 1


def test_shards_in_a_store_are_completed(store: Any, convtool: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("pad-batch", "memory://b/in/", "-o", "memory://b/shards/", "--batch-size", "1", "--jobs", "1")
    upload = remote.upload

    def failing(file: Any, url: str, *, replace: bool) -> None:
        if url.endswith("00001.npy"):
            raise OutputError("the store is full")
        upload(file, url, replace=replace)

    with monkeypatch.context() as patch:
        patch.setattr("convtool.files.atomic.upload", failing)
        run = convtool(*arguments)
    assert (run.code, "the store is full" in run.err) == (1, True)
    assert "/b/shards/manifest.json" not in store.find("/b/shards")
    written = store.info("/b/shards/00000.npy")
    assert convtool(*arguments).code == 0
    assert store.info("/b/shards/00000.npy") == written
    assert "/b/shards/.convtool-plan" not in store.find("/b/shards")


def test_a_shard_that_a_worker_elsewhere_has_put_into_a_store_is_there(store: Any) -> None:
    from convtool.jobs.padding.store import ShardFolder
    from convtool.jobs.padding.writing import Padding

    folder = ShardFolder("memory://b/shards/", Padding(), mask=False, overwrite=False, request="")
    with folder:
        assert not folder.holds(3)
        store.pipe("/b/shards/00003.npy", b"1")
        assert folder.holds(3)


def test_manifests_name_urls_too(store: Any, convtool: Program, tmp_path: Path) -> None:
    (tmp_path / "c d.csv").write_text("7\n")
    place = (tmp_path / "c d.csv").as_uri()
    store.pipe("/b/train.csv", f"path,speaker\nmemory://b/in/a.csv,1\n{place},2\n".encode())
    run = convtool("pad-batch", "--manifest", "memory://b/train.csv", "-o", tmp_path / "x.npz")
    assert (run.code, run.err) == (0, "2 written, 0 skipped, 0 failed\n")
    assert np.load(tmp_path / "x.npz")["speaker"].tolist() == [1, 2]


def test_file_urls_are_paths(convtool: Program, tmp_path: Path) -> None:
    (tmp_path / "an input.csv").write_text("4\n1\n")
    place = (tmp_path / "an input.csv").as_uri()
    (tmp_path / "list").write_text(f"{place}\n")
    assert convtool("convolve", place, "-k", "2").out == "8\n2\n"
    assert convtool("convolve", "--input-list", tmp_path / "list", "-k", "2").out == "8\n2\n"
    assert convtool("convolve", place, "-k", "2", f"--output=file://localhost{tmp_path}/%C3%A4.csv").code == 0
    assert (tmp_path / "ä.csv").read_text() == "8\n2\n"
    run = convtool("convolve", "file://other/a.csv", "-k", "2")
    assert (run.code, "that is a file of the machine 'other'; one of this machine is file:///PATH" in run.err) == (
        2,
        True,
    )


@pytest.mark.parametrize("folder", ["tagged", "dated"])
def test_a_file_of_a_web_server_that_changes_while_it_is_read(web: WebServer, folder: str) -> None:
    web.files["n"] = bytes(1 << 20)
    with RemoteFile(web.url(f"/{folder}/n")) as file:
        assert file.pread(10, 1 << 19) == bytes(10)
        web.files["n"] = bytes(1 << 21)
        with pytest.raises(InputError, match="changed while it was read"):
            file.pread(10, 100_000)


def test_an_object_that_changes_while_it_is_read(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store.pipe("/b/n", bytes(1 << 20))
    with RemoteFile("memory://b/n") as file:
        assert file.pread(10, 1 << 19) == bytes(10)
        store.pipe("/b/n", b"1" * (1 << 20))
        with pytest.raises(InputError, match="changed while it was read"):
            file.pread(10, 100_000)
    monkeypatch.setattr(remote, "AHEAD_BYTES", 1 << 10)
    with remote.download("memory://b/n") as file:
        assert file.read() == b"1" * (1 << 20)
    states = iter(["before", "after"])
    monkeypatch.setattr(remote, "state_of", lambda *_: next(states))
    with pytest.raises(InputError, match="another file was put in its place; run the command again"):
        remote.download("memory://b/n")


def test_weights_are_listed_from_ranges(web: WebServer, convtool: Program) -> None:
    big = np.zeros(8 << 20, np.uint8)
    web.files["m.safetensors"] = save({"big": big, "conv1.weight": np.float32([[[1, 2, -1]]])})
    run = convtool("inspect-weights", web.url("/files/m.safetensors"))
    assert (run.code, "conv1.weight" in run.out) == (0, True)
    assert web.sent < 1 << 18
    assert len(web.requests) < 12
    run = convtool("convolve", "4,1,2,5", "-k", web.url("/files/m.safetensors::conv1.weight"), "--correlate")
    assert (run.code, run.out) == (0, "-4,7,4,0,12,5\n")
    run = convtool("inspect-weights", f"{web.url('/files/m.safetensors')}?signature=1", "--json")
    assert json.loads(run.out)["file"] == f"{web.url('/files/m.safetensors')}?..."
    run = convtool("inspect-weights", web.url("/files/m.safetensors"), "--stats")
    assert "8388608" in run.out or "8,388,608" in run.out


def test_ranges_of_a_file(web: WebServer) -> None:
    data = np.arange(300_000, dtype="<u4").tobytes()
    web.files["n"] = data
    for folder in ("files", "plain", "whole"):
        with RemoteFile(web.url(f"/{folder}/n")) as file:
            assert file.read(10) == data[:10]
            assert file.seek(-4, 2) == len(data) - 4
            assert file.read() == data[-4:]
            assert file.seek(0) == file.tell() == 0
            assert file.seek(5, 1) == 5
            assert b"".join(file.pread(50_000, at) for at in range(0, len(data), 50_000)) == data
    with pytest.raises(InputError, match="tried 4 times"):
        RemoteFile(web.url("/always-broken/n"))


def test_inputs_are_bounded(web: WebServer, monkeypatch: pytest.MonkeyPatch, convtool: Program) -> None:
    monkeypatch.setattr(remote, "SPOOL_LIMIT", 4)
    run = convtool("convolve", web.url("/files/x.csv"), "-k", "1")
    assert (run.code, "it takes 8 bytes or more; the limit is 4" in run.err) == (1, True)


def test_audio_and_parameters(store: Any, convtool: Program, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", np.float32([0.5, -0.5]), 8000)
    store.pipe("/b/a.flac", (tmp_path / "a.flac").read_bytes())
    run = convtool(
        "rescale", "memory://b/a.flac", "--range", "0:1", "--save", "memory://b/p.json", "-o", "-", "--format", "csv"
    )
    assert (run.code, run.out) == (0, "1\n0\n")
    run = convtool("rescale", "0.5,-0.5", "--params", "memory://b/p.json")
    assert run.out == "1,0\n"


class _Waiting:
    """A store that does not answer in time, or has no such bucket."""

    asked = 0

    def get_file(self, path: str, local: str, callback: Any) -> None:
        self.asked += 1
        raise TimeoutError

    def put_file(self, local: str, path: str, mode: str) -> None:
        raise FileNotFoundError(path)

    def find(self, path: str) -> list[str]:
        raise FileNotFoundError(path)


def test_what_comes_too_late_is_asked_for_again_and_what_is_not_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_PAUSE", 0)
    waiting = _Waiting()
    monkeypatch.setattr(remote, "store_of", lambda url: (waiting, url))
    with pytest.raises(InputError, match=r"the connection failed: TimeoutError \(tried 4 times\)"):
        remote.download("s3://bucket/a.wav")
    assert waiting.asked == 4
    missing = "^s3://bucket/a.wav: there is no such bucket, or no such place, in the store$"
    with open(__file__, "rb") as file, pytest.raises(OutputError, match=missing):
        remote.upload(file, "s3://bucket/a.wav", replace=True)
    with pytest.raises(OutputError, match=r"^s3://bucket/b/: there is no such bucket"):
        remote.below("s3://bucket/b/", OutputError)


def test_what_is_fetched_ends_when_it_is_to_stop(store: Any) -> None:
    store.pipe("/b/n", bytes(1 << 20))
    with tempfile.TemporaryFile(buffering=0) as spool, pytest.raises(InputError, match="the work was stopped"):
        remote.fetch("memory://b/n", spool, lambda: True)


class _Faulty:
    """A store whose answers are shorter than it says, or that is asked without credentials."""

    class NoCredentialsError(Exception):
        """As botocore has it."""

    def get_file(self, path: str, local: str, callback: Any) -> None:
        if "secret" in path:
            raise self.NoCredentialsError
        callback.set_size(5)
        Path(local).write_bytes(b"123")

    size = 1 << 20

    def open(self, path: str, mode: str, **_: Any) -> _Faulty:
        return self

    def _fetch_range(self, start: int, stop: int) -> bytes:
        return b"short"


def test_answers_that_are_too_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_PAUSE", 0)
    for module in (remote, remote_file):
        monkeypatch.setattr(module, "store_of", lambda url: (_Faulty(), url))
    with pytest.raises(InputError, match=r"5 bytes were declared, 3 came \(tried 4 times\)"):
        remote.download("s3://bucket/a.wav")
    with pytest.raises(InputError, match="5 bytes were declared, 3 came"):
        RemoteFile("s3://bucket/a.wav")
    with pytest.raises(InputError, match="there are no credentials for the store"):
        remote.download("s3://bucket/secret.wav")


def _models(folder: Path) -> dict[str, bytes]:
    """A weight file of each kind that is read in a way of its own, larger than the block that is fetched first."""
    import h5py
    import onnx
    import scipy.io
    import torch

    weight = np.random.default_rng(1).standard_normal((200, 100)).astype("f4")
    torch.save({"w": torch.from_numpy(weight)}, folder / "zip.pt")
    torch.save({"w": torch.from_numpy(weight)}, folder / "old.pt", _use_new_zipfile_serialization=False)
    np.savez(folder / "n.npz", w=weight)
    np.save(folder / "w.npy", weight)
    scipy.io.savemat(folder / "m.mat", {"w": weight})
    with h5py.File(folder / "h.h5", "w") as file:
        file["w"] = weight
    (folder / "s.json").write_text(json.dumps({"lstm.weight_ih_l0": weight.tolist()}))
    (folder / "shard.safetensors").write_bytes(save({"w": weight}))
    (folder / "i.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": "shard.safetensors"}}))
    for name, outside in (("inner.onnx", False), ("outer.onnx", True)):
        tensor = onnx.numpy_helper.from_array(weight, "w")
        graph = onnx.helper.make_graph([], "g", [], [], initializer=[tensor])
        onnx.save(onnx.helper.make_model(graph), folder / name, save_as_external_data=outside, location="sub.data")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_weight_files_of_every_kind(web: WebServer, store: Any, convtool: Program, tmp_path: Path) -> None:
    files = _models(tmp_path)
    web.files.update(files)
    names = [name for name in files if name not in ("sub.data", "shard.safetensors")]
    assert len(names) == 10
    for name in names:
        here = convtool("inspect-weights", tmp_path / name, "--stats", "--json")
        there = convtool("inspect-weights", web.url(f"/files/{name}"), "--stats", "--json")
        assert here.code == there.code == 0, name
        expected = json.loads(here.out)
        assert json.loads(there.out) == {**expected, "file": web.url(f"/files/{name}")}, name
    store.pipe({f"/models/{name}": data for name, data in files.items()})
    run = convtool("inspect-weights", "memory://models/", "--json")
    assert json.loads(run.out)["file"] == "memory://models/i.safetensors.index.json"
    npy = files["w.npy"]
    store.pipe({"/models/sub/a.npy": npy, "/models/.git/b.npy": npy, "/models/sub/deep/c.npy": npy})
    run = convtool("inspect-weights", "memory://models/", "--json")
    assert [json.loads(line)["file"] for line in run.out.splitlines()] == [
        "memory://models/i.safetensors.index.json",
        "memory://models/sub/a.npy",
        "memory://models/sub/deep/c.npy",
    ]
    run = convtool("inspect-weights", "memory://models/sub/", "-o", tmp_path / "one.npy")
    assert (run.code, (tmp_path / "one.npy").read_bytes()) == (0, npy)
    run = convtool("inspect-weights", "memory://models/*.npz", "memory://models/w.npy", "--json")
    assert [json.loads(line)["format"] for line in run.out.splitlines()] == ["npz", "npy"]
    run = convtool("inspect-weights", "memory://models/none.pt")
    assert run.err == "Error: memory://models/none.pt: no such file in the store, or no such bucket\n"
    run = convtool(
        "local-var", "memory://models/h.h5::w[3]", "-w", "50", "--stat", "max", "-o", "memory://models/v.npy"
    )
    assert (run.code, run.err) == (0, "")


def test_raw_numbers_and_numbers_in_names(store: Any, convtool: Program) -> None:
    store.pipe("/b/raw", np.int16([1, 2]).tobytes())
    run = convtool(
        "rescale", "memory://b/raw", "--input-format", "raw:s16le", "--range", "0:1", "--format", "csv", "-o", "-"
    )
    assert (run.code, run.out) == (0, "0\n1\n")
