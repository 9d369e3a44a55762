"""`pad-batch` on 2000 recordings beside bare decoding of them: ``python -m tests.bench batches``.

Every round runs each command once, one after the other, so that a slow minute of the machine slows all of them; ratios
are medians over the rounds.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile

import numpy as np
import soundfile

from convtool.jobs.padding.grouping import group, waste
from tests.bench.measuring import Command, compare, machine, peak_memory, ratio, shared_memory

FILES, RATE, ROUNDS = 2000, 16000, 9
SHORT = 100_000
DECODE = (
    "import glob, sys, soundfile\nfor f in sorted(glob.glob(sys.argv[1] + '/*')): soundfile.read(f, dtype='float32')"
)
HEADERS = "import glob, sys, soundfile\nfor f in sorted(glob.glob(sys.argv[1] + '/*')): soundfile.info(f)"
WRITE = """
import glob, os, sys, soundfile
with open(sys.argv[2], "wb", buffering=0) as file:
    for number, f in enumerate(sorted(glob.glob(sys.argv[1] + "/*"))):
        samples = soundfile.read(f, dtype="float32")[0]
        os.pwrite(file.fileno(), samples.data, number * int(sys.argv[3]))
"""
PAD = """
import glob, sys, soundfile, torch
read = lambda f: torch.from_numpy(soundfile.read(f, dtype='float32')[0])
torch.nn.utils.rnn.pad_sequence([read(f) for f in sorted(glob.glob(sys.argv[1] + '/*'))], batch_first=True)
"""


def pad_batch(*arguments: str) -> Command:
    """The command of this environment."""
    return [os.path.join(os.path.dirname(sys.executable), "convtool"), "-q", "pad-batch", *arguments]


def python(script: str, *arguments: str) -> Command:
    """A process that runs `script`."""
    return [sys.executable, "-c", script, *arguments]


def record(folder: str) -> list[int]:
    """Recordings of 1 to 10 s; their lengths."""
    rng = np.random.default_rng(0)
    lengths = [int(length) for length in rng.uniform(1, 10, FILES) * RATE]
    for number, samples in enumerate(lengths):
        soundfile.write(os.path.join(folder, f"{number:04d}.wav"), rng.standard_normal(samples) * 0.1, RATE)
    return lengths


def writing(takes: str, folder: str, longest: int) -> list[str]:
    """Rows of the ways to write batches, beside decoding alone and a padded tensor that is not written."""
    outputs = {name: os.path.join(folder, name) for name in ("b.npz", "b.safetensors", "b.pt", "shards")}
    buckets = ["--strategy", "bucket", "--batch-size", "64"]
    commands = {
        name: pad_batch(takes, "-o", path, "--overwrite", *(buckets if name == "shards" else []))
        for name, path in outputs.items()
    }
    raw = os.path.join(folder, "raw")
    commands |= {
        "decode": python(DECODE, takes),
        "decode and write": python(WRITE, takes, raw, str(longest * 4)),
        "pad_sequence": python(PAD, takes),
    }
    times = compare(commands, ROUNDS)
    rows = []
    for name in times:
        figures = [f"{ratio(times, name, peer):.2f}" for peer in ("decode", "decode and write", "pad_sequence")]
        memory = peak_memory(commands[name])
        rows.append(f"| {name} | {statistics.median(times[name]):.2f} | {' | '.join(figures)} | {memory:.0f} |")
    for path in (*outputs.values(), raw):
        shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    return rows


def planning(takes: str, folder: str) -> str:
    """How planning many short files compares with reading their headers."""
    short = os.path.join(folder, "short")
    os.mkdir(short)
    for number in range(SHORT):
        os.link(os.path.join(takes, f"{number % FILES:04d}.wav"), os.path.join(short, f"{number:06d}.wav"))
    plan = pad_batch(short, "--strategy", "bucket", "--batch-size", "64", "--dry-run", "--json")
    times = compare({"plan": plan, "headers": python(HEADERS, short)}, 3)
    shutil.rmtree(short)
    plan_s, headers_s = (statistics.median(times[name]) for name in ("plan", "headers"))
    return (
        f"Planning {SHORT:,} files takes {plan_s:.1f} s, {ratio(times, 'plan', 'headers'):.2f} of the time in which "
        f"soundfile.info reads their headers ({headers_s:.1f} s)."
    )


def main() -> None:
    """Print the tables."""
    print(f"{machine(ROUNDS)}\n")
    with tempfile.TemporaryDirectory(dir=shared_memory()) as folder:
        takes = os.path.join(folder, "takes")
        os.mkdir(takes)
        lengths = record(takes)
        print(f"| {FILES} WAVs of 1 to 10 s | s | by decode | by decode and write | by pad_sequence | MB |")
        print("|---|---|---|---|---|---|")
        print("\n".join(writing(takes, folder, max(lengths))))
        print(
            "\n`decode` is soundfile.read in a loop; `decode and write` puts each recording into its row of a file as"
        )
        print("well; `pad_sequence` is the loop and torch's padding, not written.\n")
        print(planning(takes, folder))
    buckets = group(lengths, strategy="bucket", batch_size=64)
    full = [sorted(lengths)[start : start + 64] for start in range(0, FILES, 64)]
    least = sum(len(rows) * rows[-1] - sum(rows) for rows in full)
    ours = waste(buckets, lengths)
    print(
        f"\nBuckets of 64 waste {ours.percent:.2f} %, {ours.samples / least:.3f} of what sorting and cutting does; "
        f"one batch {waste(group(lengths, strategy='pad'), lengths).percent:.1f} %."
    )


if __name__ == "__main__":
    main()
