"""The workers of a Dask cluster: what they do is what the program does, whatever becomes of them."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("distributed")

import dask
from distributed import LocalCluster

from convtool.errors import InputError, Terminated, UsageError
from convtool.runs import cluster, cluster_executor, cluster_fitness, stopping
from convtool.runs import cluster_worker as there
from convtool.runs.cluster import local_workers, remote_workers
from convtool.runs.cluster_executor import ClusterExecutor
from convtool.runs.cluster_fitness import Run, Witness
from convtool.runs.local import WorkerDied
from convtool.runs.outcome import Outcome
from convtool.runs.plan import Task
from convtool.runs.run import WorkLost, run_all
from convtool.signals.inputs import Input
from tests.cli.test_cluster import Cluster


@dataclass(frozen=True)
class Act:
    """A job that does what its input says, and replaces an output where it may."""

    replaces: bool = False

    def replacing(self) -> Act:
        return Act(replaces=True)

    def __call__(self, task: Task) -> Outcome:
        word = os.path.basename(task.input.value)
        if word == "refuse":
            raise InputError(f"{task.input.value} is no signal; nothing goes to {task.output}")
        if word == "wait":
            for _ in stopping.until_stopped(iter(lambda: time.sleep(0.01), 0)):
                pass
        if word == "late":
            time.sleep(0.2)
        if word == "write":
            with open(str(task.output), "w" if self.replaces else "x") as file:
                file.write("written")
        return replace(Outcome.of(task, "written"), samples=task.index, notes=[task.input.value])


@dataclass(frozen=True)
class ActTogether(Act):
    """The same, on several inputs at a time."""

    together: int = 2

    def shared(self) -> Act:
        return Act()


def nothing() -> None:
    """No setup."""


def first(job: Any, _: Any) -> Any:
    return job


def tasks_of(*words: str) -> list[Task]:
    return [Task(i, Input("file", word, word), f"out/{word}") for i, word in enumerate(words)]


@pytest.fixture(scope="module")
def here() -> Iterator[LocalCluster]:
    """A scheduler and two workers in this process."""
    made = LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, protocol="tcp://", dashboard_address="127.0.0.1:0"
    )
    with made:
        yield made


@pytest.fixture
def executor(here: LocalCluster) -> Iterator[ClusterExecutor]:
    with remote_workers(here.scheduler_address, [], nothing) as made:
        yield made


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 120  # a machine may have much else to do
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_all_are_done_and_told_in_order_as_given(executor: ClusterExecutor, here: LocalCluster) -> None:
    ended: dict[int, Outcome] = {}
    words = ("late", "a", "refuse", "/b", "s3://c/d")
    outcomes = run_all(Act(), tasks_of(*words), executor, workers=executor.slots, ended=ended)
    assert [outcome.input for outcome in outcomes] == list(words)
    assert [outcome.output for outcome in outcomes] == [f"out/{word}" for word in words]
    assert [outcome.status for outcome in outcomes] == ["written", "written", "failed", "written", "written"]
    assert outcomes[2].error == "refuse is no signal; nothing goes to out/refuse"
    assert [outcome.notes for outcome in outcomes] == [["late"], ["a"], [], ["/b"], ["s3://c/d"]]
    assert {outcome.worker for outcome in outcomes} <= {worker.address for worker in here.workers.values()}
    assert executor.slots == 2
    assert {index: outcome.input for index, outcome in ended.items()} == dict(enumerate(words))


def test_a_job_goes_to_the_cluster_once_and_inputs_may_go_together(executor: ClusterExecutor) -> None:
    outcomes = run_all(ActTogether(), tasks_of(*"abcdef", "refuse"), executor, workers=2)
    assert [outcome.status for outcome in outcomes] == [*["written"] * 6, "failed"]
    assert len(executor._sent) == 1


def test_what_reads_or_writes_standard_streams_is_done_here(executor: ClusterExecutor) -> None:
    tasks = [
        Task(0, Input("stdin", "-", "stdin"), "a"),
        Task(1, Input("file", "b", "b"), None),
        replace(tasks_of("c")[0], index=2),
    ]
    outcomes = run_all(Act(), tasks, executor, workers=2)
    assert [outcome.worker is None for outcome in outcomes] == [True, True, False]


def test_no_more_at_a_time_than_was_asked_for(here: LocalCluster) -> None:
    with remote_workers(here.scheduler_address, [], nothing, at_once=1) as executor:
        assert executor.slots == 1
        with executor._lock:  # nothing ends meanwhile
            calls = [executor.submit(first, number, []) for number in (3, 4, 5)]
            assert len(executor._out) == 1
            calls[1].cancel()
        assert [calls[0].result(), calls[2].result()] == [3, 5]
        with pytest.raises(TypeError):
            executor.submit(first, 1, [], key=abs)
        last = executor.submit(first, 6, [])
        executor.shutdown()
        assert last.result() == 6
    assert isinstance(executor.submit(first, 1, []).exception(), WorkerDied)


def test_what_a_lost_worker_may_have_written_is_written_again(executor: ClusterExecutor, tmp_path: Path) -> None:
    task = Task(7, Input("file", "write", "write"), str(tmp_path / "w"))
    (tmp_path / "w").touch()
    assert (
        run_all(Act(), [task], executor)[0].error
        == "unexpected FileExistsError: [Errno 17] File exists: " + repr(str(tmp_path / "w")) + " (--debug shows where)"
    )
    assert run_all(Act(), [task], executor)[0].status == "written"  # this run has begun on it before
    assert (tmp_path / "w").read_text() == "written"


def test_of_several_inputs_over_which_a_worker_was_lost_each_is_tried_again_alone(
    executor: ClusterExecutor, tmp_path: Path
) -> None:
    written = Task(20, Input("file", "write", "write"), str(tmp_path / "w"))
    (tmp_path / "w").touch()
    executor._client.log_event(there.BEGUN, (executor._run.token, 1, [0, 1, 20]))  # and has not lived to tell
    outcomes = run_all(Act(), [*tasks_of("a", "refuse"), written, *tasks_of(*"abcdefghij")[2:]], executor, workers=2)
    assert [outcome.status for outcome in outcomes] == ["written", "failed", *["written"] * 9]
    assert (tmp_path / "w").read_text() == "written"
    assert executor._count == len([3, 2, 2, 1, 1, 1, 1]) + 3


def test_what_is_told_is_known_before_the_call_ends(executor: ClusterExecutor) -> None:
    told: list[Any] = []
    call = executor.submit_telling(told.append, there_perform, Act(), tasks_of("a", "b", "wait"))
    wait_for(lambda: len(told) == 2)
    assert [index for index, _ in told] == [0, 1]
    assert not call.done()


def test_a_stopped_run_ends_what_works(executor: ClusterExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_executor, "ENDING", 120)
    monkeypatch.setattr(there, "_PATIENCE", 120)
    told: list[Any] = []
    running = executor.submit_telling(told.append, there_perform, Act(), tasks_of("a", "wait"))
    waiting = [executor.submit(there_perform, Act(), tasks_of("wait")) for _ in range(3)]
    wait_for(lambda: told)
    executor.shutdown(cancel_futures=True)
    assert not there._working
    assert running.cancelled()
    assert all(each.cancelled() for each in waiting)


def test_what_waits_for_its_turn_is_cancelled_too(here: LocalCluster) -> None:
    with remote_workers(here.scheduler_address, [], nothing, at_once=1) as executor:
        executor.submit(there_perform, Act(), tasks_of("wait"))
        call = executor.submit(first, 1, [])
    assert call.cancelled()


def there_perform(job: Any, tasks: list[Task], tell: Any = None) -> None:
    for task in tasks:
        outcome = job(task)
        tell((task.index, outcome))


RELEASED = threading.Event()


def until_released(_: Any, __: Any) -> None:
    RELEASED.wait(120)


def test_a_run_that_can_not_be_stopped_is_left(executor: ClusterExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(there, "_PATIENCE", 0.05)
    running = executor.submit(until_released, 1, [])
    wait_for(lambda: there._working)
    executor.shutdown(cancel_futures=True)
    assert running.cancelled()
    RELEASED.set()
    wait_for(lambda: not there._working)


def test_stopping_is_for_the_thread_that_was_asked() -> None:
    stopping.check()
    assert list(stopping.until_stopped([1, 2])) == [1, 2]
    with stopping.stoppable(lambda: True):
        blocks = stopping.until_stopped([])
        with pytest.raises(Terminated):
            stopping.check()
    with pytest.raises(Terminated):
        list(blocks)


# Workers that are not fit


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "a").write_bytes(b"x" * 200_000)
    witness = Witness.of(str(tmp_path / "a"))
    return Run("token", nothing, None, witness, str(tmp_path), cluster_fitness.versions())


def test_a_worker_is_fit_that_sees_what_is_here(run: Run, tmp_path: Path) -> None:
    assert cluster_fitness.unfitness(run) is None
    (tmp_path / "a").write_bytes(b"x" * 199_999 + b"y")
    assert "sees another file at" in str(cluster_fitness.unfitness(run))
    (tmp_path / "a").unlink()
    assert "(No such file or directory); inputs must lie where" in str(cluster_fitness.unfitness(run))
    run = replace(run, witness=None, output=str(tmp_path / "out"))
    assert str(cluster_fitness.unfitness(run)).startswith("has no folder")
    run = replace(run, versions=("Python 2.7", *run.versions[1:]))
    assert str(cluster_fitness.unfitness(run)).endswith("where Python 2.7 is needed")


def test_a_folder_is_met_by_reading_and_writing(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("token")
    reason, place = cluster_fitness.meet(str(tmp_path / "p"), "token")
    assert reason is None
    assert Path(place).read_text() == "token"
    cluster_fitness.leave(place)
    cluster_fitness.leave(place)
    assert os.listdir(tmp_path) == ["p"]
    assert str(cluster_fitness.meet(str(tmp_path / "p"), "other")[0]).startswith("sees another folder")
    assert "can't read and write in" in str(cluster_fitness.meet(str(tmp_path / "q"), "token")[0])


def test_outcomes_of_a_worker_hold_no_secrets() -> None:
    task = Task(0, Input.of_word("https://me:key@h/a?sig=1"), "https://h/b?sig=2")

    def job(task: Task) -> Outcome:
        return Outcome.of(task, "written")

    outcome = there.on_worker(job, Run("t", nothing, "/here"), SimpleNamespace(address="tcp://a:1"))(task)
    assert (outcome.input, outcome.output, outcome.worker) == ("https://h/a?...", "https://h/b?...", "tcp://a:1")


def refusal(address: str, tasks: list[Task]) -> str:
    with pytest.raises(UsageError) as error, remote_workers(address, tasks, nothing):
        pass
    return str(error.value)


def test_a_cluster_is_refused_before_any_work(
    here: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = here.scheduler_address
    (tmp_path / "a").write_text("1,2")
    task = Task(0, Input("file", str(tmp_path / "a"), "a"), str(tmp_path / "new" / "out" / "a"))
    with remote_workers(address, [task], nothing) as executor:
        assert executor._run.output == str(tmp_path)
        assert executor._run.witness == Witness.of(str(tmp_path / "a"))
    assert os.listdir(tmp_path) == ["a"]
    meet = cluster_fitness.meet
    monkeypatch.setattr(cluster_fitness, "meet", lambda path, _: meet(path, "else"))
    assert "sees another folder" in refusal(address, [task])
    monkeypatch.setattr(cluster_fitness, "meet", lambda *_: (None, "/elsewhere"))
    assert "writes to another folder" in refusal(address, [task])
    assert " (and 1 more worker)" in refusal(address, [task])
    monkeypatch.setattr(cluster_fitness, "meet", refuse)
    assert "Permission denied" in refusal(address, [task])
    assert os.listdir(tmp_path) == ["a"]
    monkeypatch.setattr(cluster_fitness, "unfitness", lambda _: "has torch 1.0, where torch 2.13 is needed")
    assert f"--cluster {address}: the worker at tcp://" in refusal(address, [])
    assert "has torch 1.0, where torch 2.13 is needed" in refusal(address, [])
    monkeypatch.setattr(cluster_fitness, "versions", lambda: ("Python 3", "convtool 9"))
    assert " the scheduler has convtool " in refusal(address, [])
    monkeypatch.setattr(cluster.metadata, "version", missing)
    assert refusal(address, []).endswith(": the scheduler has no convtool; install convtool 9 there")
    monkeypatch.setattr("distributed.Client.run_on_scheduler", lambda *_: "9")
    assert refusal(address, []).endswith(" has no convtool (and 1 more worker); install convtool 9 there")


def missing(name: str) -> str:
    raise PackageNotFoundError(name)


def refuse(*_: object, **__: object) -> Any:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def test_what_can_not_be_done_here_either_is_left_to_fail_alone(
    here: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").touch()
    task = Task(0, Input("file", str(tmp_path / "a"), "a"), str(tmp_path / "b"))
    numbers = Task(1, Input("numbers", "1,2", "numbers"), "s3://b/out.csv")
    monkeypatch.setattr(cluster.Witness, "of", refuse)
    monkeypatch.setattr(cluster, "open", refuse, raising=False)
    with remote_workers(here.scheduler_address, [task, numbers], nothing) as executor:
        assert executor._run.witness is None
    assert cluster._output_folder([numbers]) is None
    monkeypatch.setattr("os.getcwd", lost)
    assert cluster._run(nothing).folder is None


def lost() -> str:
    raise FileNotFoundError


def test_a_worker_that_comes_unfit_is_tried_no_more_than_others(here: LocalCluster) -> None:
    with remote_workers(here.scheduler_address, [], nothing) as executor:
        executor._run = replace(executor._run, versions=("Python 2.7",))
        error = executor.submit(first, 1, []).exception()
    assert "where Python 2.7 is needed" in str(error)


def test_no_scheduler_and_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT", 0.3)
    address = "tcp://127.0.0.1:1"
    said = f"--cluster {address}: no scheduler answered within 0.3 seconds; is it running?"
    assert refusal(address, []) == said
    monkeypatch.setattr("distributed.Client", strange)
    assert refusal(address, []) == said.replace(";", " (no such protocol);")


def strange(*_: object, **__: object) -> None:
    raise ValueError("no such protocol\nat all")


def test_without_dask_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    assert refusal("tcp://127.0.0.1:1", []).endswith("pip install 'convtool[cluster]'")


# Schedulers and workers that go


def another(workers: int) -> LocalCluster:
    return LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=False, protocol="tcp://", dashboard_address="127.0.0.1:0"
    )


def test_where_the_scheduler_goes_the_work_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT", 120)  # the worker is on its way
    made = Cluster(tmp_path)
    made.add_worker()
    with remote_workers(made.address, [], nothing, at_once=1) as executor:
        ended: dict[int, Outcome] = {}
        killing = threading.Thread(target=lambda: (wait_for(lambda: ended), made.end()))
        killing.start()
        with pytest.raises(WorkLost, match=r"the scheduler at tcp://127.*: the connection to it was lost"):
            run_all(Act(), tasks_of("a", "wait", "b"), executor, ended=ended)
        killing.join()
        assert [outcome.input for outcome in ended.values()] == ["a"]
        with pytest.raises(WorkLost):
            run_all(Act(), tasks_of("a"), executor)


def test_where_all_workers_go_the_run_waits_no_longer_than_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_executor, "_TICK", 0.02)
    monkeypatch.setattr(cluster_executor, "_ALONE", 0.2)
    with another(1) as gone, remote_workers(gone.scheduler_address, [], nothing) as executor:
        run_all(Act(), tasks_of("a"), executor)
        gone.scale(0)
        with pytest.raises(WorkLost, match=r"it has had no worker for 0.2 seconds"):
            run_all(Act(), tasks_of("wait"), executor)
    connected = cluster._connected

    @contextmanager
    def in_haste(address: str) -> Iterator[Any]:
        with connected(address) as client:
            monkeypatch.setattr(cluster, "CONNECT", 0.3)
            yield client

    with another(0) as empty:
        monkeypatch.setattr(cluster, "_connected", in_haste)
        assert "the scheduler had no worker within 0.3 seconds" in refusal(empty.scheduler_address, [])


def test_a_call_that_kills_its_worker_is_tried_again_and_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    # Another takes its place in seconds, or longer where there is much to do.
    monkeypatch.setattr(cluster_executor, "_ALONE", 300)
    with dask.config.set({"distributed.scheduler.allowed-failures": 1}), local_workers(1, nothing) as executor:
        kills, waits = executor.submit(exec, "import os; os._exit(3)", {}), executor.submit(isinstance, 3, (int,))
        assert "its worker process died 2 times over, the last one at tcp://127" in str(kills.exception())
        assert waits.result() is True


class FakeClient:
    """A client of a scheduler that has gone, and nobody has noticed."""

    def __init__(self) -> None:
        self.status = "running"
        self.scheduler = self
        self.address = "tcp://a:1"
        self._handle_report_task = self

    def done(self) -> bool:
        return self.status == "closed"

    def nthreads(self) -> dict[str, int]:
        return {"tcp://a:2": 1}

    def subscribe_topic(self, topic: str, handler: object) -> None:
        """Nothing comes."""

    def submit(self, *_: object, **__: object) -> FakeClient:
        return self

    def add_done_callback(self, function: object) -> None:
        """It is never done."""

    def release(self) -> None:
        """It is let go."""


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> Iterator[ClusterExecutor]:
    """An executor that hears nothing by itself."""
    monkeypatch.setattr(cluster_executor, "_TICK", 0.01)
    made = ClusterExecutor(FakeClient(), Run("token", nothing))
    yield made
    made._lose("the test is over")
    made.shutdown()


def test_a_scheduler_that_takes_its_leave_is_noticed(idle: ClusterExecutor) -> None:
    calls = [idle.submit(first, 1, []) for _ in range(2)]
    calls[0].cancel()
    idle._client.status = "closed"
    assert str(calls[1].exception()) == "the scheduler at tcp://a:1: the connection to it was lost"
    idle._lose("it can't be lost twice")
    assert "twice" not in str(idle._lost)


def test_what_comes_twice_or_too_late_changes_nothing(idle: ClusterExecutor) -> None:
    future = idle.submit(first, 1, [])
    call = idle._out[1]
    future.cancel()
    for value in (3, 4):
        idle._finish(call, lambda value=value: future.set_result(value))  # type: ignore[misc]
    assert future.cancelled()
    idle._began((0.0, ("token", 1, [])))
    idle._heard((0.0, ("token", 1, b"")))
    idle._ended(call, idle._client)
    assert (call.begun, call.handed) == (0, 0)


def test_an_end_that_dask_knows_of_before_the_answer_is_heard_changes_nothing(idle: ClusterExecutor) -> None:
    future = idle.submit(first, 1, [])
    call = idle._out[1]
    call.remote = FakeClient()
    call.remote.status = "finished"
    idle._ended(call, call.remote)
    assert not future.done()
    assert idle._out == {1: call}


class Killed(FakeClient):
    """A Dask future of a call that has failed on a worker that lacks convtool, while the run was ended."""

    status = "error"

    def __init__(self, executor: ClusterExecutor) -> None:
        super().__init__()
        self.status = "error"
        self._executor = executor

    def exception(self) -> Exception:
        self._executor._out.clear()
        return ModuleNotFoundError("No module named 'convtool'")


def test_a_run_that_was_ended_hands_nothing_out_again(idle: ClusterExecutor) -> None:
    idle.submit(first, 1, [])
    call = idle._out[1]
    call.remote = Killed(idle)
    idle._ended(call, call.remote)
    assert call.handed == 0
