"""How the program behaves as a process: exit codes, signals, pipes, terminals, and its words when things go wrong."""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from convtool import __version__
from convtool.cli import main
from convtool.errors import Terminated

Convtool = Callable[..., Any]
EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAM = str(Path(sys.executable).with_name("convtool"))
SOUND = np.random.default_rng(0).uniform(-0.5, 0.5, (4000, 1))


def wait_until(condition: Callable[[], Any]) -> Any:
    """What `condition` gives once that is true; it must become true."""
    for _ in range(3000):
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError("this never came")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts the program as the leader of a group of its own."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*arguments: object, **options: Any) -> subprocess.Popen[bytes]:
        command = [PROGRAM, *map(str, arguments)]
        options = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, "cwd": tmp_path} | options
        started.append(subprocess.Popen(command, start_new_session=True, **options))
        return started[-1]

    yield run
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def writer_of(fifo: Path) -> int:
    """A descriptor that writes to `fifo`, once somebody reads it."""

    def opened() -> int | None:
        with contextlib.suppress(OSError):
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        return None

    descriptor: int = wait_until(opened)
    return descriptor


def group_is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def children(process: subprocess.Popen[bytes]) -> list[str]:
    lists = Path(f"/proc/{process.pid}/task").glob("*/children")
    with contextlib.suppress(OSError):
        return [child for path in lists for child in path.read_text().split()]
    return []


def open_outputs(process: subprocess.Popen[bytes], folder: Path) -> list[str]:
    """The unnamed files below `folder` that `process` has open."""
    names = []
    for link in Path(f"/proc/{process.pid}/fd").glob("*"):
        with contextlib.suppress(OSError):
            names.append(os.readlink(link))
    return [name for name in names if name.startswith(str(folder)) and name.endswith("(deleted)")]


@contextlib.contextmanager
def refusing(folder: Path) -> Iterator[None]:
    """`folder` can't be listed, not even by root."""
    scandir = os.scandir

    def refuse(path: str) -> Any:
        if os.fspath(path) == os.fspath(folder):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scandir(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        yield


# Exit codes and what is said


def test_exit_codes(program: Convtool, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", [0.5], 8000)
    table = [
        (0, ["4,1,2,5", "-k", "1,2,-1"], "4,9,0,8,8,-5\n", ""),
        (1, ["none.wav", "-k", "1"], "", "Error: none.wav: no such file\n"),
        (2, ["x.wav", "-k", "1", "-o", "x.wav"], "", "the output x.wav is the input x.wav; write elsewhere\n"),
        (3, ["x.wav", "-k", "4", "-o", "y.wav", "--fail-on-clip"], "", "was given; nothing was written\n"),
    ]
    with ThreadPoolExecutor(4) as together:
        runs = list(together.map(lambda row: program("convolve", *row[1]), table))
    for run, (code, _, out, err) in zip(runs, table, strict=True):
        assert (run.code, run.out) == (code, out)
        assert run.err.endswith(err)
        assert run.err.count("\n") == {0: 0, 2: 4}.get(code, 1)
    assert os.listdir(tmp_path) == ["x.wav"]


def test_as_a_module(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "convtool"]
    done = subprocess.run([*command, "--version"], capture_output=True, check=True, cwd=tmp_path)
    assert done.stdout.decode() == f"convtool, version {__version__}\n"
    done = subprocess.run([*command, "--nothing"], capture_output=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(b"Usage: convtool [OPTIONS] COMMAND")


def test_completion(program: Convtool) -> None:
    run = program(_CONVTOOL_COMPLETE="bash_source")
    assert (run.code, run.err) == (0, "")
    assert "complete -o nosort -F _convtool_completion convtool" in run.out


@pytest.mark.parametrize("before", [True, False])
def test_talk_options_before_and_after_the_command(before: bool, convtool: Convtool, tmp_path: Path) -> None:
    def run(option: str, *arguments: str) -> Any:
        return convtool(*([option, "convolve", *arguments] if before else ["convolve", *arguments, option]))

    soundfile.write(tmp_path / "x.wav", [0.9], 8000)
    loud = [str(tmp_path / "x.wav"), "-k", "2", "--overwrite", "-o", str(tmp_path / "y.wav")]
    assert run("-q", *loud).err == ""
    assert run("-q", "none.wav", "-k", "1").err == "Error: none.wav: no such file\n"
    assert "1 thread" in run("-v", "4,1", "-k", "1", "--threads=1").err
    missing = run("--debug", "none.wav", "-k", "1").err
    assert missing.startswith("Traceback (most recent call last):\n")
    assert missing.endswith("\nError: none.wav: no such file\n")
    assert "Traceback" in run("--debug", "4,1", "-k", "none.wav").err
    assert "Traceback" in run("--debug", "4,1", "-k", "1", "--padding-mode", "reflect").err
    assert "Traceback" not in run("--debug", "4,1", "-k", "1", "--mode", "nothing").err


@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_a_fault_of_the_program_is_one_line(
    debug: list[str], convtool: Convtool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("for a\x07 test\nof two lines")

    monkeypatch.setattr("convtool.cli.convolve.run_job", fail)
    run = convtool(*debug, "convolve", "4,1", "-k", "1")
    line = "Error: unexpected ZeroDivisionError: for a\\x07 test (--debug shows where)\n"
    assert run.code == 1
    assert run.err == line if not debug else run.err.startswith("Traceback") and run.err.endswith(line)


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt, 130), (EOFError, 130), (Terminated, 143), (BrokenPipeError, 141)]
)
@pytest.mark.parametrize("where", ["cli.convolve.run_job", "cli.main.LazyGroup.parse_args"])
def test_stopped(
    where: str, error: type[BaseException], code: int, convtool: Convtool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a process that has SIGPIPE blocked and outlives it."""

    def stop(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(f"convtool.{where}", stop)
    monkeypatch.setattr(os, "kill", lambda *_: None)
    run = convtool("convolve", "4,1", "-k", "1")
    assert (run.code, run.out, run.err.strip()) == (code, "", "")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"a\x1b[31mb.wav", r"a\x1b[31mb.wav"),
        (b"a\nError: b.wav", r"a\nError: b.wav"),
        (b"caf\xe9.wav", r"caf\xe9.wav"),
        ("日本.wav".encode(), "日本.wav"),
        ("a\u202eb.wav".encode(), r"a\u202eb.wav"),
        (b"[red]a.wav", "[red]a.wav"),
        (b"%s{stem}.wav", "%s{stem}.wav"),
    ],
)
def test_names_are_shown_so_that_they_drive_nothing(
    name: bytes, shown: str, convtool: Convtool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    word = os.fsdecode(name)
    assert convtool("convolve", word, "-k", "1").err == f"Error: {shown}: no such file\n"
    assert convtool("convolve", "1", "-k", word).err == f"Error: kernel {shown}: no such file\n"
    soundfile.write(os.fsencode(word), SOUND, 8000)
    run = convtool("convolve", word, "-k", "1", "-o", "wet/", "--dry-run")
    assert run.out == f"{shown} -> wet/{shown}\n"
    assert convtool("convolve", word, "-k", "1", "-o", "wet/").code == 0
    assert os.listdir(b"wet") == [name]
    assert f"{shown} exists; give" in convtool("convolve", word, "-k", "1", "-o", "wet/").err


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.wav", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "a Git LFS pointer"),
        (
            "x.flac",
            b"<!DOCTYPE html>\n<html>Not found",
            "an HTML or XML page: download the file itself; expected",
        ),
        ("x.wav", b"This is a text\nof two lines\n", "the content is no WAV, and as text line 2"),
        ("x.mp3", b"\x89PNG\r\n\x1a\n\0\0", "can't be decoded as PNG: "),
        ("x.wav", b"PK\3\4abcdef", "the zip archive is damaged"),
        ("x.wav", b"", "the file is empty: expected a signal"),
        ("x.wav", b"RIFF\x24\0\0\0WAVEfmt ", "can't be decoded as WAV"),
        ("x.ogg", b"OggS" + bytes(100), "Ogg of another codec"),
        ("x.csv", b"\0\1\2\3", "the content is binary"),
        ("x.csv", b"1,2\n3\n", "line 2 has 1 column; expected 2"),
        ("x.csv", b"1,NA\n", "line 1, column 2: 'NA' is not a number"),
        ("x.npy", b"\x93NUMPY\1\0\x10\0", "the NPY header is damaged"),
    ],
)
def test_files_that_are_no_signals(name: str, content: bytes, message: str, convtool: Convtool, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    run = convtool("convolve", tmp_path / name, "-k", "1", "-o", tmp_path / "y.wav", "--sample-rate", 8000)
    assert (run.code, run.out) == (1, "")
    assert run.err.startswith(f"Error: {tmp_path / name}: ")
    assert message in run.err
    assert run.err.count("\n") == 1
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("command", ["convolve -k 1", "pad-batch"])
def test_one_input_that_can_not_be_opened_stops_no_other(command: str, convtool: Convtool, tmp_path: Path) -> None:
    """A sub-folder that can't be read, and a line with a NUL."""
    closed = tmp_path / "in" / "closed"
    for name in ("a.wav", "z.wav"):
        closed.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "in" / name, SOUND, 8000)
    (tmp_path / "list").write_bytes(b"%s\nb\0c.wav\n" % os.fsencode(tmp_path / "in" / "z.wav"))
    words = [*command.split(), tmp_path / "in", "--input-list", tmp_path / "list", "--report", tmp_path / "report"]

    def run(*more: object) -> tuple[Any, list[tuple[str, str, Any]]]:
        with refusing(closed):
            done = convtool(*words, *more)
        lines = [json.loads(line) for line in (tmp_path / "report").read_text().splitlines()]
        return done, [(Path(each["input"]).name, each["status"], each["error"]) for each in lines]

    folder = ("closed", "failed", "the folder can't be read: Permission denied")
    line = ("b\0c.wav", "failed", "no path holds a NUL byte; lists separated by NUL are read with -0")
    to = ["-o", f"{tmp_path}/out/{'{index}-{name}' * (command != 'pad-batch')}"]
    for status, more in (("planned", [*to, "--dry-run"]), ("written", [*to, "--overwrite"])):
        done, told = run(*more)
        assert done.code == 1
        assert told == [("a.wav", status, None), folder, ("z.wav", status, None), ("z.wav", status, None), line]
        assert f"Error: {closed}: {folder[2]}\n" in done.err
        assert "b\\x00c.wav: no path holds" in done.err


# Standard streams


def test_streams_that_are_closed(tmp_path: Path) -> None:
    def run(redirection: str, *arguments: str) -> tuple[int, str, str]:
        command = ["sh", "-c", f'"$0" "$@" {redirection}', PROGRAM, *arguments]
        done = subprocess.run(command, capture_output=True, cwd=tmp_path, stdin=subprocess.DEVNULL, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    full = "the disk is full; what it has taken is incomplete"
    runs = [
        ("<&-", "convolve -k 1", 1, "Error: standard input: can't be read: Bad file descriptor\n"),
        ("", "convolve -k 1", 1, "Error: standard input: the file is empty: expected a signal\n"),
        ("2>&-", "convolve none.wav -k 1", 1, ""),
        (">&-", "--version", 0, ""),
        (">&-", "convolve 4,1 -k 1", 1, "Error: '4,1': standard output: can't be written: Bad file descriptor\n"),
        (">&- 2>&-", "convolve 4,1 -k 1 -o y.csv", 0, ""),
        (">/dev/full", "convolve 4,1 -k 1", 1, f"Error: '4,1': standard output: {full}\n"),
    ]
    np.save(tmp_path / "w.npy", np.ones(3))
    printing = ["--version", "--help", "convolve --help", "completion bash", "convolve w.npy -k 1 -o w.csv --dry-run"]
    printing += [
        f"inspect-weights w.npy {more}" for more in ("--json", "--stats", "w.npy --check --stats", "--filter 0")
    ]
    runs += [(">/dev/full", words, 1, "Error: standard output: the disk is full\n") for words in printing]
    with ThreadPoolExecutor(4) as together:
        found = list(together.map(lambda words: run(words[0], *words[1].split()), runs))
    assert found == [(code, "", error) for _, _, code, error in runs]
    assert (tmp_path / "y.csv").read_text() == "4,1\n"


def test_a_text_goes_through_a_row_of_commands_as_it_comes_in(start: Any) -> None:
    models = ("lstm", EXAMPLES / "amp.json"), ("wavenet", EXAMPLES / "preamp.nam")
    commands = [("local-var", "-w", 2, "--stat", "mean"), *models, ("rescale", "--range", "0:1", "--method", "tanh")]
    read, write = os.pipe()
    rows: list[Any] = []
    for command in commands:
        heard = rows[-1].stdout if rows else read
        rows.append(start(*command, stdin=heard, stdout=subprocess.PIPE, bufsize=0))
    os.close(read)
    heard = rows[-1].stdout
    os.write(write, b"1\n2\n3.5\n")
    found = [heard.readline(), heard.readline()]  # while more may come
    for number in range(4, 8):
        os.write(write, b"%d\n" % number)
        found.append(heard.readline())
    os.close(write)
    for row in reversed(rows):
        assert (row.communicate(), row.returncode) == ((b"", b""), 0)
    assert len(found) == 6
    assert all(0 < float(line) < 1 for line in found)


@pytest.mark.parametrize("arguments", ["--help", "convolve --help", "convolve x.npy -k 1", "convolve 1 -k 1 --dry-run"])
def test_a_closed_pipe_ends_the_program_as_it_ends_cat(arguments: str, tmp_path: Path, start: Any) -> None:
    np.save(tmp_path / "x.npy", SOUND[:, 0])
    read, write = os.pipe()
    os.close(read)
    process = start(*arguments.split(), stdout=write)
    os.close(write)
    assert process.wait() == -signal.SIGPIPE
    assert process.stderr.read() == b""


def test_nobody_hears_the_last_words(tmp_path: Path, start: Any) -> None:
    read, write = os.pipe()
    os.close(read)
    process = start("convolve", "none.wav", "-k", "1", stderr=write)
    os.close(write)
    assert process.wait() in (1, -signal.SIGPIPE)


# Two programs at a time


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_output_that_appears_meanwhile(overwrite: bool, tmp_path: Path, start: Any) -> None:
    """The input is still being read when something else puts files where its output, report and picture are to go."""
    soundfile.write(tmp_path / "x.wav", SOUND, 8000)
    os.mkfifo(tmp_path / "fifo.wav")
    outputs = ["y.wav", "report.jsonl", "picture.svg"]
    words = ["fifo.wav", "-k", "1", "-o", "y.wav", "--report", "report.jsonl", "--plot", "picture.svg"]
    process = start("convolve", *words, *["--overwrite"] * overwrite)
    pipe = writer_of(tmp_path / "fifo.wav")
    for name in outputs:
        (tmp_path / name).write_bytes(b"of another")
    os.set_blocking(pipe, True)
    os.write(pipe, (tmp_path / "x.wav").read_bytes())
    os.close(pipe)
    assert process.wait() == (0 if overwrite else 1)
    assert [(tmp_path / name).read_bytes() == b"of another" for name in outputs] == [not overwrite] * 3
    assert process.stderr.read().count(b" exists since the work on it began") == (0 if overwrite else 2)
    assert sorted(os.listdir(tmp_path)) == sorted([*outputs, "fifo.wav", "x.wav"])


# Signals


def test_stopped_in_the_middle_of_a_file(tmp_path: Path, start: Any) -> None:
    """The input stalls after two blocks of a WAV; what is written by then has no name yet, and never gets one."""
    soundfile.write(tmp_path / "long.wav", np.tile(SOUND, (600, 1)), 8000)
    begun = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        fifo = tmp_path / f"{number.name}.wav"
        os.mkfifo(fifo)
        process = start("convolve", fifo.name, "-k", "1,0.5", "-o", f"wet/{fifo.name}", "--threads", 2)
        begun[number] = process, writer_of(fifo)
    for process, pipe in begun.values():
        os.set_blocking(pipe, True)
        os.write(pipe, (tmp_path / "long.wav").read_bytes()[:-1000])
        wait_until(lambda process=process: open_outputs(process, tmp_path))
    for number, (process, _) in begun.items():
        process.send_signal(number)
    for number, (process, pipe) in begun.items():
        assert process.wait() == 128 + number
        assert process.stderr.read().strip() == b""
        os.close(pipe)
    assert not (tmp_path / "wet").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_the_middle_of_a_batch(number: signal.Signals, tmp_path: Path, start: Any) -> None:
    """Ctrl-C reaches the whole group, `kill` the program alone; nobody is left behind."""
    for name in ("a.wav", "b.wav", "c.wav"):
        os.mkfifo(tmp_path / name)
    process = start("convolve", "a.wav", "b.wav", "c.wav", "-k", "1", "-o", "wet/", "--jobs", 2)
    pipes = [writer_of(tmp_path / name) for name in ("a.wav", "b.wav")]
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    assert process.wait() == 128 + number
    assert process.stderr.read().strip() == b""
    wait_until(lambda: group_is_gone(process.pid))
    for pipe in pipes:
        os.close(pipe)
    assert not (tmp_path / "wet").exists()


def test_a_signal_that_python_can_not_pass_on_ends_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(main, "_signals", [signal.SIGTERM])
    with pytest.raises(SystemExit, match="143"):
        main._unraisable(SimpleNamespace(exc_value=Terminated()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_c_code_makes_another_error_of(
    number: signal.Signals, convtool: Convtool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        try:
            signal.raise_signal(number)
        except BaseException as error:
            raise SystemError("initialization of _C raised an unreported exception") from error

    kept = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr("convtool.cli.convolve.run_job", fail)
    run = convtool("convolve", "4,1", "-k", "1")
    assert (run.code, run.err) == (128 + number, "")
    assert signal.getsignal(signal.SIGINT) == signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    signal.signal(signal.SIGINT, kept)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("ends", [False, True])
def test_a_signal_within_an_import_comes_behind_it(
    number: signal.Signals, ends: bool, convtool: Convtool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the work ends at once after it."""
    (tmp_path / f"a_slow_module_{number}_{ends}.py").write_text(
        f"import signal, time\ntry:\n    signal.raise_signal({number})\n    time.sleep(0.1)\nexcept BaseException:\n"
        "    raise SystemError from None\n"
    )
    imported: list[bool] = []

    def work(*_: object, **__: object) -> int:
        imported.append(bool(importlib.import_module(f"a_slow_module_{number}_{ends}")))
        if not ends:
            time.sleep(30)
        return 0

    kept = signal.getsignal(signal.SIGINT)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("convtool.cli.convolve.run_job", work)
    run = convtool("convolve", "4,1", "-k", "1")
    assert (imported, run.code, run.err) == ([True], 128 + number, "")
    signal.signal(signal.SIGINT, kept)


def test_work_that_does_not_end_is_left(convtool: Convtool, monkeypatch: pytest.MonkeyPatch) -> None:
    class Left(Exception):
        pass

    def leave(code: int) -> None:
        raise Left(code)

    def hang(*_: object, **__: object) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            time.sleep(30)

    kept = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(main, "_PATIENCE", 0.01)
    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr("convtool.cli.convolve.run_job", hang)
    started = time.monotonic()
    assert convtool("convolve", "4,1", "-k", "1").code == 143
    assert time.monotonic() - started < 20
    signal.signal(signal.SIGINT, kept)


def test_interrupted_while_the_program_itself_is_imported(tmp_path: Path) -> None:
    script = (
        "import os, sys\nclass Finder:\n    def find_spec(self, name, *_):\n"
        "        if name == 'convtool.warm':\n            os.kill(os.getpid(), 2)\n"
        "sys.meta_path.insert(0, Finder())\nfrom convtool.__main__ import main\nprint('this is too late')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_while_an_error_is_told(number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    class Left(Exception):
        pass

    def leave(code: int) -> None:
        raise Left(code)

    kept = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(gc, "set_threshold", lambda _: None)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(sys, "argv", ["convtool", "nothing"])
    monkeypatch.setattr("click.UsageError.show", lambda _: signal.raise_signal(number))
    with pytest.raises(Left, match=str(128 + number)):
        main.main()
    for each, handler in kept.items():
        signal.signal(each, handler)


def test_a_list_on_a_closed_standard_input_and_a_manifest_that_is_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manifest.json")
    for words, code, told in (
        ('"$0" convolve --input-list - -k 1 -o y/ <&-', 2, b"Error: --input-list -: standard input is closed\n"),
        (
            '"$0" unpad-batch . -o y/',
            1,
            b"is a pipe or device; expected a file that pad-batch wrote\n",
        ),
    ):
        done = subprocess.run(["sh", "-c", words, PROGRAM], cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode == code
        assert done.stderr.endswith(told)


def test_a_working_folder_that_is_gone(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", SOUND, 8000)
    soundfile.write(tmp_path / "z.wav", SOUND, 8000)
    script = 'mkdir gone; cd gone; rmdir ../gone; "$0" convolve "$1/x.wav" "$1/z.wav" -k 1 -o "$1/y/"'
    done = subprocess.run(["sh", "-c", script, PROGRAM, tmp_path], cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"2 written, 0 skipped, 0 failed\n")
    assert sorted(os.listdir(tmp_path / "y")) == ["x.wav", "z.wav"]


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
def test_nobody_hears_the_errors_and_the_report_is_written(redirection: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", SOUND, 8000)
    words = ["convolve", "none.wav", "x.wav", "-k", "1", "-o", "wet/", "--report", "report"]
    done = subprocess.run(["sh", "-c", f'"$0" "$@" {redirection}', PROGRAM, *words], cwd=tmp_path, check=False)
    assert done.returncode == 1
    told = [json.loads(line)["status"] for line in (tmp_path / "report").read_text().splitlines()]
    assert told == ["failed", "written"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_batch_reports_what_it_has_done(number: signal.Signals, tmp_path: Path, start: Any) -> None:
    """The first input stalls; the others are written meanwhile, though it is not their turn to be told of."""
    os.mkfifo(tmp_path / "a.wav")
    for name in ("b.wav", "c.wav", "d.wav"):
        soundfile.write(tmp_path / name, SOUND, 8000)
    words = ["a.wav", "b.wav", "none.wav", "c.wav", "d.wav", "-k", "1", "-o", "wet/"]
    process = start("convolve", *words, "--jobs", 2, "--report", "report")
    pipe = writer_of(tmp_path / "a.wav")
    wait_until(lambda: (tmp_path / "wet" / "d.wav").exists())  # so the ones before it have been heard of
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    assert process.wait() == 128 + number
    os.close(pipe)
    assert process.stderr.read().strip() == b""
    told = [json.loads(line) for line in (tmp_path / "report").read_text().splitlines()]
    expected = [("b.wav", "written"), ("none.wav", "failed"), ("c.wav", "written")]
    assert [(each["input"], each["status"]) for each in told if each["input"] != "d.wav"] == expected


def test_a_stopped_unpadding_reports_what_it_has_done(
    convtool: Convtool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from convtool.jobs.padding import unpad

    def stopped(*arguments: Any) -> Iterator[Any]:
        yield next(side_by_side(*arguments))
        raise Terminated

    side_by_side = unpad.side_by_side
    assert convtool("pad-batch", "1,2", "3", "-o", tmp_path / "b.npz").code == 0
    monkeypatch.setattr(unpad, "side_by_side", stopped)
    run = convtool("unpad-batch", tmp_path / "b.npz", "-o", tmp_path / "out", "--report", tmp_path / "report")
    assert (run.code, run.err) == (143, "")
    (told,) = [json.loads(line) for line in (tmp_path / "report").read_text().splitlines()]
    assert told["status"] == "written"
    run = convtool("unpad-batch", tmp_path / "b.npz", "-o", tmp_path / "more")
    assert (run.code, run.err) == (143, "")  # without a report there is none to write


def test_interrupted_while_the_workers_are_started(tmp_path: Path, start: Any) -> None:
    process = start("convolve", "a.wav", "b.wav", "-k", "1", "-o", "wet/")
    wait_until(lambda: children(process))  # the server that imports torch
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait() == 130
    assert process.stderr.read().strip() == b""


def test_killed_in_the_middle_of_a_batch(tmp_path: Path, start: Any, convtool: Convtool) -> None:
    for index in range(60):
        path = tmp_path / "takes" / str(index % 3) / f"{index:02}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, SOUND * (index + 1) / 60, 8000)
    np.save(tmp_path / "h.npy", SOUND[:3000, 0] / 50)
    arguments = ("convolve", tmp_path / "takes", "-k", tmp_path / "h.npy", "--jobs", 2, "-o")
    assert convtool(*arguments, f"{tmp_path}/whole/").code == 0

    def tree(folder: str) -> dict[str, bytes]:
        root = tmp_path / folder
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    whole = tree("whole")
    assert len(whole) == 60
    process = start(*arguments, f"{tmp_path}/wet/")
    wait_until(lambda: list(tmp_path.glob("wet/*/*.wav")))
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    left = tree("wet")
    assert left
    assert left.items() <= whole.items()
    run = convtool(*arguments, f"{tmp_path}/wet/", "--skip-existing")
    assert run.err == f"{60 - len(left)} written, {len(left)} skipped, 0 failed\n"
    assert tree("wet") == whole


def test_omp_num_threads_does_not_show_in_the_bytes(tmp_path: Path, start: Any) -> None:
    soundfile.write(tmp_path / "x.wav", np.tile(SOUND, (30, 2)), 8000, subtype="FLOAT")
    np.save(tmp_path / "h.npy", SOUND[:, 0] / 50)
    processes = [
        start("convolve", "x.wav", "-k", "h.npy", "-o", f"y{n}.wav", env=os.environ | {"OMP_NUM_THREADS": str(n)})
        for n in (1, 2)
    ]
    assert [process.wait() for process in processes] == [0, 0]
    assert (tmp_path / "y1.wav").read_bytes() == (tmp_path / "y2.wav").read_bytes()


# Terminals


def on_a_terminal(*arguments: str, folder: Path, feed: str = "", seeing: str = "") -> tuple[int, str]:
    """The exit code, and what a terminal as standard error got to see; once that is `seeing`, `feed` gets its sound."""
    terminal, line = pty.openpty()
    process = subprocess.Popen(
        [PROGRAM, *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stderr=line,
        env=os.environ | {"TERM": "xterm-256color"},
    )
    os.close(line)
    seen = b""
    with contextlib.suppress(OSError):  # Linux's way to say that nobody writes any more
        while more := os.read(terminal, 1 << 16):
            seen += more
            if feed and seeing.encode() in seen:
                (folder / feed).write_bytes((folder / "0.wav").read_bytes())
                feed = ""
    os.close(terminal)
    return process.wait(), seen.decode()


def test_progress(tmp_path: Path) -> None:
    """The bar of a run is waited for; two others have none."""
    for index in range(3):
        soundfile.write(tmp_path / f"{index}.wav", SOUND, 8000)
    os.mkfifo(tmp_path / "p.wav")
    error, total = "Error: [red]x.wav: no such file\r\n", "3 written, 0 skipped, 1 failed\r\n"

    def words(third: str, folder: str) -> list[str]:
        return ["convolve", "0.wav", "[red]x.wav", "1.wav", third, "-k", "1", "-o", folder]

    with ThreadPoolExecutor(3) as together:
        bar, none, quiet = (
            together.submit(on_a_terminal, *words(third, folder), *option, folder=tmp_path, **fed)
            for third, folder, option, fed in (
                ("p.wav", "a/", [], {"feed": "p.wav", "seeing": "3/4 files"}),
                ("2.wav", "c/", ["--no-progress"], {}),
                ("2.wav", "d/", ["-q"], {}),
            )
        )
    assert none.result() == (1, error + total)
    assert quiet.result() == (1, error)
    code, seen = bar.result()
    assert code == 1
    assert error in seen
    assert seen.endswith("\r\x1b[K" + total)  # the line of the bar is cleared, and what comes last stands there
    assert sorted(os.listdir(tmp_path / "a")) == ["0.wav", "1.wav", "p.wav"]


def test_a_background_that_ignores_ctrl_c_keeps_doing_so(tmp_path: Path) -> None:
    script = (
        "import signal, sys\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nfrom convtool.cli import main\n"
        "sys.argv = ['convtool', 'convolve', '4,1', '-k', '1']\ncode = main._run()\n"
        "assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN\nsys.exit(code)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, cwd=tmp_path)
    assert done.stdout == b"4,1\n"


def test_what_is_raised_where_nobody_can_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    passed: list[object] = []
    ended: list[int] = []
    monkeypatch.setattr(sys, "__unraisablehook__", passed.append)
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(main, "_signals", [])
    unraisable: Any = SimpleNamespace(exc_value=KeyboardInterrupt())
    main._unraisable(unraisable)
    assert (passed, ended) == ([unraisable], [])
    monkeypatch.setattr(main, "_signals", [signal.SIGTERM])
    main._unraisable(unraisable)
    assert ended == [143]
