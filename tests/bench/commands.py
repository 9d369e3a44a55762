"""`convolve` on single files against peers, from the start of a process to its end, and the memory that it takes."""

from __future__ import annotations

import os
import statistics
import tempfile

import soundfile

from tests.bench.measuring import (
    RATE,
    ROUNDS,
    Command,
    absent,
    cold,
    compare,
    convtool,
    decaying,
    machine,
    noise,
    peak_memory,
    peer,
    ratio,
    shared_memory,
    warm_process,
)

PEERS = ("ffmpeg", "SciPy", "sox", "copy", "import torch")


def afir(source: str, kernel: str, target: str, codec: str) -> Command:
    """ffmpeg's convolution."""
    return ["ffmpeg", "-y", "-loglevel", "error", "-i", source, "-i", kernel, "-lavfi", "afir", "-c:a", codec, target]


def cases(folder: str) -> dict[str, dict[str, Command]]:
    """The table's rows: what is timed side by side."""
    at = folder + "/"
    hour, ten = noise(at + "b.wav", 3600, 2, "PCM_16"), noise(at + "a.wav", 600, 2, "FLOAT")
    mono, second = noise(at + "c.wav", 600, 1, "FLOAT"), noise(at + "d.wav", 1, 1, "PCM_16")
    hall, room, cave = decaying(at + "2s.wav", 2, 2), decaying(at + "05s.wav", 0.5, 1), decaying(at + "10s.wav", 10, 2)
    filter_taps = decaying(at + "101.wav", 101 / RATE, 1)

    def row(source: str, kernel: str, codec: str) -> dict[str, Command]:
        return {
            "convtool": cold(convtool(source, "-k", kernel, "-o", at + "o1.wav")),
            "warm": convtool(source, "-k", kernel, "-o", at + "o1.wav"),
            "ffmpeg": afir(source, kernel, at + "o2.wav", codec),
            "SciPy": peer("scipy_blocks", source, kernel, at + "o3.wav"),
            "copy": peer("copy", source, at + "o4.wav"),
            "import torch": peer("import_torch"),
        }

    sox_taps = [f"{value:.9f}" for value in soundfile.read(filter_taps)[0]]
    return {
        "(a) 10 min stereo float32, 2 s stereo kernel": row(ten, hall, "pcm_f32le"),
        "(b) 1 h stereo PCM_16, 0.5 s mono kernel": row(hour, room, "pcm_s16le"),
        "(c) 10 min mono, 101 taps": {
            **row(mono, filter_taps, "pcm_f32le"),
            "sox": ["sox", mono, at + "o5.wav", "fir", *sox_taps],
        },
        "(d) 1 s mono, 3 taps": {
            name: command
            for name, command in row(second, "1,2,-1", "pcm_s16le").items()
            if name not in ("ffmpeg", "SciPy")
        },
        "(e) 10 min stereo, 10 s stereo kernel": row(ten, cave, "pcm_f32le"),
    }


def memory(folder: str) -> list[str]:
    """Resident memory does not grow with the file."""
    kernel = decaying(os.path.join(folder, "k2.wav"), 2, 2)
    rows = ["| resident memory | MB |", "|---|---|"]
    for name, length in (("10 min stereo", 600), ("2 h stereo", 7200)):
        path = noise(os.path.join(folder, "m.wav"), length, 2, "PCM_16")
        target = os.path.join(folder, "om.wav")
        rows.append(f"| {name}, 2 s stereo kernel | {peak_memory(convtool(path, '-k', kernel, '-o', target)):.0f} |")
    return rows


def main() -> None:
    """Print the tables in Markdown."""
    missing = absent("ffmpeg", "sox")
    print(f"{machine(ROUNDS)}\n")
    print(
        "| whole command (s) | convtool | warm | ffmpeg afir | SciPy oaconvolve | sox | soundfile copy | import torch |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(dir=shared_memory()) as folder:
        for case, commands in cases(folder).items():
            with warm_process():
                times = compare({name: command for name, command in commands.items() if name not in missing})
            middle = {name: f"{statistics.median(taken):.2f}" for name, taken in times.items()}
            cells = [middle["convtool"], middle["warm"]]
            for other in PEERS:
                ratios = [f"{ratio(times, own, other):.2f}" for own in ("convtool", "warm") if other in times]
                cells.append(f"{middle[other]} ({', '.join(ratios)})" if ratios else "–")
            print(f"| {case} | {' | '.join(cells)} |")
        print("\nIn brackets: convtool's time by that one's, cold and warm, pair by pair.\n")
        print("\n".join(memory(folder)))


if __name__ == "__main__":
    main()
