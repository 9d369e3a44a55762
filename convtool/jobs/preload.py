"""Imported once by the server that workers are forked from, so that they start with everything loaded."""

from importlib import import_module

from convtool.jobs.backend import load_torch

load_torch()
for name in (
    "signals.audio.opening",
    "signals.audio.reader",
    "signals.audio.writer",
    "signals.text.reader",
    "signals.text.writer",
    "signals.npy",
    "jobs.convolve.job",
    "jobs.windows.job",
    "jobs.models.lstm",
    "jobs.models.wavenet",
    "jobs.rescale.job",
    "ops.convolution.convolve",
    "ops.windows.local_stats",
    "ops.dilated.impulse",
    "ops.dilated.stream",
    "ops.recurrent.shared_rows",
    "ops.resampling",
    "ops.scaling",
):
    import_module(f"convtool.{name}")
