"""`convtool convolve`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from convtool.cli import messages
from convtool.cli.options import choice, command, flag, integer, parsed, real, text
from convtool.cli.picking import Pick, picked
from convtool.cli.running import run_job
from convtool.cli.shared_options import JobSettings, PaddingMode, SignalOptions, length
from convtool.errors import ConvtoolError, UsageError
from convtool.files.names import show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convtool.signals.length import Length
    from convtool.signals.raw import RawLayout
    from convtool.signals.text.options import TextOptions

Mode = Literal["full", "same", "valid", "causal", "aligned"]
Method = Literal["auto", "direct", "fft"]
KernelNorm = Literal["none", "peak", "l1", "l2", "dc"]
Nan = Literal["propagate", "error", "zero"]

_MOST_DECIBELS = 1000
"""Beyond it a factor says nothing; far beyond, it is no float any more."""


def _delay(word: str) -> tuple[Length, bool]:
    return length(word.removeprefix("-")), word.startswith("-")


@dataclass(frozen=True)
class Options(SignalOptions):
    """The options of `convolve`."""

    kernel: str = text(
        "Numbers (--kernel=-1,2 when the first is negative), a file, or FILE::TENSOR of a weight file; a folder or "
        "pattern with --pick.",
        "-k --kernel",
        required=True,
        metavar="KERNEL",
    )
    pick: Pick | None = choice(
        Pick,
        "Of a folder or pattern of kernels: one for each input, the same for the same name; or each of them, with "
        "{kernel} in -o.",
    )
    seed: int | None = integer("Other choices of --pick random.  [default: 0]", metavar="N")
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
    kernel_delay: tuple[Length, bool] | None = parsed(
        _delay, "Silence before the kernel; a negative one drops its beginning instead.", metavar="N|TIME"
    )
    kernel_fade: Length | None = parsed(
        length, "Fade out the kernel's end, trimmed or not, along half a cosine.", metavar="N|TIME"
    )
    trim_kernel: float | None = real(
        "Drop the kernel's end that stays DB below its peak.", like="decibels, such as 60", metavar="DB"
    )
    gain: float = real(
        "Gain of the convolved part.", like="decibels, such as -6", default=0.0, show_default=False, metavar="DB"
    )
    mix: float = real(
        "Share of the convolved part; the rest is the dry signal.",
        least=0,
        most=1,
        like="a share, such as 0.3,",
        default=1.0,
        metavar="0..1",
    )
    normalize: float | None = real(
        "Bring the peak of each output to DB, after --gain and --mix; without DB to 0, full scale: 1 in text and NPY.",
        most=0,
        like="decibels, such as -1,",
        bare="0",
        metavar="[DB]",
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
      convtool convolve takes/ -k halls/ --pick random -o augmented/
      cat x.csv | convtool convolve -k 0.25,0.5,0.25 --mode same
    """
    from convtool.jobs.choosing import find_kernels, word_of
    from convtool.jobs.convolve.job import ConvolveJob
    from convtool.jobs.convolve.kernel import path_of
    from convtool.jobs.convolve.shaping import Shaping

    _check(options)
    shaping = Shaping(
        matrix=options.matrix,
        groups=options.groups,
        resample=options.resample_kernel,
        delay=options.kernel_delay[0] if options.kernel_delay else None,
        early=bool(options.kernel_delay and options.kernel_delay[1]),
        trim_db=options.trim_kernel,
        fade=options.kernel_fade,
        norm=options.kernel_norm,
        correlate=options.correlate,
        gain_db=options.gain,
        mix=options.mix,
        align_peak=options.align_peak,
    )

    kernels, passed = find_kernels(options.kernel)
    for path in passed:
        messages.detail(f"passed over, no kernel: {show(path)}")
    choices = picked("kernel", options.kernel, kernels, options)

    def job(settings: JobSettings) -> ConvolveJob:
        return ConvolveJob(
            word_of(kernels[0]),
            shaping,
            bias=options.bias,
            mode=options.mode,
            stride=options.stride,
            dilation=options.dilation,
            padding_mode=options.padding_mode,
            method=options.method,
            normalize=options.normalize,
            nan=options.nan,
            plot=options.plot,
            **settings,
        )

    words = [word_of(kernel) for kernel in kernels] + ([] if options.bias is None else [options.bias])
    if words.count("-") > 1 or ("-" in words and options.takes_stdin()):
        raise UsageError("standard input can be the kernel, the bias or the input, and one of them alone")
    loaded = _load(words, options.raw_layout(), options.read_options("NCT", None).text.notation)
    _check_kept(options, min(loaded[: len(kernels)]))
    single = "a kernel on standard input serves one input" if "-" in words else None
    also_read = [path_of(word) for word in words]
    return run_job(options, job, plot=options.plot, single=single, also_read=also_read, choices=choices)


def _check_kept(options: Options, taps: int) -> None:
    """Refuse columns to keep where it shows that the output has other rows; `taps` are those of the shortest kernel."""
    delay, early = options.kernel_delay or (None, False)
    longer = delay is not None if taps == 1 else options.trim_kernel is None
    changes = options.mode in ("full", "valid") and longer and not early
    mode = f"--mode {options.mode} with a kernel of more than one tap"
    options.refuse_kept({f"--stride {options.stride}": options.stride > 1, mode: changes})


def _load(words: Sequence[str], raw: RawLayout | None, notation: TextOptions) -> list[int]:
    """Read all kernels; how many taps each has.

    One that can't be read is one error, not one for each input, and told before any work.
    """
    from convtool.jobs.convolve.kernel import load

    failed: list[ConvtoolError] = []
    taps: list[int] = []
    for word in words:
        try:
            kernel = load(word, raw, notation)
        except ConvtoolError as error:
            failed.append(error)
            continue
        taps.append(kernel.taps.shape[-1])
        for note in kernel.notes:
            messages.warn(f"kernel {show(word)}: {note}")
        for remark in kernel.remarks:
            messages.detail(f"kernel {show(word)}: {remark}")
    for each in failed[:-1]:
        messages.error(str(each))
    if failed:
        raise failed[-1]
    return taps


def _check(options: Options) -> None:
    """Refuse what does not go together, and numbers that are no gains."""
    if options.padding_mode != "zeros" and options.mode != "same":
        raise UsageError(f"--padding-mode {options.padding_mode} needs --mode same")
    if options.align_peak and options.mix == 1.0:
        raise UsageError("--align-peak delays the dry part; give --mix below 1")
    numbers = {"--trim-kernel": options.trim_kernel, "--gain": options.gain}
    for name, value in numbers.items():
        if value is not None and not abs(value) <= _MOST_DECIBELS:
            raise UsageError(f"{name} is {value}; expected a number of at most {_MOST_DECIBELS}")
