"""`--cluster`: a scheduler and workers in processes and a folder of their own, and the program beside them."""

from __future__ import annotations

import filecmp
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.conftest import PROGRAM, Run

distributed = pytest.importorskip("distributed")


EXAMPLES = Path(__file__).parents[2] / "examples"


class Cluster:
    """A scheduler and what workers were started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.workers: list[subprocess.Popen[bytes]] = []
        self._scheduler = self._start("scheduler", "--port=0", "--dashboard-address=127.0.0.1:0", "--scheduler-file=s")
        while not (folder / "s").exists() or not (folder / "s").read_text():
            time.sleep(0.01)
        self.address: str = json.loads((folder / "s").read_text())["address"]

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", *arguments, "--host=127.0.0.1"]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE")}
        environment["PYTHONPATH"] = str(EXAMPLES.parent)
        with open(os.devnull, "wb") as nowhere:
            return subprocess.Popen(command, cwd=self._folder, env=environment, stdout=nowhere, stderr=nowhere)

    def add_worker(self) -> None:
        self.workers.append(
            self._start("worker", self.address, "--no-nanny", "--nthreads=1", "--no-dashboard", "--local-directory=.")
        )

    def end(self) -> None:
        for process in (*self.workers, self._scheduler):
            process.kill()  # at SIGTERM a worker waits for a scheduler that may have gone, at times for ever
        for process in (*self.workers, self._scheduler):
            process.wait()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("elsewhere"))
    made.add_worker()
    made.add_worker()
    with distributed.Client(made.address, timeout=120, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=120)
    yield made
    made.end()


@pytest.fixture
def takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of recordings, in the working folder; one can't be read."""
    folder = tmp_path / "takes"
    (folder / "live").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number, name in enumerate(["a.wav", "b.flac", "live/c.ogg", "live/d.wav"]):
        soundfile.write(folder / name, rng.uniform(-0.5, 0.5, (2000 + number, 2)), 8000)
    (folder / "bad.wav").write_bytes(b"RIFF\0\0\0\0WAVE")
    monkeypatch.chdir(tmp_path)
    return folder


def rows(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def assert_equal(here: str, there: str) -> None:
    """Two folders hold the same files."""
    compared = filecmp.dircmp(here, there)
    assert compared.left_only == compared.right_only == []
    assert filecmp.cmpfiles(here, there, compared.common_files, shallow=False)[1:] == ([], [])
    for sub in compared.common_dirs:
        assert_equal(os.path.join(here, sub), os.path.join(there, sub))


COMMANDS = [
    "convolve takes -k kernel.wav --bias 0.1 --format wav",
    "rescale takes --fit takes/a.wav --range 0:1 --format flac",
    f"lstm {EXAMPLES / 'amp.json'} takes --format wav --rate-policy ignore --state-in state.npz",
    "pad-batch takes --strategy bucket --batch-size 3 --mask",
]


def test_everything_is_as_without_a_cluster(cluster: Cluster, takes: Path, convtool: Callable[..., Run]) -> None:
    soundfile.write("kernel.wav", np.array([0.5, 0.25, -0.125]), 8000)
    convtool("lstm", EXAMPLES / "amp.json", "1,2,3", "--state-out", "state.npz")
    for number, command in enumerate(COMMANDS):
        here, there = f"here{number}/", f"there{number}/"
        alone = convtool(*command.split(), "-o", here, "--report", f"{number}.here")
        spread = convtool(*command.split(), "-o", there, "--report", f"{number}.there", "--cluster", cluster.address)
        assert (alone.code, alone.out, alone.err) == (spread.code, spread.out, spread.err)
        assert alone.code == 1
        assert_equal(here, there)
        for plain, told in zip(rows(f"{number}.here"), rows(f"{number}.there"), strict=True):
            worker = told.pop("worker")
            assert str(worker).startswith("tcp://127.0.0.1:") or command.startswith("pad-batch")
            assert plain.pop("seconds") is None or told["seconds"] is not None
            plain["output"] = plain["output"] and plain["output"].replace("here", "there")
            del told["seconds"]
            assert plain == told


def test_of_what_comes_through_pipes_the_rest_goes_to_the_cluster(
    cluster: Cluster, takes: Path, convtool: Callable[..., Run]
) -> None:
    run = convtool("convolve", "-", "4,1", "-k", "1,2", "-o", "out/", "--format", "csv", "--json", stdin=b"1,2")
    assert "worker" not in run.out
    told = [
        json.loads(line)
        for line in convtool(
            *("convolve", "-", "4,1", "-k", "1,2", "-o", "there/", "--format", "csv", "--json", "-v"),
            *("--cluster", cluster.address),
            stdin=b"1,2",
        ).out.splitlines()
    ]
    assert [each["worker"] is None for each in told] == [True, False]
    assert_equal("out", "there")
    assert convtool("convolve", "4,1,2,5", "-k", "1,2,-1", "--cluster", cluster.address).out == "4,9,0,8,8,-5\n"
    batches = ["pad-batch", "-", "4,1", "4,1,2", "--batch-size", "2", "--strategy", "bucket"]
    assert convtool(*batches, "-o", "b1/", stdin=b"1,2").code == 0
    assert convtool(*batches, "-o", "b2/", "--cluster", cluster.address, stdin=b"1,2").code == 0
    assert_equal("b1", "b2")
    assert convtool(*batches, "-o", "t1/", "--shards", "tar", stdin=b"1,2").code == 0
    assert convtool(*batches, "-o", "t2/", "--shards", "tar", "--cluster", cluster.address, stdin=b"1,2").code == 0
    assert_equal("t1", "t2")


def test_a_single_file_and_a_picture_are_made_here(takes: Path, convtool: Callable[..., Run]) -> None:
    assert convtool("pad-batch", "4,1", "2", "-o", "b.npz", "--cluster", "tcp://127.0.0.1:1").code == 0
    args = ["local-var", "4,1,2", "-w", "2", "-o", "v.csv", "--plot", "v.png", "--cluster", "tcp://127.0.0.1:1"]
    assert convtool(*args).code == 0
    assert convtool("convolve", "takes", "-k", "1", "-o", "o/", "--dry-run", "--cluster", "local").code == 1


@pytest.mark.parametrize("address", ["here", "tcp://:1", "tcp://a", "http://a:1", "tcp://a:b"])
def test_what_is_no_cluster_is_refused(address: str, convtool: Callable[..., Run]) -> None:
    run = convtool("convolve", "4,1", "-k", "1", "--cluster", address)
    assert run.code == 2
    assert f"'{address}' is no cluster; give tcp://HOST:PORT of a scheduler, or local" in run.err


def test_a_killed_worker_and_one_that_comes_late(cluster: Cluster, takes: Path) -> None:
    """Of 40 inputs none is lost, and each is told once; Ctrl-C then ends a run, and what has been done is told."""
    cluster.add_worker()
    for number in range(40):
        os.link(takes / "live" / "c.ogg", takes / f"{number:02}.ogg")
    (takes / "bad.wav").unlink()
    process = start("convolve", "takes", "-k", "1,2", "-o", "out/", "--report", "r", "--cluster", cluster.address)
    wait_for(lambda: len(os.listdir("out")) > 3 if os.path.exists("out") else False)
    cluster.workers[0].kill()
    cluster.workers[0].wait()
    process.communicate()
    assert process.returncode == 0
    told = rows("r")
    assert [row["input"] for row in told] == sorted(row["input"] for row in told)
    assert [row["status"] for row in told] == ["written"] * 44
    assert len(list(Path("out").rglob("*.*"))) == 44

    soundfile.write(takes / "00-long.wav", np.zeros(10_000_000, np.float32), 8000, "FLOAT")
    process = start(
        "lstm",
        EXAMPLES / "amp.json",
        "takes",
        "-o",
        "on/",
        "--report",
        "s",
        "--cluster",
        cluster.address,
        "--rate-policy",
        "ignore",
        "--jobs",
        "1",
    )
    wait_for(lambda: os.path.exists("on"))
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    assert {row["status"] for row in rows("s")} <= {"written"}
    assert len(rows("s")) == len(list(Path("on").rglob("*.*")))


def start(*arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([PROGRAM, *map(str, arguments)], stderr=subprocess.PIPE)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_cluster_of_this_machine_comes_and_goes(takes: Path, convtool: Callable[..., Run]) -> None:
    run = convtool("convolve", "takes", "-k", "1,2", "-o", "out/", "--report", "r", "--cluster", "local", "--jobs", 1)
    assert run.code == 1
    assert run.err.endswith("4 written, 0 skipped, 1 failed\n")
    assert len({row["worker"] for row in rows("r")}) == 1


def test_what_pad_batch_says_behind_the_work_of_a_cluster_is_heard(program: Callable[..., Run]) -> None:
    batches = ("pad-batch", "4,1", "2", "-o", "b/", "--batch-size", "1", "--strategy", "bucket")
    run = program(*batches, "--cluster", "local", "--jobs", "1")
    assert (run.code, run.err) == (0, "2 written, 0 skipped, 0 failed\n")


def test_where_the_work_is_lost_what_was_done_is_reported(
    cluster: Cluster, takes: Path, convtool: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    from convtool.runs.cluster_executor import ClusterExecutor

    heard = ClusterExecutor._heard
    (takes / "bad.wav").unlink()

    def lose(self: ClusterExecutor, event: Any) -> None:
        heard(self, event)
        self._lose("the connection to it was lost")

    monkeypatch.setattr(ClusterExecutor, "_heard", lose)
    batches = ["pad-batch", "4,1", "4,1,2", "--batch-size", "1", "--strategy", "bucket", "-o", "b/", "--report", "q"]
    for arguments in (["convolve", "takes", "-k", "1", "-o", "out/", "--report", "r"], batches):
        run = convtool(*arguments, "--cluster", cluster.address)
        assert run.code == 1
        assert run.err == f"Error: the scheduler at {cluster.address}: the connection to it was lost\n"
        assert os.path.exists(arguments[-1])
