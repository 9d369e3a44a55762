"""Whole commands against peers: every round runs each once, so that the machine's moods hit all alike."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import numpy as np
import soundfile

ROUNDS = 3
RATE = 44100
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
    return [os.path.join(os.path.dirname(sys.executable), "convtool"), *arguments, "--overwrite"]


def peer(*arguments: str) -> Command:
    """A job of `peers`."""
    return [sys.executable, "-m", "tests.bench.peers", *arguments]


def afir(source: str, kernel: str, target: str, codec: str) -> Command:
    """ffmpeg's convolution."""
    return ["ffmpeg", "-y", "-loglevel", "error", "-i", source, "-i", kernel, "-lavfi", "afir", "-c:a", codec, target]


def cases(folder: str) -> dict[str, dict[str, Command]]:
    """The table's rows: what is timed side by side."""
    at = folder + "/"
    half_hour, ten = noise(at + "b.wav", 3600, 2, "PCM_16"), noise(at + "a.wav", 600, 2, "FLOAT")
    mono, second = noise(at + "c.wav", 600, 1, "FLOAT"), noise(at + "d.wav", 1, 1, "PCM_16")
    hall, room, cave = decaying(at + "2s.wav", 2, 2), decaying(at + "05s.wav", 0.5, 1), decaying(at + "10s.wav", 10, 2)
    filter_taps = decaying(at + "101.wav", 101 / RATE, 1)

    def row(source: str, kernel: str, codec: str) -> dict[str, Command]:
        return {
            "convtool": convtool(source, "-k", kernel, "-o", at + "o1.wav"),
            "ffmpeg": afir(source, kernel, at + "o2.wav", codec),
            "SciPy": peer("scipy_blocks", source, kernel, at + "o3.wav"),
            "copy": peer("copy", source, at + "o4.wav"),
            "import torch": peer("import_torch"),
        }

    sox_taps = [f"{value:.9f}" for value in soundfile.read(filter_taps)[0]]
    return {
        "(a) 10 min stereo float32, 2 s stereo kernel": row(ten, hall, "pcm_f32le"),
        "(b) 1 h stereo PCM_16, 0.5 s mono kernel": row(half_hour, room, "pcm_s16le"),
        "(c) 10 min mono, 101 taps": {
            **row(mono, filter_taps, "pcm_f32le"),
            "sox": ["sox", mono, at + "o5.wav", "fir", *sox_taps],
        },
        "(d) 1 s mono, 3 taps": row(second, "1,2,-1", "pcm_s16le"),
        "(e) 10 min stereo, 10 s stereo kernel": row(ten, cave, "pcm_f32le"),
    }


def many(folder: str) -> list[str]:
    """2000 files of a second: one worker, two workers, and a loop by hand."""
    source, kernel = os.path.join(folder, "many"), decaying(os.path.join(folder, "k.wav"), 0.25, 1)
    os.makedirs(source)
    samples = np.random.default_rng(2).standard_normal(RATE, dtype=np.float32) * 0.05
    for number in range(2000):
        soundfile.write(os.path.join(source, f"{number:04}.wav"), samples, RATE, subtype="PCM_16")
    target = os.path.join(folder, "out")
    times = compare(
        {
            "2 workers": convtool(source, "-k", kernel, "-o", target + "2/", "--jobs", "2"),
            "1 worker": convtool(source, "-k", kernel, "-o", target + "1/", "--jobs", "1"),
            "by hand": peer("folder", source, kernel, target + "3"),
            "start": convtool(source + "/0000.wav", source + "/0001.wav", "-k", kernel, "-o", target + "4/"),
        },
        rounds=3,
    )
    middle = {name: statistics.median(values) for name, values in times.items()}
    rate = (middle["1 worker"] - middle["start"]) / (middle["2 workers"] - middle["start"])
    return [
        "| 2000 files of 1 s, 0.25 s kernel | s |",
        "|---|---|",
        *(f"| {name} | {value:.2f} |" for name, value in middle.items() if name != "start"),
        "",
        f"Two workers do {ratio(times, '1 worker', '2 workers'):.2f} times the work of one in the same time "
        f"({rate:.2f} without the start), and take {ratio(times, '2 workers', 'by hand'):.2f} of the time of soundfile "
        "and SciPy in a loop.",
    ]


def memory(folder: str) -> list[str]:
    """Resident memory does not grow with the file."""
    kernel = decaying(os.path.join(folder, "k2.wav"), 2, 2)
    rows = ["| resident memory | MB |", "|---|---|"]
    for name, length in (("10 min stereo", 600), ("2 h stereo", 7200)):
        path = noise(os.path.join(folder, "m.wav"), length, 2, "PCM_16")
        target = os.path.join(folder, "om.wav")
        rows.append(f"| {name}, 2 s stereo kernel | {peak_memory(convtool(path, '-k', kernel, '-o', target)):.0f} |")
    return rows


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


def main() -> None:
    """Measure and print a report in Markdown."""
    shm = "/dev/shm"  # files in memory, so that no disk is measured
    lines = [
        f"{processor()}, {os.cpu_count()} cores, torch {torch_version()}, Python {platform.python_version()}; "
        f"medians of {ROUNDS} rounds.",
        "",
    ]
    lines += ["| whole command (s) | convtool | ffmpeg afir | SciPy oaconvolve | sox | soundfile copy | import torch |"]
    lines += ["|---|---|---|---|---|---|---|"]
    missing = [name for name in ("ffmpeg", "sox") if shutil.which(name) is None]
    for name in missing:
        print(f"{name} is not installed: left out", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=shm if os.path.isdir(shm) else None) as folder:
        for case, commands in cases(folder).items():
            chosen = {name: command for name, command in commands.items() if name not in missing}
            if "d.wav" in chosen["convtool"][2]:
                chosen = {name: chosen[name] for name in ("convtool", "copy", "import torch")}
            times = compare(chosen)
            cells = [f"{statistics.median(times['convtool']):.2f}"]
            for other in ("ffmpeg", "SciPy", "sox", "copy", "import torch"):
                there = other in times
                value = (
                    f"{statistics.median(times[other]):.2f} ({ratio(times, 'convtool', other):.2f})" if there else "–"
                )
                cells.append(value)
            lines.append(f"| {case} | {' | '.join(cells)} |")
        lines += [
            "",
            "In brackets: convtool's time by that one's, pair by pair.",
            "",
            *many(folder),
            "",
            *memory(folder),
        ]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
