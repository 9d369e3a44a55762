"""`rescale` and `local-var` on an hour of sound, beside ffmpeg's `volume` and a bare copy."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile

from tests.bench.measuring import (
    ROUNDS,
    Command,
    absent,
    cold,
    compare,
    machine,
    noise,
    peer,
    program,
    ratio,
    shared_memory,
    warm_process,
)


def volume(source: str, target: str) -> Command:
    """ffmpeg's filter that multiplies."""
    return ["ffmpeg", "-y", "-loglevel", "error", "-i", source, "-af", "volume=0.5", "-c:a", "pcm_s16le", target]


def commands(folder: str) -> dict[str, Command]:
    """What is timed side by side."""
    source = noise(os.path.join(folder, "hour.wav"), 3600, 2, "PCM_16")
    out, other, params = (os.path.join(folder, name) for name in ("o1.wav", "o2.wav", "p.json"))
    fit = program("rescale", source, "--fit", source, "--range", "-0.5:0.5", "--save", params, "-o", out)
    subprocess.run(fit, check=True, capture_output=True)
    own = {
        "rescale --range -0.1:0.1 --method clip": ("rescale", "--range", "-0.1:0.1", "--method", "clip"),
        "rescale --params p.json": ("rescale", "--params", params),
        "rescale --range -1:1": ("rescale", "--range", "-1:1"),
        "local-var -w 50ms": ("local-var", "-w", "50ms"),
    }
    found: dict[str, Command] = {"ffmpeg volume": volume(source, other), "soundfile copy": peer("copy", source, other)}
    for name, (command, *options) in own.items():
        call = program(command, source, *options, "-o", out)
        found |= {f"`{name}`": cold(call), f"`{name}`, warm": call}
    return found | {"import torch": peer("import_torch")}


def main() -> None:
    """Print the table in Markdown."""
    missing = absent("ffmpeg")
    with tempfile.TemporaryDirectory(dir=shared_memory()) as folder:
        chosen = {name: command for name, command in commands(folder).items() if name.partition(" ")[0] not in missing}
        with warm_process():
            times = compare(chosen, ROUNDS)
    peers = [name for name in ("ffmpeg volume", "soundfile copy") if name in times]
    print(f"{machine(ROUNDS)}\n")
    print(f"| 1 h stereo PCM_16 | s | {' | '.join(f'by {name}' for name in peers)} |\n|---|---|{'---|' * len(peers)}")
    for name, taken in times.items():
        ratios = [f"{ratio(times, name, other):.2f}" for other in peers]
        print(f"| {name} | {statistics.median(taken):.2f} | {' | '.join(ratios)} |")


if __name__ == "__main__":
    main()
