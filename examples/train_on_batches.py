#!/usr/bin/env python3
"""Trains a small classifier on labelled segments of recordings, and shows that their padding changes nothing.

Usage: train_on_batches.py FOLDER

Makes tones and noises of 0.1 to 0.5 s as WAV files in FOLDER, with their classes in labels.csv, cuts them into segments
of 0.25 s and puts these into batches with `convtool pad-batch`, apart for training and for the test. Then it trains a
Conv1d layer with masked pooling.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import nn

from convtool.ops import masked_pool, output_mask

RATE, KERNEL = 8000, 32


def make_recordings(folder: Path) -> None:
    """Forty tones and forty noises, and a table of which are tones."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(40):
        times = np.arange(rng.integers(800, 4000)) / RATE
        tone = 0.3 * np.sin(2 * np.pi * rng.uniform(200, 2000) * times)
        noise = 0.2 * rng.standard_normal(rng.integers(800, 4000))
        soundfile.write(folder / f"{2 * number:02d}.wav", tone, RATE)
        soundfile.write(folder / f"{2 * number + 1:02d}.wav", noise, RATE)
    rows = "".join(f"{number:02d}.wav,{1 - number % 2}\n" for number in range(80))
    (folder / "labels.csv").write_text(f"path,is_tone\n{rows}")


class Classifier(nn.Module):
    """One convolution, pooled over the real samples of each row alone."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 8, KERNEL, stride=4)
        self.out = nn.Linear(8, 1)

    def forward(self, batch: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        heard = self.conv(batch).relu()
        real = output_mask(lengths, batch.shape[-1], kernel_size=KERNEL, stride=4)
        return self.out(masked_pool(heard, real, kind="std")).squeeze(-1)


def load(folder: Path) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Every batch with its lengths and classes."""
    manifest = json.loads((folder / "manifest.json").read_text())
    batches = []
    for shard in manifest["shards"]:
        batch, lengths, is_tone = (
            torch.from_numpy(np.load(folder / shard["file"].replace(".npy", f"{array}.npy")))
            for array in ("", ".lengths", ".is_tone")
        )
        batches.append((batch, lengths, is_tone.float()))
    return batches


def main(folder: Path) -> None:
    torch.manual_seed(0)
    make_recordings(folder / "recordings")
    command = ["convtool", "pad-batch", "--manifest", folder / "recordings" / "labels.csv", "-o", folder / "batches"]
    how = ["--segment", "0.25s", "--split", "0.8,0.2", "--strategy", "bucket", "--batch-size", "16", "--seed", "1"]
    subprocess.run([*command, *how], check=True)
    batches, unseen, model = load(folder / "batches" / "train"), load(folder / "batches" / "test"), Classifier()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for epoch in range(30):
        total = 0.0
        for batch, lengths, classes in batches:
            loss = nn.functional.binary_cross_entropy_with_logits(model(batch, lengths), classes)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() / len(batches)
        if epoch % 10 == 9:
            print(f"epoch {epoch + 1}: loss {total:.3f}")
    with torch.no_grad():
        right = sum(((model(x, n) > 0) == (y > 0)).sum().item() for x, n, y in unseen)
        segments = sum(len(y) for _, _, y in unseen)
        batch, lengths, _ = batches[0]
        further = nn.functional.pad(batch, (0, 5000), value=1e9)
        same = torch.allclose(model(batch, lengths), model(further, lengths), rtol=1e-6, atol=1e-6)
    print(f"right: {right} of {segments}; the same with 5000 samples of padding more: {'yes' if same else 'no'}")
    if not same or right < 0.9 * segments:
        sys.exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
