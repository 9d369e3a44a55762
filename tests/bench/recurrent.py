"""Recurrent layers over signals: the block-wise core beside plain nn.LSTM, and whole commands over files and folders.

Every round runs each once, so that the machine's moods hit all alike. Rates are seconds of audio at 48 kHz worked in a
second.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import nn

from convtool.jobs.backend import load_torch
from convtool.ops.recurrent.network import Network, Recurrent, run_network
from convtool.ops.recurrent.shared_rows import SharedRows
from tests.bench.measuring import Command, compare, peak_memory, peer, processor, program, ratio
from tests.helpers.model_files import guitarml

RATE = 48000
SECONDS = 10
HIDDEN = (20, 32, 40, 64)
STREAMS = 4
CELL_SECONDS = 0.5


def in_memory(hidden: int, rounds: int = 5) -> dict[str, float]:
    """Rates of the ways to run one layer and its head."""
    torch.manual_seed(0)
    layers = [nn.LSTM(1, hidden).requires_grad_(False), nn.Linear(hidden, 1).requires_grad_(False)]
    lstm, head = layers
    x = torch.randn(1, RATE * SECONDS) * 0.1
    shared = SharedRows(Network(layers, skip=1))

    def whole(threads: int) -> None:
        torch.set_num_threads(threads)
        head(lstm(x.T[:, None])[0])
        torch.set_num_threads(1)

    def bare_blocks() -> None:
        state = None
        for block in x.T[:, None].split(4096):
            y, state = lstm(block, state)
            head(y)

    def stream() -> None:
        with torch.inference_mode():
            operation = shared.stream(Recurrent(shared.network))
            operation.push(x)
            operation.finish()

    def streams() -> None:
        with ThreadPoolExecutor(STREAMS) as pool:
            for future in [pool.submit(stream) for _ in range(STREAMS)]:
                future.result()

    ways: dict[str, tuple[Callable[[], object], float]] = {
        "convtool": (lambda: run_network(x, Network(layers, skip=1)), SECONDS),
        f"convtool, {STREAMS} streams": (streams, SECONDS * STREAMS),
        "blocks of 4096": (bare_blocks, SECONDS),
        "nn.LSTM, 1 thread": (lambda: whole(1), SECONDS),
        "nn.LSTM, 2 threads": (lambda: whole(2), SECONDS),
        "nn.LSTMCell": (
            lambda: run_network(x[:, : round(RATE * CELL_SECONDS)], Network(layers, engine="cell")),
            CELL_SECONDS,
        ),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, (run, seconds) in ways.items():
            begun = time.perf_counter()
            run()
            if number:
                rates[name].append(seconds / (time.perf_counter() - begun))
    return {name: statistics.median(values) for name, values in rates.items()}


def recording(path: str, seconds: float) -> str:
    """Noise at guitar level, mono, 24 bits."""
    generator = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", RATE, 1, subtype="PCM_24") as file:
        for _ in range(round(seconds)):
            file.write(generator.standard_normal(RATE, dtype=np.float32) * 0.1)
    return path


def whole_commands(folder: str, hidden: int) -> None:
    """A file of 2 minutes, and a folder of 32 of half a minute, beside the import of torch."""
    model = guitarml(Path(folder, f"{hidden}.json"), nn.LSTM(1, hidden), nn.Linear(hidden, 1))
    one, takes = os.path.join(folder, "one.wav"), os.path.join(folder, "takes")
    target = os.path.join(folder, "out")
    policy = ("--rate-policy", "ignore")

    def lstm(*arguments: str) -> Command:
        return program("lstm", model, *arguments, *policy)

    times = compare(
        {
            "file": lstm(one, "-o", target + "1.wav"),
            "folder": lstm(takes, "-o", target + "2/"),
            "folder, 1 job": lstm(takes, "-o", target + "3/", "--jobs", "1"),
            "import torch": peer("import_torch"),
        }
    )
    start = statistics.median(times["import torch"])
    rates = {
        name: [audio / (taken - start) for taken in times[name]]
        for name, audio in (("file", 120), ("folder", 960), ("folder, 1 job", 960))
    }
    cells = [f"{statistics.median(values):.0f}" for values in rates.values()]
    print(f"| {hidden} | {' | '.join(cells)} | {ratio(rates, 'folder', 'file'):.2f} |")


def main() -> None:
    """Print the tables."""
    load_torch()
    print(f"{processor()}, {os.cpu_count()} cores, torch {torch.__version__}; medians of 3 to 5 rounds.")
    print("\n| hidden | " + " | ".join(found := list(in_memory(8, 1))) + " |")
    print("|---" * (len(found) + 1) + "|")
    with torch.no_grad():
        for hidden in HIDDEN:
            rates = in_memory(hidden)
            print(f"| {hidden} | " + " | ".join(f"{rate:.3g}" for rate in rates.values()) + " |")
    print("\nSeconds of audio at 48 kHz worked in a second, one layer and its head, in memory.\n")
    with tempfile.TemporaryDirectory() as folder:
        recording(os.path.join(folder, "one.wav"), 120)
        os.mkdir(os.path.join(folder, "takes"))
        for number in range(32):
            recording(os.path.join(folder, "takes", f"{number:02}.wav"), 30)
        print("| hidden, whole command | file | folder | folder, 1 job | folder by file |")
        print("|---|---|---|---|---|")
        for hidden in HIDDEN[:3]:
            whole_commands(folder, hidden)
        print("\nThe same, the start of torch taken off: one file of 2 minutes; 32 files of half a minute.\n")
        print("| resident memory | MB |\n|---|---|")
        model = guitarml(Path(folder, "m.json"), nn.LSTM(1, 20), nn.Linear(20, 1))
        for name, minutes in (("1 min", 1), ("1 h", 60)):
            source = recording(os.path.join(folder, "long.wav"), 60 * minutes)
            command = program("lstm", model, source, "-o", source + ".flac")
            print(f"| {name} mono | {peak_memory([*command, '--rate-policy', 'ignore']):.0f} |")


if __name__ == "__main__":
    main()
