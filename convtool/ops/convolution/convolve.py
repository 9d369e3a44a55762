"""True convolution of a signal of any length with a kernel of any length."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor

from convtool.errors import InputError
from convtool.ops.blocks import Blockwise
from convtool.ops.convolution.direct import Direct
from convtool.ops.convolution.overlap_save import OverlapSave
from convtool.ops.convolution.taps import Taps, needs_grad
from convtool.ops.edges import Edges
from convtool.ops.parallel import empty, keep_freed_memory, one_thread, run_in_threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from convtool.ops.blocks import Work

Mode = Literal["full", "same", "valid", "causal", "aligned"]
PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]
Method = Literal["auto", "direct", "fft"]

DIRECT_TAPS = 12
"""Taps a stride up to which adding shifted copies is faster than an FFT."""

BLOCK = 1 << 19
"""Samples that a whole signal is cut into for several threads."""


def convolve(
    signal: Tensor,
    kernel: Tensor,
    *,
    mode: Mode = "full",
    correlate: bool = False,
    stride: int = 1,
    dilation: int = 1,
    padding_mode: PaddingMode = "zeros",
    method: Method = "auto",
    bias: Tensor | float | None = None,
) -> Tensor:
    """Convolve `signal` with `kernel`: ``y[n] = sum_k kernel[k] signal[n - k * dilation]``.

    This is `Convolution` on one block, so it gives the same bits as any cutting into blocks. With K' the kernel's
    length in samples, ``dilation * (K - 1) + 1``, the outputs are, before `stride`:

    ======= ================ =====================================================
    mode    length           first output
    ======= ================ =====================================================
    full    T + K' - 1       0
    same    T                (K' - 1) // 2 of full, also where the kernel is longer
    valid   T - K' + 1       K' - 1 of full; signal and kernel never change roles
    causal  T                0: what `scipy.signal.lfilter` gives
    aligned T                where the kernel has its peak, the largest of its taps
    ======= ================ =====================================================

    Args:
        signal: ``(T,)`` or ``(..., C, T)``, real numbers; never changed.
        kernel: ``(K,)`` serves every channel (and any leading dimensions); ``(C, K)`` goes channel by channel,
            and gives C channels from a mono signal; ``(C_out, C_in, K)`` mixes channels as `torch.nn.Conv1d` does.
        mode: which outputs.
        correlate: leave the kernel unflipped, as Conv1d does: the same as convolving with the flipped kernel.
        stride: keep outputs 0, stride, 2 * stride... of the mode's.
        dilation: the distance of the taps in samples.
        padding_mode: with ``same``, what stands before the signal, K' - 1 - (K' - 1) // 2 samples, and after it,
            (K' - 1) // 2: as in `torch.nn.functional.pad`.
        method: see `Convolution`.
        bias: added to the outputs: one number, or one for each output channel.

    Returns:
        ``(..., C_out, outputs)``, or ``(outputs,)`` for a signal ``(T,)`` and a kernel ``(K,)``. float32 and float64
        signals keep their dtype; float16 and bfloat16 are worked in float32; integers with integers are exact
        int64; integers with floating-point taps give float64.

        An output whose inputs are all zero is exactly 0 (plus the bias). A NaN or an infinity spoils the outputs that
        a tap connects with it, as direct arithmetic would, and no other (for one in the kernel, the zeros before
        and after the signal count as samples).

        By FFT an output errs by less than 0.3 e on noise, with e the dtype's epsilon times the norms of signal and
        kernel, and by up to 5 e on positive or tonal signals (measured; SciPy by up to 3.7 e). Neither loud windows
        nor loud rows of taps cost others a digit.

    Raises:
        InputError: the signal is empty, shorter than a ``valid`` kernel or than its padding, or an integer result
            passes what int64 holds.
        TypeError: complex or boolean tensors.
        ValueError: anything else that does not fit.

    >>> convolve(torch.tensor([4, 1, 2, 5]), torch.tensor([1, 2, -1])).tolist()
    [4, 9, 0, 8, 8, -5]
    >>> convolve(torch.tensor([4.0, 1.0, 2.0, 5.0]), torch.tensor([1.0, 2.0, -1.0]), mode="valid").tolist()
    [0.0, 8.0]
    """
    if not torch.is_grad_enabled():
        signal, kernel = signal.detach(), kernel.detach()
    operation = Convolution(
        kernel,
        mode=mode,
        correlate=correlate,
        stride=stride,
        dilation=dilation,
        padding_mode=padding_mode,
        method=method,
        bias=bias,
        before=signal,
        samples=signal.shape[-1] if signal.dim() else None,
    )
    tracked = [tensor for tensor in (signal, kernel, bias) if isinstance(tensor, Tensor)]
    threads = torch.get_num_threads()
    if (
        signal.numel() < 2 * BLOCK
        or needs_grad(*tracked)
        or torch.is_inference_mode_enabled()
        or signal.is_cuda
        or not operation.same_dtype(signal)
    ):
        return torch.cat([operation.push(signal), operation.finish()], -1)
    return _in_pieces(operation, signal, threads)


def _in_pieces(operation: Convolution, signal: Tensor, threads: int) -> Tensor:
    """The result of `operation` on the whole of `signal`, in pieces that stay in the cache, shared out to threads.

    As the signal is all there, the pieces are views of it instead of copies, and go straight into the result.
    """
    plan = operation.begin(signal)
    engine = plan.engine
    channels = signal.numel() // signal.shape[-1]
    rows = max(1, BLOCK // (channels * engine.hop), 4 * (engine.reach > BLOCK // 8))
    rows = rows if rows < 8 else rows & -8  # whole batches, not one of a few rows at the end
    parts = [*plan.edges.feed(signal.reshape(*plan.shape, -1)), plan.edges.end()]
    total = operation.check_length(signal.shape[-1])
    starts = iter(range(0, total, rows * engine.hop))
    lock = Lock()
    shape = operation.result_shape(signal.shape[-1])
    result = empty(shape, signal, plan.dtype)

    def share() -> None:
        while True:
            with lock:
                at = next(starts, None)
                if at is None:
                    return
                left = min(total - at, rows * engine.hop)
                count = -(-left // engine.hop)
                segment = _between(parts, at, at + count * engine.hop + engine.reach)
                start = operation.outputs
                work = operation.staged(segment, left)
                out = result[..., start : operation.outputs]
            work(out)

    if threads == 1:
        share()
    else:
        run_in_threads(share, threads)
    return result


def _between(parts: list[Tensor], start: int, stop: int) -> Tensor:
    """The samples from `start` to `stop` of the joined `parts`, then zeros; a view where one part has all."""
    found, at = [], 0
    for part in parts:
        low, high = max(start - at, 0), min(stop - at, part.shape[-1])
        if low < high:
            found.append(part[..., low:high])
        at += part.shape[-1]
    if stop > at:
        found.append(parts[0].new_zeros((*parts[0].shape[:-1], stop - max(at, start))))
    return found[0] if len(found) == 1 else torch.cat(found, -1)


class Convolution(Blockwise):
    """`convolve` for a signal ``(..., C, T)`` that arrives in blocks.

    The automatic method is direct up to 12 taps other than zero for each step of the stride, where the kernel has
    a NaN or an infinity, and for integers (with any `method`); FFT otherwise. The rows of
    the FFT are chosen by the kernel's length, and shorter where the signal is known to be.

    Args:
        kernel, mode, correlate, stride, dilation, padding_mode, bias: see `convolve`.
        method: ``direct``, ``fft`` or ``auto``.
        before: with circular padding, the signal's last samples, `left` of them or more.
        ringing: how many of the taps stand before time 0, and how many behind the kernel's proper end (the other way
            round with `correlate`): the outputs begin that much later in full, and those of ``same`` are centred on
            the taps between.
        samples: how long the signal is expected to be, or None; it may turn out otherwise. The bits of the result
            depend on this (as rounding does on the rows), not on where the blocks are cut.

    Attributes:
        method: ``direct`` or ``fft``, as chosen.
        left: samples of padding before the signal.
        right: samples of padding after the signal.
        outputs: how many outputs the blocks staged so far complete, a channel.

    >>> smooth = Convolution(torch.tensor([0.5, 0.5]))
    >>> [smooth.push(torch.tensor(block)).tolist() for block in ([2.0], [4.0, 6.0])], smooth.finish().tolist()
    ([[1.0], [3.0, 5.0]], [3.0])
    """

    def __init__(
        self,
        kernel: Tensor,
        *,
        mode: Mode = "full",
        correlate: bool = False,
        stride: int = 1,
        dilation: int = 1,
        padding_mode: PaddingMode = "zeros",
        method: Method = "auto",
        bias: Tensor | float | None = None,
        before: Tensor | None = None,
        ringing: tuple[int, int] = (0, 0),
        samples: int | None = None,
    ) -> None:
        _check_choice("mode", mode, get_args(Mode))
        _check_choice("padding_mode", padding_mode, get_args(PaddingMode))
        _check_choice("method", method, get_args(Method))
        if padding_mode != "zeros" and mode != "same":
            raise ValueError(f'padding_mode "{padding_mode}" needs mode "same"; mode is "{mode}"')
        for name, value in (("stride", stride), ("dilation", dilation)):
            if value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        _check_numbers("kernel", kernel)
        if not 1 <= kernel.dim() <= 3 or kernel.numel() == 0:
            raise ValueError(
                f"the kernel's shape is {tuple(kernel.shape)}; give (taps,), (channels, taps) or "
                f"(channels out, channels in, taps), at least one of each"
            )
        self._kernel = kernel if correlate else kernel.flip(-1)
        self._stride, self._dilation, self._mode, self._padding = stride, dilation, mode, padding_mode
        self._bias = None if bias is None else _as_bias(bias, kernel)
        self._span = span = dilation * (kernel.shape[-1] - 1)
        if min(ringing) < 0 or sum(ringing) >= kernel.shape[-1]:
            raise ValueError(f"ringing is {ringing}; of {kernel.shape[-1]} taps at least one must be left between")
        early, late = (dilation * taps for taps in ringing)
        first = {
            "full": early,
            "same": early + (span - early - late) // 2,
            "valid": span,
            "causal": early,
            "aligned": dilation * _peak(self._kernel) if mode == "aligned" else 0,
        }[mode]
        self.left = span - first
        self.right = {"full": span, "valid": 0}.get(mode, first)
        self._before = before
        self._samples = samples
        if not bool(kernel.isfinite().all()):
            method = "direct"
        elif method == "auto":
            taps = int(kernel.count_nonzero(-1).max())
            method = "direct" if taps <= DIRECT_TAPS * stride else "fft"
        self.method = method
        self._taps: dict[tuple[torch.device, torch.dtype], Taps] = {}
        self.outputs = 0
        self._plan: _Plan | None = None
        self._pending: list[Tensor] = []
        self._position = 0  # of the first pending sample in the padded signal, and of the next output before stride

    def again(self, *, samples: int | None = None, before: Tensor | None = None) -> Convolution:
        """The same convolution for another signal: what was found out about the kernel is found out once.

        To be called before the first block.
        """
        other = copy(self)
        other._samples, other._before, other._pending = samples, before, []
        return other

    def describe(self) -> str:
        """The method in a few words, such as ``fft, 8192-point rows``."""
        if self._plan is not None:
            return self._plan.engine.describe()
        taps = Taps(self._kernel.flatten(0, -2) if self._kernel.dim() > 1 else self._kernel[None], self._dilation)
        return (Direct(taps) if self.method == "direct" else OverlapSave(taps)).describe()

    def begin(self, like: Tensor) -> _Plan:
        """Settle shapes, dtypes and the arithmetic from the first block; check the others against it."""
        if self._plan is None:
            self._plan = self._planned(like)
            del self._kernel  # the engine has its own
            if isinstance(self._plan.engine, Direct):
                self.method = "direct"
        elif (like.shape[:-1], like.dtype) != (self._plan.leading, self._plan.received):
            raise ValueError(
                f"a block of shape {tuple(like.shape)} and {like.dtype} follows blocks of shape "
                f"{(*self._plan.leading, '...')} and {self._plan.received}; they must agree but for the samples"
            )
        return self._plan

    def same_dtype(self, like: Tensor) -> bool:
        """Whether `like` is worked in its own dtype."""
        return self.begin(like).work == like.dtype

    def result_shape(self, samples: int) -> tuple[int, ...]:
        """The shape of the whole result for `samples` of signal, once `begin` has seen its other dimensions."""
        assert self._plan is not None
        return (*self._plan.result, -(-self._total(samples) // self._stride))

    def stage(self, block: Tensor) -> Work:
        """Take in samples ``(..., C, T)``; the function returned computes the outputs that they complete."""
        plan = self.begin(block)
        arrived = plan.edges.feed(block.reshape(*plan.shape, -1).to(plan.work)) if block.shape[-1] else []
        ready = sum(piece.shape[-1] for piece in [*self._pending, *arrived]) - plan.engine.reach
        rows = 0 if self._waits(plan) else max(0, ready // plan.engine.hop)
        # What stays until later is a copy: the caller may use the block's memory again.
        self._pending += arrived if rows else [piece.clone() for piece in arrived]
        return self._next(plan, rows, rows * plan.engine.hop)

    def _waits(self, plan: _Plan) -> bool:
        """Whether what has arrived is worked with the end of the signal, which is near: one call plans once."""
        short = self._samples is not None and self._samples * plan.leading.numel() <= BLOCK
        return short and self.method == "fft" and plan.edges.received <= (self._samples or 0)

    def stage_end(self) -> Work:
        """Take in the end of the signal; the function returned computes the last outputs.

        Raises:
            InputError: the signal is empty, shorter than a ``valid`` kernel or than its padding.
        """
        plan = self._plan
        left = self.check_length(0 if plan is None else plan.edges.received) - self._position
        assert plan is not None
        rows = -(-left // plan.engine.hop)
        self._pending.append(plan.edges.end())
        missing = rows * plan.engine.hop + plan.engine.reach - sum(piece.shape[-1] for piece in self._pending)
        self._pending.append(plan.zeros(max(0, missing)))
        work = self._next(plan, rows, left)
        self._pending = []
        return work

    def check_length(self, samples: int) -> int:
        """How many outputs, before stride, a signal of `samples` has; InputError if none."""
        if samples == 0:
            raise InputError("the signal is empty; a convolution needs at least one sample")
        if self._total(samples) < 1:
            raise InputError(
                f'mode "valid" needs a signal at least as long as the kernel, which spans {self._span + 1} samples; '
                f'the signal has {samples}; use mode "same" or "full"'
            )
        return self._total(samples)

    def _total(self, samples: int) -> int:
        return samples + self.left + self.right - self._span

    def _next(self, plan: _Plan, rows: int, outputs: int) -> Work:
        """The work on the next `rows` rows of the pending samples, of which `outputs` outputs are real."""
        if rows == 0:
            nothing = torch.zeros((*plan.result, 0), dtype=plan.dtype, device=plan.zeros(0).device)
            self._pending = [torch.cat(self._pending, -1)] if len(self._pending) > 64 else self._pending
            return lambda: nothing
        joined = torch.cat(self._pending, -1)
        advance = rows * plan.engine.hop
        self._pending = [joined[..., advance:].clone()]
        return self.staged(joined[..., : advance + plan.engine.reach], outputs)

    def staged(self, segment: Tensor, outputs: int) -> Callable[..., Tensor]:
        """The work on the next rows, whose samples are `segment` and of which `outputs` outputs are real.

        It may be given the tensor that the outputs go into.
        """
        assert self._plan is not None
        plan, stride = self._plan, self._stride
        skip = -self._position % stride
        count = len(range(skip, outputs, stride))
        place = self.outputs
        self._position += segment.shape[-1] - plan.engine.reach
        self.outputs += count
        compute = plan.engine.stage(segment, skip, stride, place)
        # Rows that are whole and need no other dtype can be computed where they are wanted.
        fits = stride == 1 and plan.work == plan.dtype and outputs == segment.shape[-1] - plan.engine.reach

        def work(into: Tensor | None = None) -> Tensor:
            with one_thread():
                whole = (plan.shape[0], -1, count)
                y = compute(None if into is None or not fits else into.view(whole))[..., :count]
                if plan.bias is not None:
                    y = y + plan.bias if needs_grad(y, plan.bias) else y.add_(plan.bias)
                y = y.to(plan.dtype).reshape(*plan.result, count)
                return y if into is None or fits else into.copy_(y)

        return work

    def _planned(self, like: Tensor) -> _Plan:
        """What the first block settles."""
        keep_freed_memory()
        _check_numbers("signal", like)
        if like.dim() == 0:
            raise ValueError("the signal has no dimensions; give (samples,) or (..., channels, samples)")
        kernel, bias = self._kernel, self._bias
        whole = not any(x.is_floating_point() for x in (like, kernel, bias) if x is not None)
        if whole:
            work = torch.int64
        elif like.is_floating_point():
            work = torch.float32 if like.dtype.itemsize == 2 else like.dtype
        else:
            work = torch.float64
        if like.dtype == torch.uint64 and bool((like.to(torch.int64) < 0).any()):
            raise InputError("the signal is uint64 with values past 2^63 - 1; convert it to float64")
        shape, result, values = _layout(like.shape[:-1], kernel)
        taps = self._taps.setdefault((like.device, work), Taps(values.to(like.device, work), self._dilation))
        if bias is not None:
            bias = bias.to(like.device, work)
            if bias.numel() not in (1, result[-1] if result else 1):
                raise ValueError(f"the bias has {bias.numel()} numbers; give one, or {result[-1:]}, one a channel")
        engine = (
            Direct(taps, exact=whole, bias=bias if whole else None)
            if whole or self.method == "direct"
            else OverlapSave(taps, None if self._samples is None else max(1, self._total(self._samples)))
        )
        device = like.device  # and not the block, which the function below would keep
        before = self._wrapped(like, shape, work) if self._padding == "circular" and self.left else None
        return _Plan(
            leading=like.shape[:-1],
            received=like.dtype,
            shape=shape,
            result=result,
            work=work,
            dtype=like.dtype if like.is_floating_point() else work,
            bias=None if bias is None or whole else bias.unsqueeze(-1),
            edges=Edges(self._padding, self.left, self.right, before),
            engine=engine,
            zeros=lambda n: torch.zeros((*shape, n), dtype=work, device=device),
        )

    def _wrapped(self, like: Tensor, shape: tuple[int, int], work: torch.dtype) -> Tensor:
        """The samples that circular padding puts before the signal."""
        before = self._before
        if before is None or before.shape[:-1] != like.shape[:-1]:
            raise ValueError(
                f"circular padding needs the signal's last {self.left} samples as `before`, of shape "
                f"{(*like.shape[:-1], self.left)}; it is {None if before is None else tuple(before.shape)}"
            )
        if before.shape[-1] < self.left:
            raise InputError(
                f"circular padding of {self.left} samples needs at least as many of signal, which has "
                f"{before.shape[-1]}; use a shorter kernel or zeros or replicate"
            )
        return before[..., before.shape[-1] - self.left :].reshape(*shape, -1).to(work)


@dataclass(frozen=True)
class _Plan:
    """What the first block settles: shapes, dtypes, the arithmetic."""

    leading: torch.Size
    received: torch.dtype
    shape: tuple[int, int]
    result: tuple[int, ...]
    work: torch.dtype
    dtype: torch.dtype
    bias: Tensor | None
    edges: Edges
    engine: Direct | OverlapSave
    zeros: Callable[[int], Tensor]


def _layout(leading: torch.Size, kernel: Tensor) -> tuple[tuple[int, int], tuple[int, ...], Tensor]:
    """The signal as ``(B, C)``, the result's shape but for its samples, the taps as `Taps` has them."""
    if leading.numel() == 0:
        raise ValueError(f"the signal has no channels: its shape is {(*leading, '...')}")
    if kernel.dim() == 1:
        return (1, leading.numel()), tuple(leading), kernel.unsqueeze(0)
    outer, received = leading[:-1], leading[-1] if leading else 1
    wanted = kernel.shape[kernel.dim() - 2]
    mixes = kernel.dim() == 3
    if received != wanted and (mixes or 1 not in (received, wanted)):
        raise ValueError(
            f"a kernel of shape {tuple(kernel.shape)} takes {wanted} channels and the signal has {received}; "
            f"give it {received} channels, or one for all"
        )
    if mixes:
        return (outer.numel(), received), (*outer, kernel.shape[0]), kernel
    if wanted == 1:
        return (1, leading.numel()), (*outer, received), kernel
    return (outer.numel(), received), (*outer, wanted), kernel


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(choices)}")


def _check_numbers(name: str, x: Tensor) -> None:
    if x.dtype == torch.bool or x.is_complex():
        raise TypeError(f"the {name} is {x.dtype}; give real numbers, such as {name}.to(torch.float32)")


def _peak(taps: Tensor) -> int:
    """Where the largest tap stands, over all channels, of taps in correlation order."""
    return int(taps.flip(-1).abs().reshape(-1, taps.shape[-1]).amax(0).argmax())


def _as_bias(bias: Tensor | float, kernel: Tensor) -> Tensor:
    x = bias if isinstance(bias, Tensor) else torch.tensor(bias, device=kernel.device)
    if isinstance(bias, float):
        x = torch.tensor(bias, dtype=torch.float64, device=kernel.device)
    _check_numbers("bias", x)
    if x.dim() > 1:
        raise ValueError(f"the bias has shape {tuple(x.shape)}; give one number, or one for each output channel")
    return x.reshape(-1)
