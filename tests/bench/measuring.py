"""How commands are timed: every round runs each once, so that the machine's moods hit all alike."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

import numpy as np
import soundfile

ROUNDS = 3
RATE = 44100
CONVTOOL = os.path.join(os.path.dirname(sys.executable), "convtool")
Command = Sequence[str]


def seconds(command: Command) -> float:
    """One run of a process, from outside."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def compare(commands: dict[str, Command], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """The seconds of every command in every round, after one round that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            taken = seconds(command)
            if number:
                times[name].append(taken)
    return times


def ratio(times: dict[str, list[float]], name: str, other: str) -> float:
    """The median over rounds of one command's time by another's."""
    return statistics.median(a / b for a, b in zip(times[name], times[other], strict=True))


@contextlib.contextmanager
def warm_process() -> Iterator[None]:
    """A process with torch loaded, which does the calls of the `with` block, but for those of `cold`."""
    before = {name: os.environ.get(name) for name in ("XDG_RUNTIME_DIR", "CONVTOOL_WARM")}
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"XDG_RUNTIME_DIR": folder, "CONVTOOL_WARM": ""}
        subprocess.run([CONVTOOL, "warm", "--quiet"], check=True, stdout=subprocess.DEVNULL)
        try:
            yield
        finally:
            subprocess.run([CONVTOOL, "warm", "--stop", "--quiet"], check=True)
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


def cold(command: Command) -> Command:
    """The same, whether or not there is a warm process."""
    return ["env", "CONVTOOL_WARM=0", *command]


def peak_memory(command: Command) -> float:
    """Resident memory of one run at its highest, in MB."""
    script = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    out = subprocess.run([sys.executable, "-c", script, *command], check=True, capture_output=True, text=True).stdout
    return int(out) / 1024


def noise(path: str, length: float, channels: int, subtype: str) -> str:
    """`length` seconds of quiet noise."""
    generator = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", RATE, channels, subtype=subtype) as file:
        left = round(length * RATE)
        while left:
            count = min(left, RATE * 60)
            file.write(generator.standard_normal((count, channels), dtype=np.float32) * 0.05)
            left -= count
    return path


def decaying(path: str, length: float, channels: int) -> str:
    """An impulse response of decaying noise."""
    count = round(length * RATE)
    envelope = np.exp(-6 * np.arange(count) / count)[:, None] * 0.02
    taps = np.random.default_rng(1).standard_normal((count, channels)) * envelope
    soundfile.write(path, taps.astype(np.float32), RATE, subtype="FLOAT")
    return path


def convtool(*arguments: str) -> Command:
    """`convtool convolve`."""
    return program("convolve", *arguments)


def program(*arguments: str) -> Command:
    """A command of this environment."""
    return [CONVTOOL, *arguments, "--overwrite"]


def peer(*arguments: str) -> Command:
    """A job of `peers`."""
    return [sys.executable, "-m", "tests.bench.peers", *arguments]


def processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            return next(line.partition(":")[2].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def torch_version() -> str:
    """The version, without importing what it is the version of."""
    return importlib.metadata.version("torch")


def machine(rounds: int) -> str:
    """The line above a table: where it was measured."""
    return (
        f"{processor()}, {os.cpu_count()} cores, torch {torch_version()}, Python {platform.python_version()}; "
        f"medians of {rounds} rounds."
    )


def shared_memory() -> str | None:
    """The folder for files that are to be in memory, so that no disk is measured; None where there is none."""
    return "/dev/shm" if os.path.isdir("/dev/shm") else None


def absent(*programs: str) -> set[str]:
    """Those that are not installed, which is said aloud."""
    missing = {name for name in programs if shutil.which(name) is None}
    for name in sorted(missing):
        print(f"{name} is not installed: left out", file=sys.stderr)
    return missing
