"""`convtool convolve`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from convtool.cli import messages
from convtool.cli.options import choice, command, flag, integer, real, text
from convtool.cli.running import run_job
from convtool.cli.shared_options import JobSettings, PaddingMode, SignalOptions
from convtool.errors import UsageError
from convtool.files.names import show

Mode = Literal["full", "same", "valid", "causal", "aligned"]
Method = Literal["auto", "direct", "fft"]
KernelNorm = Literal["none", "peak", "l1", "l2", "dc"]
Nan = Literal["propagate", "error", "zero"]

_MOST_DECIBELS = 1000
"""Beyond it a factor says nothing; far beyond, it is no float any more."""


@dataclass(frozen=True)
class Options(SignalOptions):
    """The options of `convolve`."""

    kernel: str = text(
        "Numbers (--kernel=-1,2 when the first is negative), a file, or FILE::TENSOR of a weight file.",
        "-k --kernel",
        required=True,
        metavar="KERNEL",
    )
    mode: Mode = choice(
        Mode,
        "Outputs: all N+K-1; N, from (K-1)//2 on; N-K+1 that the kernel covers whole; the first N; or N from the "
        "kernel's peak on.",
        default="full",
    )
    correlate: bool = flag("Leave the kernel unflipped, as torch, Keras and ONNX do.")
    stride: int = integer("Keep every N-th output.", least=1, most=1 << 31, default=1, metavar="N")
    dilation: int = integer("Distance of the taps in samples.", least=1, most=1 << 24, default=1, metavar="N")
    padding_mode: PaddingMode = choice(PaddingMode, "What lies beyond the ends, with --mode same.", default="zeros")
    method: Method = choice(Method, "auto: direct for a few taps and for integers, else FFT.", default="auto")
    matrix: bool = flag("The kernel's channels are inputs x outputs (LL,LR,RL,RR) and mix the signal's.")
    groups: int | None = integer(
        "Groups of channels that a kernel (out, in/groups, taps) mixes, each on its own.", least=1, metavar="N"
    )
    bias: str | None = text("Added to the result: one number, or one an output channel.", metavar="KERNEL")
    resample_kernel: bool = flag("Bring a kernel of another sample rate to the signal's.")
    kernel_norm: KernelNorm = choice(
        KernelNorm, "Divide the kernel by this norm, the largest over its channels.", default="none"
    )
    trim_kernel: float | None = real("Drop the kernel's end that stays DB below its peak.", metavar="DB")
    gain: float = real("Gain of the convolved part.", default=0.0, show_default=False, metavar="DB")
    mix: float = real(
        "Share of the convolved part; the rest is the dry signal.", least=0, most=1, default=1.0, metavar="0..1"
    )
    align_peak: bool = flag("Delay the dry part to the kernel's peak.")
    nan: Nan = choice(Nan, "What a NaN or infinity in the input does.", default="propagate")
    plot: str | None = text("Draw input, kernel and output: waveforms and spectra.", metavar="FILE")


@command("convolve", Options)
def convolve(options: Options) -> int:
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

    _check(options)
    shaping = Shaping(
        matrix=options.matrix,
        groups=options.groups,
        resample=options.resample_kernel,
        trim_db=options.trim_kernel,
        norm=options.kernel_norm,
        correlate=options.correlate,
        gain_db=options.gain,
        mix=options.mix,
        align_peak=options.align_peak,
    )

    def job(settings: JobSettings) -> ConvolveJob:
        return ConvolveJob(
            options.kernel,
            shaping,
            bias=options.bias,
            mode=options.mode,
            stride=options.stride,
            dilation=options.dilation,
            padding_mode=options.padding_mode,
            method=options.method,
            nan=options.nan,
            plot=options.plot,
            **settings,
        )

    kernels = [word for word in (options.kernel, options.bias) if word is not None]
    if kernels.count("-") > 1 or ("-" in kernels and options.takes_stdin()):
        raise UsageError("standard input can be the kernel, the bias or the input, and one of them alone")
    raw = options.raw_layout()
    for word in kernels:
        kernel = load(word, raw, options.decimal)  # a kernel that can't be read is one error, not one for each input
        for note in kernel.notes:
            messages.warn(f"kernel {show(word)}: {note}")
        for remark in kernel.remarks:
            messages.detail(f"kernel {show(word)}: {remark}")
    single = "a kernel on standard input serves one input" if "-" in kernels else None
    return run_job(options, job, plot=options.plot, single=single, also_read=[path_of(word) for word in kernels])


def _check(options: Options) -> None:
    """Refuse what does not go together, and numbers that are no gains."""
    if options.padding_mode != "zeros" and options.mode != "same":
        raise UsageError(f"--padding-mode {options.padding_mode} needs --mode same")
    if options.align_peak and options.mix == 1.0:
        raise UsageError("--align-peak delays the dry part; give --mix below 1")
    numbers = {"--trim-kernel": options.trim_kernel, "--gain": options.gain, "--mix": options.mix}
    for name, value in numbers.items():
        if value is not None and not abs(value) <= _MOST_DECIBELS:
            raise UsageError(f"{name} is {value}; expected a number of at most {_MOST_DECIBELS}")
