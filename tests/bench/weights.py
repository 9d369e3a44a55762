"""`inspect-weights` on 2 GB of weights beside what such work costs at least: ``python -m tests.bench weights``.

Every round runs each command once, one after the other, so that a slow minute of the machine slows all of them; ratios
are medians over the rounds.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time

import torch
from safetensors.torch import save_file

from tests.bench.measuring import Command, compare, machine, peak_memory, ratio, seconds, shared_memory

TENSORS, SHAPE = 960, (1000, 545)  # 2.09 GB of float32
ROUNDS = 11
LOAD = "import sys, torch; torch.load(sys.argv[1], mmap=True, weights_only=True)"


def inspect(*arguments: str) -> Command:
    """The command of this environment."""
    return [os.path.join(os.path.dirname(sys.executable), "convtool"), "inspect-weights", *arguments]


def python(script: str, *arguments: str) -> Command:
    """A process that runs `script`."""
    return [sys.executable, "-c", script, *arguments]


def write(folder: str) -> tuple[str, str, str]:
    """The same tensors, named like those of repeated layers, as safetensors and as `.pt`; and a file of 3 numbers."""
    big, checkpoint, small = (os.path.join(folder, name) for name in ("m.safetensors", "m.pt", "small.safetensors"))
    tensors = {f"model.layers.{n // 8}.part{n % 8}.weight": torch.randn(SHAPE) for n in range(TENSORS)}
    save_file(tensors, big)
    torch.save(tensors, checkpoint)
    save_file({"w": torch.zeros(3)}, small)
    return big, checkpoint, small


def listing(big: str, checkpoint: str) -> list[str]:
    """Rows of the whole commands that list."""
    cases = {
        "safetensors": (inspect(big), "`import click, rich`", python("import click, rich")),
        ".pt": (inspect(checkpoint), "`torch.load(mmap=True)`", python(LOAD, checkpoint)),
    }
    rows = []
    for name, (command, peer, other) in cases.items():
        times = compare({"convtool": command, peer: other}, ROUNDS)
        medians = [f"{statistics.median(times[who]) * 1e3:.0f} ms" for who in times]
        rows.append(f"| list {name} | {medians[0]} | {peer}: {medians[1]} | {ratio(times, 'convtool', peer):.2f} |")
    return rows


def statistics_row(big: str, small: str) -> str:
    """The row of `--stats`: its bandwidth is that of what 2 GB take longer than 3 numbers."""
    values = torch.ones(TENSORS * SHAPE[0] * SHAPE[1])
    size = values.nbytes / 1e9
    rates, sums = [], []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        values.sum()
        sums.append(size / (time.perf_counter() - started))
        rates.append(size / (seconds(inspect(big, "--stats")) - seconds(inspect(small, "--stats"))))
    share = statistics.median(own / other for own, other in zip(rates, sums, strict=True))
    own, other = statistics.median(rates), statistics.median(sums)
    return f"| statistics | {own:.1f} GB/s | one `torch.sum`: {other:.1f} GB/s | {share:.2f} |"


def main() -> None:
    """Measure and print a report in Markdown."""
    with tempfile.TemporaryDirectory(dir=shared_memory()) as folder:
        big, checkpoint, small = write(folder)
        rows = [*listing(big, checkpoint), statistics_row(big, small)]
        start, whole = (peak_memory(inspect(path, "--stats")) for path in (small, big))
    print(f"{machine(ROUNDS)}\n")
    print(f"| {TENSORS} tensors, 2 GB | convtool | beside it | ratio |\n|---|---|---|---|")
    print("\n".join(rows))
    print(f"\nStatistics of 2 GB take {whole:.0f} MB of memory at the most, those of 3 numbers {start:.0f} MB.")


if __name__ == "__main__":
    main()
