"""`convtool convolve`."""

from __future__ import annotations

from typing import Any

import click

from convtool.cli.options import (
    Io,
    batch_options,
    compute_options,
    input_options,
    output_options,
    settings,
    talk_options,
)
from convtool.cli.running import run_batch
from convtool.errors import UsageError

_MOST_DECIBELS = 1000
"""Beyond it a factor says nothing; far beyond, it is no float any more."""


@click.command("convolve")
@input_options
@click.option(
    "-k",
    "--kernel",
    required=True,
    metavar="KERNEL",
    help="Numbers (--kernel=-1,2 when the first is negative), a file, or FILE::TENSOR of a weight file.",
)
@click.option(
    "--mode",
    type=click.Choice(["full", "same", "valid"]),
    default="full",
    show_default=True,
    help="Outputs: all N+K-1; N, from (K-1)//2 on; or N-K+1 that the kernel covers whole.",
)
@click.option("--correlate", is_flag=True, help="Leave the kernel unflipped, as torch, Keras and ONNX do.")
@click.option(
    "--stride",
    type=click.IntRange(1, 1 << 31),
    default=1,
    show_default=True,
    metavar="N",
    help="Keep every N-th output.",
)
@click.option(
    "--dilation",
    type=click.IntRange(1, 1 << 24),
    default=1,
    show_default=True,
    metavar="N",
    help="Distance of the taps in samples.",
)
@click.option(
    "--padding-mode",
    type=click.Choice(["zeros", "reflect", "replicate", "circular"]),
    default="zeros",
    show_default=True,
    help="What lies beyond the ends, with --mode same.",
)
@click.option(
    "--method",
    type=click.Choice(["auto", "direct", "fft"]),
    default="auto",
    show_default=True,
    help="auto: direct for a few taps and for integers, else FFT.",
)
@click.option(
    "--matrix", is_flag=True, help="The kernel's channels are inputs x outputs (LL,LR,RL,RR) and mix the signal's."
)
@click.option("--bias", metavar="KERNEL", help="Added to the result: one number, or one an output channel.")
@click.option("--resample-kernel", is_flag=True, help="Bring a kernel of another sample rate to the signal's.")
@click.option(
    "--kernel-norm",
    type=click.Choice(["none", "peak", "l1", "l2", "dc"]),
    default="none",
    show_default=True,
    help="Divide the kernel by this norm, the largest over its channels.",
)
@click.option("--trim-kernel", type=float, metavar="DB", help="Drop the kernel's end that stays DB below its peak.")
@click.option("--gain", type=float, default=0.0, metavar="DB", help="Gain of the convolved part.")
@click.option(
    "--mix",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    metavar="0..1",
    help="Share of the convolved part; the rest is the dry signal.",
)
@click.option("--align-peak", is_flag=True, help="Delay the dry part to the kernel's peak.")
@click.option(
    "--nan",
    type=click.Choice(["propagate", "error", "zero"]),
    default="propagate",
    show_default=True,
    help="What a NaN or infinity in the input does.",
)
@click.option("--plot", metavar="FILE", help="Draw input, kernel and output: waveforms and spectra.")
@output_options
@compute_options
@batch_options
@talk_options
def command(**options: Any) -> int:
    """Convolve signals with a kernel: y[n] = sum over k of h[k] x[n-k].

    The kernel is flipped, as in signal processing, NumPy and SciPy; --correlate leaves it as it is.
    Files of any length are worked in blocks. Numbers that begin with a minus follow -- or an equals sign.

    \b
    Examples:
      convtool convolve 4,1,2,5 -k 1,2,-1
      convtool convolve guitar.wav -k cabinet.wav -o out.flac
      convtool convolve takes/ -k hall.wav --mix 0.3 -o wet/
      cat x.csv | convtool convolve -k 0.25,0.5,0.25 --mode same
    """
    from convtool.jobs.convolve.job import ConvolveJob
    from convtool.jobs.convolve.kernel import load, path_of
    from convtool.jobs.convolve.shaping import Shaping

    io = Io.of(options)
    if options["padding_mode"] != "zeros" and options["mode"] != "same":
        raise UsageError(f"--padding-mode {options['padding_mode']} needs --mode same")
    if options["align_peak"] and options["mix"] == 1.0:
        raise UsageError("--align-peak delays the dry part; give --mix below 1")
    for name in ("trim_kernel", "gain", "mix"):
        if options[name] is not None and not abs(options[name]) <= _MOST_DECIBELS:
            expected = f"a number of at most {_MOST_DECIBELS}"
            raise UsageError(f"--{name.replace('_', '-')} is {options[name]}; expected {expected}")
    shaping = Shaping(
        matrix=options["matrix"],
        resample=options["resample_kernel"],
        trim_db=options["trim_kernel"],
        norm=options["kernel_norm"],
        correlate=options["correlate"],
        gain_db=options["gain"],
        mix=options["mix"],
        align_peak=options["align_peak"],
    )
    own = {name: options[name] for name in ("bias", "mode", "stride", "dilation", "padding_mode", "method")}

    def job(threads: int) -> ConvolveJob:
        return ConvolveJob(options["kernel"], shaping, **own, **settings(options, io, threads))

    sources = [word for word in (options["kernel"], options["bias"]) if word is not None]
    single = None
    if "-" in sources:
        single = "a kernel on standard input serves one input"
        if sources.count("-") > 1 or io.takes_stdin():
            raise UsageError("standard input can be the kernel, the bias or the input, and one of them alone")
    for word in sources:
        load(word)  # a kernel that can't be read is one error, not one for each input
    return run_batch(
        io,
        options,
        job,
        single=single,
        also_read=[path_of(word) for word in sources],
    )
