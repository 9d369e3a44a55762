"""Many inputs: whatever becomes of one, the others are done, and all are told in order."""

from __future__ import annotations

import errno
import io
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from convtool.errors import CheckFailed, InputError
from convtool.files import remote, stores
from convtool.jobs import backend
from convtool.runs import local as workers
from convtool.runs import plan
from convtool.runs.fork_server import ForkServer
from convtool.runs.local import LocalExecutor, NoWorkers, WorkerDied, cores
from convtool.runs.outcome import Outcome
from convtool.runs.plan import Task
from convtool.runs.run import perform, perform_group, run_all
from convtool.signals.inputs import Input


@dataclass(frozen=True)
class Act:
    """A job that does what its input says."""

    folder: str = ""

    def __call__(self, task: Task) -> Outcome:
        match task.input.value:
            case "abort":
                os.abort()
            case "exit":
                os._exit(7)
            case "refuse":
                raise InputError("it is no signal")
            case "check":
                raise CheckFailed("it clips")
            case "fault":
                raise ValueError("at\x1b fault\nsecond line")
            case "memory":
                raise MemoryError
            case "memory for it":
                raise MemoryError("2 GB for it")
            case "pipe":
                raise BrokenPipeError
            case "slow":
                time.sleep(0.2)
            case "held":
                while not os.path.exists(os.path.join(self.folder, "released")):
                    time.sleep(0.005)
            case "touch":
                Path(self.folder, str(task.index)).touch()
        return Outcome(task.input.name, task.output, "written", samples=task.index)


SENT: list[str] = []
"""The names of those that were pickled in this process."""


@dataclass(frozen=True)
class Named:
    """What tells when it is sent somewhere."""

    name: str

    def __reduce__(self) -> tuple[Any, ...]:
        SENT.append(self.name)
        return Named, (self.name,)


@dataclass
class Counter:
    """What may change between calls."""

    value: int


def name_of(thing: Named | Counter, number: Any) -> str:
    return f"{thing} {number}"


@dataclass(frozen=True)
class ActTogether(Act):
    """The same, on several inputs at a time, of which it tells which process they went through."""

    together: int = 2
    meeting: bool = False

    def shared(self) -> Act:
        return ActTogether(self.folder, self.together, meeting=True)

    def __call__(self, task: Task) -> Outcome:
        outcome = super().__call__(task)
        outcome.remarks = [f"{os.getpid()}{' shared' * self.meeting}"]
        return outcome


def nothing() -> None:
    """No setup."""


def local(workers: int) -> LocalExecutor:
    return LocalExecutor(workers, preload=["convtool.jobs.preload"], setup=nothing)


def tasks_of(*words: str, skip: int | None = None) -> list[Task]:
    return [Task(i, Input("file", word, word), f"out/{word}", i == skip) for i, word in enumerate(words)]


@pytest.fixture(params=["here", "threads", "processes"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor | None]:
    if request.param == "here":
        yield None
    else:
        with ThreadPoolExecutor(2) if request.param == "threads" else local(2) as made:
            yield made


@pytest.mark.parametrize(
    ("word", "code", "error"),
    [
        ("refuse", 1, "it is no signal"),
        ("check", 3, "it clips"),
        ("fault", 1, r"unexpected ValueError: at\x1b fault (--debug shows where)"),
        ("memory", 1, "out of memory"),
        ("memory for it", 1, "out of memory: 2 GB for it"),
    ],
)
def test_a_failure_is_an_outcome(word: str, code: int, error: str) -> None:
    outcome = perform(Act(), *tasks_of(word))
    assert (outcome.status, outcome.exit_code, outcome.error) == ("failed", code, error)
    assert (outcome.input, outcome.output) == (word, f"out/{word}")
    assert "raise" in str(outcome.trace)


def test_a_closed_pipe_is_for_the_caller() -> None:
    with pytest.raises(BrokenPipeError):
        perform(Act(), *tasks_of("pipe"))


def test_order_is_that_of_the_inputs(executor: Executor | None) -> None:
    told: list[Outcome] = []
    outcomes = run_all(Act(), tasks_of("slow", "refuse", "c", "d", "e", skip=3), executor, done=told.append)
    assert told == outcomes
    assert [(o.input, o.status) for o in outcomes] == [
        ("slow", "written"),
        ("refuse", "failed"),
        ("c", "written"),
        ("d", "skipped"),
        ("e", "written"),
    ]
    assert [o.samples for o in outcomes] == [0, None, 2, None, 4]


def test_fail_fast_leaves_out_what_follows(executor: Executor | None, tmp_path: Path) -> None:
    words = ["touch", "refuse", "held", "held", *["touch"] * 4]
    try:
        outcomes = run_all(Act(str(tmp_path)), tasks_of(*words), executor, fail_fast=True)
    finally:
        (tmp_path / "released").touch()
    assert [o.status for o in outcomes] == ["written", "failed"]
    if executor is not None:
        assert executor.submit(abs, -1).result() == 1  # all that was queued before has had its turn
    assert sorted(os.listdir(tmp_path)) == ["0", "released"]


@pytest.mark.parametrize("workers", [1, 3])
def test_a_worker_that_dies_fails_its_input_alone_and_is_replaced(workers: int) -> None:
    with local(workers) as executor:
        outcomes = run_all(Act(), tasks_of("a", "abort", "b", "exit", "c", "abort", "d"), executor)
    assert [o.status for o in outcomes] == ["written", "failed"] * 3 + ["written"]
    assert [o.error for o in outcomes if o.error] == [
        "its worker process was killed (SIGABRT); the file may be damaged, or memory ran out",
        "its worker process ended with exit code 7",
        "its worker process was killed (SIGABRT); the file may be damaged, or memory ran out",
    ]
    assert {o.exit_code for o in outcomes if o.error} == {1}


def test_what_does_not_change_goes_to_a_worker_once() -> None:
    SENT.clear()
    a, b, counter = Named("a"), Named("b"), Counter(0)
    with local(1) as executor:
        found = [executor.submit(name_of, thing, n).result() for n, thing in enumerate([a, a, b, a, a])]
        with pytest.raises((AttributeError, TypeError)):
            executor.submit(name_of, a, lambda: None).result()
        found += [executor.submit(name_of, a, 5).result()]
        for number in (6, 7):
            counter.value = number
            found += [executor.submit(name_of, counter, 0).result()]
    assert found == [
        *(f"{thing} {n}" for n, thing in enumerate([a, a, b, a, a, a])),
        *(f"{Counter(number)} 0" for number in (6, 7)),
    ]
    assert SENT == ["a", "b", "a", "a"]


def test_a_call_that_fails_outside_a_job_is_told_with_its_kind() -> None:
    with local(1) as executor:
        assert executor.submit(pow, 2, 10).result() == 1024
        with pytest.raises(RuntimeError, match="ZeroDivisionError: "):
            executor.submit(divmod, 1, 0).result()
        with pytest.raises(AttributeError, match="local object"):  # can't be pickled
            executor.submit(lambda: None).result()
        with pytest.raises(TypeError, match="positional"):
            executor.submit(int, "7", base=8)
        assert executor.submit(int, "7").result() == 7


def test_workers_are_in_the_folder_of_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        with local(1) as executor:
            assert executor.submit(os.getcwd).result() == str(tmp_path / name)


def refuse(*_: object, **__: object) -> None:
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def test_where_fewer_workers_can_be_started_they_do_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    with local(3) as executor:
        begin = executor._start
        monkeypatch.setattr(executor, "_start", lambda number: begin(number) if number == 1 else refuse())
        calls = [executor.submit(os.getpid) for _ in range(8)]
        assert len({call.result() for call in calls}) == 1
        assert executor.lacking == "Resource temporarily unavailable"


@pytest.mark.parametrize("what", ["fork", "os.posix_spawn", "threading.Thread.start", "os.pipe"])
def test_where_no_worker_can_be_started_the_work_is_done_here(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if what == "fork":
        monkeypatch.setattr(ForkServer, "fork", refuse)
    else:
        monkeypatch.setattr(workers, "_servers", {})
        monkeypatch.setattr("convtool.runs.fork_server.Pipe" if what == "os.pipe" else what, refuse)
    with local(2) as executor:
        outcomes = run_all(ActTogether(), tasks_of("a", "refuse", "c", "d"), executor, workers=2)
        assert executor.lacking == "Resource temporarily unavailable"
        assert isinstance(executor.submit(int, "7").exception(), NoWorkers)
    assert [outcome.status for outcome in outcomes] == ["written", "failed", "written", "written"]
    assert {remark for outcome in outcomes for remark in outcome.remarks} == {str(os.getpid())}


def test_what_waits_is_cancelled_where_no_worker_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, cancelled = threading.Event(), threading.Event()

    def start(_: int) -> None:
        asked.set()
        cancelled.wait(60)
        refuse()

    with local(1) as executor:
        monkeypatch.setattr(executor, "_start", start)
        calls = [executor.submit(os.getpid) for _ in range(2)]
        assert asked.wait(60)
        assert calls[1].cancel()
        cancelled.set()
        assert isinstance(calls[0].exception(), NoWorkers)


def fail() -> None:
    raise ImportError("there is no room for it")


def test_a_worker_that_can_not_be_set_up_says_why() -> None:
    with LocalExecutor(1, preload=["convtool.jobs.preload"], setup=fail) as executor:
        assert str(executor.submit(os.getpid).exception()) == "ImportError: there is no room for it"


@dataclass(frozen=True)
class Waits(ActTogether):
    """A job whose last input never ends, and whose others tell that they did."""

    def shared(self) -> Act:
        return self

    def __call__(self, task: Task) -> Outcome:
        if task.input.value == "wait":
            time.sleep(60)
        return super().__call__(task)


def test_what_a_group_has_done_is_known_before_its_end() -> None:
    ended: dict[int, Outcome] = {}
    executor = local(1)
    running = threading.Thread(
        target=lambda: run_all(Waits(), tasks_of("a", "refuse", "wait"), executor, workers=1, ended=ended)
    )
    running.start()
    while len(ended) < 2:
        time.sleep(0.001)
    assert {index: outcome.status for index, outcome in ended.items()} == {0: "written", 1: "failed"}
    assert running.is_alive()
    executor.shutdown(cancel_futures=True)
    running.join()


def test_workers_leave_ctrl_c_to_the_parent_and_end_at_sigterm() -> None:
    with local(1) as executor:
        worker = executor.submit(os.getpid).result()
        os.kill(worker, signal.SIGINT)
        assert executor.submit(os.getpid).result() == worker
        os.kill(worker, signal.SIGTERM)
        with pytest.raises(WorkerDied, match="exit code 143"):
            executor.submit(time.sleep, 60).result()


class Interrupted(io.BytesIO):
    """A file whose reader is told to end while it reads, in a callback of a C library."""

    def readinto(self, buffer: Any) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return super().readinto(buffer)


def read(file: Any) -> int:
    return len(soundfile.read(file)[0])


def test_a_worker_that_is_told_to_end_in_a_callback_does_not_go_on() -> None:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(1000), 8000, format="FLAC")
    with local(1) as executor:
        assert executor.submit(read, io.BytesIO(file.getvalue())).result() == 1000
        with pytest.raises(WorkerDied, match="exit code 143"):
            executor.submit(read, Interrupted(file.getvalue())).result()


def test_what_else_can_not_be_raised_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(sys, "__unraisablehook__", told.append)
    unraisable: Any = SimpleNamespace(exc_value=ValueError("odd"))
    workers._unraisable(unraisable)
    assert told == [unraisable]


def test_shutdown_at_once_cancels_what_waits() -> None:
    executor = local(1)
    worker = executor.submit(os.getpid).result()
    running, waiting = executor.submit(time.sleep, 60), executor.submit(os.getpid)
    while not running.running():
        time.sleep(0.001)
    executor.shutdown(cancel_futures=True)
    assert waiting.cancelled()
    assert isinstance(running.exception(), WorkerDied)
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def test_a_worker_that_is_just_being_started_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    executor = local(1)
    start = executor._start
    begun, stopped = threading.Event(), threading.Event()

    def started(number: int) -> Any:
        begun.set()
        assert stopped.wait(60)
        return start(number)

    monkeypatch.setattr(executor, "_start", started)
    running = executor.submit(time.sleep, 60)
    assert begun.wait(60)
    executor.shutdown(wait=False, cancel_futures=True)
    stopped.set()
    assert str(running.exception()) == "the work was stopped"


def test_a_call_that_is_cancelled_while_its_worker_starts_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, cancelled = threading.Event(), threading.Event()
    with local(1) as executor:
        start = executor._start

        def started(number: int) -> Any:
            begun.set()
            assert cancelled.wait(60)
            return start(number)

        monkeypatch.setattr(executor, "_start", started)
        running = executor.submit(time.sleep, 60)
        assert begun.wait(60)
        assert running.cancel()
        cancelled.set()
        assert executor.submit(int, "7").result() == 7


def stubborn(path: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open(path, "w").close()
    time.sleep(60)


def test_a_worker_that_will_not_end_is_made_to(tmp_path: Path) -> None:
    executor = local(1)
    running = executor.submit(stubborn, str(tmp_path / "begun"))
    while not (tmp_path / "begun").exists():
        time.sleep(0.001)
    executor.shutdown(cancel_futures=True)
    assert "SIGKILL" in str(running.exception())


def test_shutdown_at_once_after_one_that_waits() -> None:
    executor = local(2)
    running = executor.submit(time.sleep, 60)
    while not running.running():
        time.sleep(0.001)
    executor.shutdown(wait=False)
    executor.shutdown(cancel_futures=True)
    assert isinstance(running.exception(), WorkerDied)


def test_cores_are_those_that_this_process_may_use() -> None:
    assert cores() == len(os.sched_getaffinity(0))


def test_report_line() -> None:
    outcome = Outcome(
        "a.wav", os.fsdecode(b"caf\xe9.wav"), "written", None, 2, 100, 44100, 0.5, 3, -1.5, 1, ["n"], ["r"], "t"
    )
    record = json.loads(outcome.as_json())
    assert record == {
        "input": "a.wav",
        "output": os.fsdecode(b"caf\xe9.wav"),
        "status": "written",
        "error": None,
        "channels": 2,
        "samples": 100,
        "sample_rate": 44100,
        "seconds": 0.5,
        "clipped": 3,
        "peak": -1.5,
    }
    assert Outcome("café.wav", None, "planned").as_json().startswith('{"input": "café.wav", "output": null')


def test_inputs_that_go_better_together_are_shared_out_in_groups() -> None:
    with local(2) as executor:
        outcomes = run_all(ActTogether(), tasks_of(*"abcdefg", "check", skip=2), executor, workers=2)
    assert [outcome.status for outcome in outcomes] == [*["written"] * 2, "skipped", *["written"] * 4, "failed"]
    assert [outcome.samples for outcome in outcomes] == [0, 1, None, 3, 4, 5, 6, None]
    told = [remark for outcome in outcomes for remark in outcome.remarks]
    assert all(remark.endswith(" shared") for remark in told)
    assert told == [told[0]] * 4 + [told[4]] * 2


@pytest.mark.parametrize("make", [ThreadPoolExecutor, local])
def test_groups_are_no_larger_than_what_keeps_a_process_busy(make: Any) -> None:
    with make(1) as executor:
        outcomes = run_all(ActTogether(), tasks_of(*["a"] * 33), executor, workers=1)
    assert [outcome.samples for outcome in outcomes] == list(range(33))
    assert ["shared" in outcome.remarks[0] for outcome in outcomes] == [True] * 32 + [False]


class Elsewhere(ThreadPoolExecutor):
    """An executor whose workers take a while to be reached; `sizes` of the groups that it was given."""

    elsewhere = True

    def __init__(self) -> None:
        super().__init__(1)
        self.sizes: list[int] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.sizes.append(len(args[1]))
        return super().submit(fn, *args, **kwargs)


def test_small_inputs_go_elsewhere_several_at_a_time_and_large_ones_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sizes(tasks: list[Task], workers: int, *, fail_fast: bool = False) -> list[int]:
        with Elsewhere() as executor:
            outcomes = run_all(Act(), tasks, executor, workers=workers, fail_fast=fail_fast)
        assert [outcome.samples for outcome in outcomes] == list(range(len(tasks)))
        return executor.sizes

    assert sizes(tasks_of(*["a"] * 16), 2) == [4, 3, 3, 2, 1, 1, 1, 1]
    assert sizes(tasks_of(*["a"] * 100), 1)[:4] == [32, 32, 18, 9]
    assert sizes(tasks_of(*["a"] * 5), 1, fail_fast=True) == [1] * 5
    monkeypatch.setattr("convtool.runs.run._LOAD_BYTES", 10)
    (tmp_path / "a").write_bytes(bytes(6))
    monkeypatch.chdir(tmp_path)
    assert sizes(tasks_of(*["a"] * 16), 2) == [2] * 6 + [1] * 4
    (tmp_path / "a").write_bytes(bytes(10))
    numbers = [Task(index, Input("numbers", "1", "numbers"), None) for index in range(16)]
    assert sizes(tasks_of(*["a"] * 16), 2) == [1] * 16
    assert sizes([replace(each, output="a") for each in numbers], 2) == [4, 3, 3, 2, 1, 1, 1, 1]


def test_with_fail_fast_no_group_goes_on_behind_a_failure() -> None:
    with local(1) as executor:
        outcomes = run_all(ActTogether(), tasks_of("a", "refuse", "b"), executor, fail_fast=True)
    assert [outcome.status for outcome in outcomes] == ["written", "failed"]
    assert not any("shared" in remark for outcome in outcomes for remark in outcome.remarks)


def test_of_a_group_only_the_one_that_kills_its_worker_fails() -> None:
    with local(2) as executor:
        outcomes = run_all(ActTogether(), tasks_of("a", "abort", "b", "c", "d", "refuse"), executor, workers=2)
    assert [outcome.status for outcome in outcomes] == ["written", "failed", *["written"] * 3, "failed"]
    assert "SIGABRT" in str(outcomes[1].error)
    assert outcomes[5].error == "it is no signal"


# A working folder that is gone


def gone(*_: object) -> str:
    raise FileNotFoundError(2, "No such file or directory")


def test_a_worker_starts_without_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getcwd", gone)
    assert workers._folder() is None
    ours, theirs = multiprocessing.Pipe()
    ours.close()
    handler = signal.getsignal(signal.SIGTERM)
    workers._work(lambda: None, None, theirs)
    signal.signal(signal.SIGTERM, handler)


def test_a_path_from_a_folder_that_is_gone_stands_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.realpath", gone)
    assert plan._real("a/b.wav") == "a/b.wav"


def test_torch_is_loaded_from_elsewhere_where_the_folder_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    went: list[str] = []
    monkeypatch.setattr("os.getcwd", gone)
    monkeypatch.setattr("os.chdir", went.append)
    backend._leave_a_lost_folder()
    assert went == ["/proc/self/task"]


@dataclass(frozen=True)
class Waiting:
    """A job that waits for a store at its beginning, and counts those that are worked on at a time."""

    away: threading.Barrier
    working: list[int]

    def __call__(self, task: Task) -> Outcome:
        stores.attempt("memory://b", self.away.wait, InputError)
        self.working.append(1)
        time.sleep(0.001)
        most = sum(self.working)
        self.working.append(-1)
        if task.index == 3:
            raise InputError("its own fault")
        return Outcome(task.input.name, task.output, "written", samples=most)


def test_while_some_inputs_wait_for_a_store_one_is_worked_on() -> None:
    tasks = [Task(number, Input("file", f"memory://b/{number}", ""), None) for number in range(remote.AHEAD)]
    told: list[int] = []
    job = Waiting(threading.Barrier(remote.AHEAD, timeout=30), [])
    outcomes = perform_group(job, tasks, lambda pair: told.append(pair[0]))
    assert [outcome.samples for outcome in outcomes] == [1, 1, 1, None, *[1] * (remote.AHEAD - 4)]
    assert outcomes[3].error == "its own fault"
    assert sorted(told) == list(range(remote.AHEAD))


@dataclass(frozen=True)
class Putting:
    """A job that finds its outputs' places taken, unless it may replace what is there."""

    may_replace: bool = False

    def replacing(self) -> Putting:
        return Putting(may_replace=True)

    def __call__(self, task: Task) -> Outcome:
        return Outcome(task.input.name, task.output, "written" if self.may_replace else "failed")


class Dying(Executor):
    """Workers of which one tells of the first task of its group, and is lost when it has written the second."""

    def submit_telling(self, told: Any, fn: Any, job: Any, tasks: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if len(tasks) > 1:
            told((tasks[0].index, Outcome(tasks[0].input.name, None, "written", samples=5)))
            future.set_exception(WorkerDied("killed"))
        else:
            future.set_result(fn(job, tasks))
        return future


def test_what_a_lost_worker_has_done_is_not_done_again() -> None:
    tasks = [Task(number, Input("file", f"memory://b/{number}", ""), f"memory://o/{number}") for number in range(2)]
    outcomes = run_all(Putting(), tasks, Dying())
    assert [(outcome.status, outcome.samples) for outcome in outcomes] == [("written", 5), ("written", None)]


def test_what_a_lost_worker_had_not_begun_replaces_nothing() -> None:
    names = [f"{number}.wav" for number in range(8)]
    tasks = [Task(number, Input("file", name, name), f"o/{name}") for number, name in enumerate(names)]
    outcomes = run_all(Putting(), tasks, Dying())
    # In groups of 4, 2, 1 and 1: the first of a group was told of, and the second was begun.
    written = [outcome.status == "written" for outcome in outcomes]
    assert written == [True, True, False, False, True, True, False, False]
