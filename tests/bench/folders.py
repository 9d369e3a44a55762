"""`convolve` on a folder of short files: one job and two, cold and warm, beside a loop by hand."""

from __future__ import annotations

import os
import statistics
import tempfile

import numpy as np
import soundfile

from tests.bench.measuring import (
    RATE,
    Command,
    cold,
    compare,
    convtool,
    decaying,
    machine,
    peer,
    ratio,
    shared_memory,
    warm_process,
)

FILES, ROUNDS = 1000, 5


def commands(folder: str) -> dict[str, Command]:
    """What is timed side by side, the loop first."""
    source, kernel = os.path.join(folder, "many"), decaying(os.path.join(folder, "k.wav"), 0.25, 1)
    os.makedirs(source)
    random = np.random.default_rng(2)
    for number in range(FILES):
        samples = random.standard_normal(RATE, dtype=np.float32) * 0.05
        soundfile.write(os.path.join(source, f"{number:04}.wav"), samples, RATE, subtype="PCM_16")
    found: dict[str, Command] = {
        "soundfile and SciPy in a loop": peer("folder", source, kernel, os.path.join(folder, "by-hand"))
    }
    for jobs in ("1", "2"):
        command = convtool(source, "-k", kernel, "-o", os.path.join(folder, f"out{jobs}/"), "--jobs", jobs)
        found |= {f"`--jobs {jobs}`": cold(command), f"`--jobs {jobs}`, warm": command}
    return found | {"import torch": peer("import_torch")}


def main() -> None:
    """Print the table in Markdown."""
    with tempfile.TemporaryDirectory(dir=shared_memory()) as folder:
        chosen = commands(folder)
        with warm_process():
            times = compare(chosen, ROUNDS)
    loop = next(iter(chosen))
    print(f"{machine(ROUNDS)}\n")
    print(f"| {FILES} WAVs of 1 s, kernel of 0.25 s | s | by the loop |\n|---|---|---|")
    for name, taken in times.items():
        print(f"| {name} | {statistics.median(taken):.2f} | {ratio(times, name, loop):.2f} |")


if __name__ == "__main__":
    main()
