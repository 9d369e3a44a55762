"""One-liners, cold and through a warm process, and what thousands of calls leave of that process."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from tests.bench.measuring import (
    CONVTOOL,
    RATE,
    Command,
    cold,
    compare,
    machine,
    ratio,
    seconds,
    shared_memory,
    warm_process,
)

ROUNDS, FILES, CALLS = 9, 100, 10_000
ONE = [CONVTOOL, "convolve", "4,1,2,5", "-k", "1,2,-1"]
ONE_BY_ONE = 'for f in "$1"/*.wav; do "$2" -q convolve "$f" -k 1,2,-1 -o "$3/${f##*/}" --overwrite; done'
REPEAT = 'for i in $(seq "$1"); do "$2" convolve 4,1,2,5 -k 1,2,-1 || exit; done'


def one_liners() -> list[str]:
    """Rows of a short call beside the start of Python with NumPy."""
    bare: Command = [sys.executable, "-c", "import numpy"]
    times = compare({"cold": cold(ONE), "warm": ONE, "`import numpy`": bare}, ROUNDS)
    rows = []
    for name, taken in times.items():
        ratios = [f"{ratio(times, name, other):.3f}" for other in ("cold", "`import numpy`")]
        rows.append(f"| {name} | {statistics.median(taken) * 1e3:.0f} | {' | '.join(ratios)} |")
    return rows


def shell_loop(folder: str) -> str:
    """A loop of a shell over files of a second."""
    source, target = os.path.join(folder, "takes"), os.path.join(folder, "out")
    os.mkdir(source)
    os.mkdir(target)
    samples = np.random.default_rng(0).standard_normal(RATE, dtype=np.float32) * 0.05
    for number in range(FILES):
        soundfile.write(os.path.join(source, f"{number:03}.wav"), samples, RATE)
    taken = statistics.median(seconds(["bash", "-c", ONE_BY_ONE, "-", source, CONVTOOL, target]) for _ in range(3))
    return f"A shell's loop over {FILES} WAVs of 1 s, a call each, takes {taken:.1f} s warm."


def soak() -> str:
    """What is left of a warm process after many calls: memory, descriptors, children, and the files beside it."""
    process, before, *_ = status()
    state = Path("/proc") / str(process)
    children = state / "task" / str(process) / "children"
    held = len(list((state / "fd").iterdir()))
    taken = seconds(["bash", "-c", REPEAT, "-", str(CALLS), CONVTOOL])
    _, after, calls, under_way, *_ = status()
    time.sleep(1)  # until it has closed the connection of that question
    left = {
        "MB": after - before,
        "descriptors": len(list((state / "fd").iterdir())) - held,
        "children": len(children.read_text(encoding="ascii").split()) - under_way,
        "files": sum(1 for path in Path(os.environ["XDG_RUNTIME_DIR"]).rglob("*") if path.is_file()),
    }
    return (
        f"{CALLS:,} calls one after the other take {taken:.0f} s. The process has done {calls:,} by then, holds "
        f"{after} MB, and has grown by {', '.join(f'{count} {what}' for what, count in left.items())}."
    )


def status() -> list[int]:
    """The warm process, its memory in MB, calls, those under way, and minutes."""
    said = subprocess.run([CONVTOOL, "warm", "--status"], check=True, capture_output=True, text=True).stdout
    return [int(number) for number in re.findall(r"\d+", said)]


def main() -> None:
    """Print the table in Markdown."""
    with tempfile.TemporaryDirectory(dir=shared_memory()) as folder, warm_process():
        print(f"{machine(ROUNDS)}\n")
        print("| `convtool convolve 4,1,2,5 -k 1,2,-1` | ms | by cold | by `import numpy` |\n|---|---|---|---|")
        print("\n".join(one_liners()))
        print(f"\n{shell_loop(folder)}\n\n{soak()}")


if __name__ == "__main__":
    main()
