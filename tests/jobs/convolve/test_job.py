"""The work on one input: the kernel shaped, the signal streamed, the samples kept for a picture."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.signal
import soundfile
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from convtool import isolation
from convtool.errors import InputError, UsageError
from convtool.jobs import backend, record, signal_job, stream
from convtool.jobs.convolve import kernel, shaping
from convtool.jobs.convolve.job import ConvolveJob
from convtool.jobs.convolve.kernel import Kernel, load, path_of
from convtool.jobs.convolve.shaping import Shaped, Shaping
from convtool.jobs.stream import Ingest, Stream, computed, read_ahead
from convtool.ops.convolution.convolve import Convolution, convolve
from convtool.runs.outcome import Outcome
from convtool.runs.plan import Task
from convtool.signals.inputs import Input
from convtool.signals.opening import Output, ReadOptions, WriteOptions
from convtool.signals.signal import Block, Reader, Signal

MONO, STEREO = Signal("WAV", 1, "float32", 44100), Signal("WAV", 2, "float32", 44100)


def shape(kernel: Kernel, signal: Signal, how: Shaping) -> Shaped:
    """`kernel` in shape for `signal`."""
    return shaping.shape(kernel, how, channels=signal.channels, sample_rate=signal.sample_rate)


H = np.array([[3.0, -4.0, 0.5, 0.1]])
FOUR = np.arange(8.0).reshape(4, 2)


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    load.cache_clear()


def noise(*shape: int, seed: int = 0) -> Block:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape)


# The kernel


@pytest.mark.parametrize(
    ("taps", "how", "expected"),
    [
        (H, Shaping(), H),
        (H, Shaping(norm="peak"), H / 4),
        (H, Shaping(norm="l1"), H / 7.6),
        (H, Shaping(norm="l2"), H / np.sqrt(9 + 16 + 0.25 + 0.01)),
        (H, Shaping(norm="dc"), H / -0.4),
        (np.array([[1, 1], [3, -4]]), Shaping(norm="peak"), np.array([[0.25, 0.25], [0.75, -1.0]])),
        (np.array([[1, 2], [3, -4]]), Shaping(norm="dc"), np.array([[1, 2], [3, -4]]) / 3),
        (H, Shaping(trim_db=19), H[:, :3]),
        (H, Shaping(trim_db=-19), H[:, :3]),
        (H, Shaping(trim_db=40), H),
        (np.array([[1, 2, 1]]), Shaping(trim_db=0), np.array([[1, 2]])),
        (np.array([[1, 0, 0], [0, 1, 0]]), Shaping(trim_db=60), np.array([[1, 0], [0, 1]])),
        (np.array([[0, 0]]), Shaping(trim_db=60), np.array([[0, 0]])),
        (np.array([[np.nan, 1.0]]), Shaping(trim_db=60), np.array([[np.nan, 1.0]])),
        (H, Shaping(correlate=True), H[:, ::-1]),
        (H, Shaping(gain_db=-20), H / 10),
        (H, Shaping(mix=0.25), H / 4 + [[0.75, 0, 0, 0]]),
        (H, Shaping(mix=0.25, align_peak=True), H / 4 + [[0, 0.75, 0, 0]]),
        (H, Shaping(mix=0.25, align_peak=True, correlate=True), H[:, ::-1] / 4 + [[0, 0, 0.75, 0]]),
        (H, Shaping(norm="peak", gain_db=20, mix=0.5), H / 4 * 10 * 0.5 + [[0.5, 0, 0, 0]]),
        (H, Shaping(mix=0.0), np.array([[1.0, 0, 0, 0]])),
        (FOUR, Shaping(matrix=True), np.array([[[0, 1], [4, 5]], [[2, 3], [6, 7]]])),  # LL LR RL RR
        (FOUR[:2], Shaping(matrix=True), FOUR[:2].reshape(1, 2, 2)),
        (FOUR.reshape(2, 2, 2), Shaping(matrix=True), FOUR.reshape(2, 2, 2)),
        (FOUR.reshape(2, 2, 2), Shaping(mix=0.5), FOUR.reshape(2, 2, 2) / 2 + [[[0.5, 0], [0, 0]], [[0, 0], [0.5, 0]]]),
    ],
)
def test_shape(taps: Block, how: Shaping, expected: Block) -> None:
    given = taps.copy()
    np.testing.assert_allclose(shape(Kernel(taps, None), STEREO, how).taps, expected, rtol=1e-15)
    np.testing.assert_array_equal(taps, given)


@pytest.mark.parametrize(
    ("taps", "how", "message"),
    [
        (FOUR[:3], Shaping(matrix=True), "multiple of the signal's 2 channels; this one has 3"),
        (FOUR[:2].reshape(1, 2, 2), Shaping(mix=0.5), "--mix needs as many outputs as inputs; .* 2 channels into 1"),
        (
            FOUR[:2],
            Shaping(groups=2),
            r"--groups 2 needs a kernel .* this one has shape \(2, 2\)",
        ),
        (np.ones((2, 2, 3)), Shaping(groups=2), r"the signal's 2 channels; this one has shape \(2, 2, 3\)"),
        (np.ones((3, 1, 3)), Shaping(groups=2), r"this one has shape \(3, 1, 3\)"),
        (np.array([[1.0, -1.0]]), Shaping(norm="dc"), "dc norm is 0; it can't be scaled"),
        (np.array([[0.0, 0.0]]), Shaping(norm="peak"), "peak norm is 0"),
        (np.array([[1.0, np.nan]]), Shaping(norm="l1"), "l1 norm is nan"),
    ],
)
def test_shape_refuses(taps: Block, how: Shaping, message: str) -> None:
    with pytest.raises(InputError, match=message):
        shape(Kernel(taps, None), STEREO, how)


def test_a_kernel_of_another_rate() -> None:
    low_pass = scipy.signal.firwin(201, 1000, fs=48000)[np.newaxis]
    with pytest.raises(InputError, match="kernel is at 48000 Hz, the signal at 44100 Hz; give --resample-kernel"):
        shape(Kernel(low_pass, 48000), MONO, Shaping())
    for rate in (None, 44100):
        assert shape(Kernel(low_pass, rate), MONO, Shaping()).taps is low_pass
    assert shape(Kernel(low_pass, 48000), Signal("CSV", 1, "float64"), Shaping()).taps is low_pass
    (taps,) = shape(Kernel(low_pass, 48000), MONO, Shaping(resample=True)).taps
    frequencies, response = scipy.signal.freqz(taps, fs=44100)
    _, wanted = scipy.signal.freqz(low_pass[0], worN=frequencies, fs=48000)
    np.testing.assert_allclose(abs(response), abs(wanted), atol=1e-3)


@pytest.mark.parametrize("correlate", [False, True])
@pytest.mark.parametrize("peak", [0, 3, 300])
@pytest.mark.parametrize(
    "rates", [(44100, 96000), (48000, 192000), (48000, 44100), (44100, 48001), (96000, 44100), (48000, 8000)], ids=str
)
def test_a_resampled_kernel_keeps_its_gain(rates: tuple[int, int], peak: int, correlate: bool) -> None:
    own, rate = rates
    delta = np.zeros((2, 301))
    delta[:, peak] = 1, -0.25
    how = Shaping(resample=True, correlate=correlate)
    taps, (ahead, _), _ = shape(Kernel(delta, own), Signal("WAV", 2, "float32", rate), how)
    np.testing.assert_allclose(20 * np.log10(np.abs(taps.sum(axis=1)) / (1, 0.25)), 0, atol=1e-3)
    response = np.abs(scipy.signal.freqz(taps[0], worN=np.linspace(0, 0.9 * min(rates) / 2, 50), fs=rate)[1])
    np.testing.assert_allclose(20 * np.log10(response), 0, atol=2e-3)
    last = -(-301 * rate // own) - 1
    place = last - peak * rate / own if correlate else peak * rate / own
    assert abs(np.argmax(np.abs(taps[0])) - ahead - place) <= 1


@pytest.mark.parametrize("form", ["npz", "wav", "flac"])
def test_a_kernel_that_would_fill_the_memory(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As read, and at the signal's rate: a file may say that it has one sample a second."""
    path = tmp_path / f"h.{form}"
    if form == "npz":
        np.savez_compressed(path, np.zeros((2, 3000)))
    else:
        soundfile.write(path, np.zeros((3000, 2)), 1)
    monkeypatch.setattr(kernel, "MOST_TAPS", 6000)
    taps = load(str(path))
    assert taps.taps.shape == (2, 3000)
    with pytest.raises(InputError, match=r"^at 2000 Hz it has 13664000 taps"):
        shape(Kernel(taps.taps, 1), Signal("WAV", 1, "float32", 2000), Shaping(resample=True))
    load.cache_clear()
    monkeypatch.setattr(kernel, "MOST_TAPS", 5999)
    with pytest.raises(
        InputError, match=r"h\.\w+: it has 6000 taps, which would take about 0\.0 GB of memory; the lim"
    ):
        load(str(path))


def test_a_layer_that_would_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"conv.weight": torch.zeros(4, 3, 5)}, tmp_path / "m.pt")
    monkeypatch.setattr(kernel, "MOST_TAPS", 59)
    with pytest.raises(InputError, match="it has 60 taps"):
        load(f"{tmp_path}/m.pt::conv.weight")


@pytest.mark.parametrize(("dilation", "samples"), [(4, 22), (5, 26)])
def test_a_kernel_that_spans_too_much(
    dilation: int, samples: int, convtool: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six taps: five distances and a sample, here in each of two channels of the signal."""
    monkeypatch.setattr(kernel, "MOST_SAMPLES", 50)
    run = convtool("convolve", "-", "-k", "1,2,3,4,5,6", "--dilation", dilation, stdin=b"4,1\n2,5\n")
    assert run.code == (1 if samples > 25 else 0)
    told = f"the kernel spans {samples} samples in 2 channels, which would take about 0.0 GB of memory; the limit is 50"
    assert (told in run.err) == (samples > 25)


def test_ringing_that_no_two_rates_share_is_refused() -> None:
    with pytest.raises(InputError, match="kernel is at 1000000007 Hz, and the signal at 1000000009 Hz: resample it"):
        shape(Kernel(H, 1_000_000_007), Signal("WAV", 1, "float32", 1_000_000_009), Shaping(resample=True))


def test_a_resampled_kernel_delays_nothing(tmp_path: Path) -> None:
    beep = np.zeros(9000)
    beep[3000:6000] = np.hanning(3000) * np.sin(2 * np.pi * 1000 / 48000 * np.arange(3000))
    soundfile.write(tmp_path / "x.wav", beep, 48000, subtype="DOUBLE")
    soundfile.write(tmp_path / "h.wav", np.array([1.0]), 44100, subtype="DOUBLE")
    for options in ({}, {"mode": "same"}, {"shaping": Shaping(resample=True, mix=0.5)}):
        job = ConvolveJob(
            kernel=str(tmp_path / "h.wav"), **{"shaping": Shaping(resample=True), "method": "fft", **options}
        )
        path = tmp_path / f"{len(os.listdir(tmp_path))}.wav"
        job(Task(0, Input("file", str(tmp_path / "x.wav"), "x.wav"), str(path)))
        made = soundfile.read(path)[0][:9000]
        np.testing.assert_allclose(made, beep, atol=2e-5)


@given(st.lists(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=3, max_size=3), min_size=4, max_size=4))
@example([[9 * 10**18, 9 * 10**18, 0]] * 4)
@example([[-(2**63), 0, 0]] * 4)
@example([[2**62, 1, -(2**62)]] * 4)
def test_norms_of_integers(rows: list[list[int]]) -> None:
    taps = np.array(rows, dtype=np.int64)
    for matrix in (False, True):
        outputs = rows if not matrix else [rows[0] + rows[2], rows[1] + rows[3]]
        exact = {
            "peak": max(abs(tap) for row in outputs for tap in row),
            "l1": max(sum(map(abs, row)) for row in outputs),
            "dc": max(map(sum, outputs), key=abs),
            "l2": max(sum(tap * tap for tap in row) for row in outputs),
        }
        for kind, value in exact.items():
            if value:
                check_norm(taps, Shaping(norm=kind, matrix=matrix), Fraction(value), squared=kind == "l2")


@given(st.lists(st.floats(-1.7e308, 1.7e308), min_size=1, max_size=6))
@example([1e-200, 1e200])
@example([1e200, 1e200])
@example([1e-200, 1e-201])
@example([1.7e308, 1.7e308, -1.7e308])
def test_norms_of_any_size(row: list[float]) -> None:
    exact = {
        "l1": sum(abs(Fraction(tap)) for tap in row),
        "l2": sum(Fraction(tap) ** 2 for tap in row),
        "dc": sum(map(Fraction, row)),
    }
    for kind, value in exact.items():
        if abs(value) > max(map(abs, row)) * Fraction(1e-200):
            check_norm(np.array([row]), Shaping(norm=kind), value, squared=kind == "l2")


def check_norm(taps: Block, how: Shaping, value: Fraction, *, squared: bool) -> None:
    """Whether the taps are over the exact norm, or its square."""
    made = shape(Kernel(taps, None), STEREO, how).taps.reshape(-1)
    given = shape(Kernel(taps, None), STEREO, Shaping(matrix=how.matrix)).taps.reshape(-1).tolist()
    for before, after in zip(given, made.tolist(), strict=True):
        sought, found = Fraction(before) / value, Fraction(after)
        if squared:
            sought, found = Fraction(before) ** 2 / value, found * found
        assert abs(found - sought) <= abs(sought) * Fraction(1e-15) + Fraction(1e-300)


def test_l1_of_a_matrix_never_clips() -> None:
    taps = shape(Kernel(np.array([[1.0], [0.5], [0.5], [1.0]]), None), STEREO, Shaping(matrix=True, norm="l1")).taps
    np.testing.assert_allclose(taps[..., 0], [[2 / 3, 1 / 3], [1 / 3, 2 / 3]])


def test_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savetxt("two.csv", [[1, 2], [3, 4]], fmt="%d", delimiter=",")
    np.save("cube.npy", np.arange(6.0, dtype=np.float32).reshape(1, 2, 3))
    soundfile.write("h.wav", np.array([0.5, -0.25]), 48000, subtype="PCM_16")
    np.savez("w.npz", fir=[1, 2, -1], conv=np.ones((2, 1, 3)), deep=np.ones((1, 1, 1, 3)))
    Path("w.npz::fir.csv").write_text("7\n8\n")
    Path("1,2").write_text("9\n")
    for word, taps, rate in (
        ("1,2,-1", [[1, 2, -1]], None),
        ("1,2", [[9]], None),  # a file of that name
        ("two.csv", [[1, 3], [2, 4]], None),
        ("cube.npy", [[[0, 1, 2], [3, 4, 5]]], None),
        ("h.wav", [[0.5, -0.25]], 48000),
        ("w.npz::fir", [[1, 2, -1]], None),
        ("w.npz::conv", np.ones((2, 1, 3)), None),
        ("w.npz::fir.csv", [[7, 8]], None),
    ):
        kernel = load(word)
        np.testing.assert_array_equal(kernel.taps, taps)
        assert kernel.sample_rate == rate
        assert kernel.taps.dtype == (np.float64 if word in ("cube.npy", "h.wav", "w.npz::conv") else np.int64)
    assert [path_of(word) for word in ("w.npz::fir", "w.npz::fir.csv", "h.wav")] == ["w.npz", "w.npz::fir.csv", "h.wav"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (" ", "the kernel is empty; give numbers, a file, or FILE::TENSOR"),
        ("missing.wav", "kernel missing.wav: no such file"),
        ("missing\n.npz::w", r"kernel missing\\n.npz::w: no such file"),
        ("1,x", "kernel 1,x: "),
        ("w.npz::deep", r"the array has shape \(1, 1, 1, 3\); expected \(T,\)"),
        ("none.npy", "kernel none.npy: there are 0 taps in it"),
        ("w.pt::conv.weight", r"tensor 'conv.weight' is complex64 of shape \(3, 2, 5\); expected real numbers"),
        ("w.npz::text", "tensor 'text': holds text; expected numbers"),
    ],
)
def test_load_refuses(word: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("w.npz", deep=np.ones((1, 1, 1, 3)), text=["a"])
    np.save("none.npy", np.ones(0))
    torch.save({"conv.weight": torch.ones(3, 2, 5, dtype=torch.complex64)}, "w.pt")
    with pytest.raises(InputError, match=message):
        load(word)


# Blocks on their way


@pytest.mark.parametrize(
    ("signal", "dtype", "block", "expected"),
    [
        (Signal("WAV", 1, "float32", full_scale=1 << 15), "float32", np.array([[-32768, 16384]], "i2"), [[-1.0, 0.5]]),
        (Signal("WAV", 1, "float64", full_scale=1 << 31), "float64", np.array([[1 << 8]], "i4"), [[2.0**-23]]),
        (Signal("CSV", 1, "int64"), "int64", np.array([[2**62 + 1]]), [[2**62 + 1]]),
        (Signal("CSV", 1, "int64"), "float64", np.array([[3]]), [[3.0]]),
        (Signal("NPY", 1, "float32"), "float32", np.array([[np.nan]], "f4"), [[np.nan]]),
    ],
)
def test_ingest(signal: Signal, dtype: str, block: Block, expected: list[list[float]]) -> None:
    block.flags.writeable = False
    tensor = Ingest(signal, dtype, "cpu").tensor(block)
    assert tensor.dtype == getattr(torch, dtype)
    np.testing.assert_array_equal(tensor, expected)


def test_nan_policies() -> None:
    bad = np.array([[1.0, 2.0, 3.0], [4.0, np.nan, -np.inf]])
    zero = Ingest(Signal("CSV", 2, "float64"), "float64", "cpu", "zero")
    assert zero.tensor(bad).tolist() == [[1, 2, 3], [4, 0, 0]]
    error = Ingest(Signal("CSV", 2, "float64"), "float64", "cpu", "error")
    assert error.tensor(np.ones((2, 100))).sum() == 200
    with pytest.raises(InputError, match=r"sample 101 is NaN or infinite \(the first of 2 in its block\); see --nan"):
        error.tensor(bad)


class Numbers(Reader):
    """Blocks that are 0, 1, 2...; after `end` of them nothing, or an error."""

    def __init__(self, end: int, error: Exception | None = None, gate: threading.Event | None = None) -> None:
        self.signal = Signal("CSV", 1, "float64")
        self.notes = []
        self.given = 0
        self._end, self._error, self._gate = end, error, gate

    def read(self, samples: int) -> Block:
        if self.given == self._end:
            if self._error is not None:
                raise self._error
            return np.ones((1, 0))
        if self._gate is not None and self.given == 1:
            self._gate.wait()
        self.given += 1
        return np.full((1, 1), self.given - 1.0)

    def close(self) -> None:
        pass


@pytest.fixture
def before_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """As before torch is imported, when there is time to read ahead."""
    monkeypatch.setattr(stream, "sys", SimpleNamespace(modules={}))


def test_with_torch_at_hand_nothing_is_read_ahead() -> None:
    reader = Numbers(3)
    with read_ahead(reader, 1) as found:
        assert reader.given == 1
        assert [block.item() for block in found] == [0, 1, 2]


@pytest.mark.usefixtures("before_torch")
@pytest.mark.parametrize("blocks", [1, 2, 8, 9, 10, 30])
def test_read_ahead_gives_every_block_and_then_the_error(blocks: int) -> None:
    with read_ahead(Numbers(blocks), 1) as found:
        assert [block.item() for block in found] == list(range(blocks))
    heard: list[float] = []
    with read_ahead(Numbers(blocks, InputError("damaged")), 1) as found, pytest.raises(InputError, match="damaged"):
        heard.extend(block.item() for block in found)
    assert heard == list(range(blocks))


def test_read_ahead_of_nothing() -> None:
    with pytest.raises(InputError, match="there are 0 samples in it"), read_ahead(Numbers(0), 1):
        pass


@pytest.mark.usefixtures("before_torch")
def test_whoever_leaves_waits_for_the_block_being_read_and_no_other() -> None:
    gate = threading.Event()
    reader = Numbers(30, gate=gate)
    with read_ahead(reader, 1):
        threading.Timer(0.05, gate.set).start()
    assert reader.given == 2


@pytest.mark.usefixtures("before_torch")
def test_nobody_waits_for_a_pipe_that_has_stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_PATIENCE", 0.01)
    gate = threading.Event()
    with pytest.raises(KeyboardInterrupt), read_ahead(Numbers(3, gate=gate), 1):
        raise KeyboardInterrupt
    gate.set()


def counting(threads: int, reader: Reader, output: Output, fail_at: int | None = None) -> Stream:
    """A stream through the kernel 1, of which one ingestion may fail."""
    calls = iter(range(1000))

    def ingest(block: Block) -> torch.Tensor:
        if next(calls) == fail_at:
            raise InputError("can't be taken in")
        return torch.from_numpy(block)

    stage = computed(ingest, Convolution(torch.ones(1, dtype=torch.float64)), output.encode)
    made = Stream(reader.blocks(1), stage, output)
    made.run(threads)
    return made


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_are_written_in_order(threads: int, tmp_path: Path) -> None:
    output = Output(str(tmp_path / "y.csv"), Signal("CSV", 1, "float64"), WriteOptions())
    assert counting(threads, Numbers(100), output).samples == 100
    output.commit()
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "y.csv"), range(100))


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize(("end", "fail_at"), [(100, 40), (40, None), (100, 0)])
def test_a_failure_in_any_thread_ends_the_stream(threads: int, end: int, fail_at: int | None, tmp_path: Path) -> None:
    output = Output(str(tmp_path / "y.csv"), Signal("CSV", 1, "float64"), WriteOptions())
    reader = Numbers(end, InputError("can't be decoded"))
    with pytest.raises(InputError, match="can't be taken in" if fail_at is not None else "can't be decoded"):
        counting(threads, reader, output, fail_at)
    output.discard()
    assert os.listdir(tmp_path) == []
    assert reader.given <= (fail_at or 40) + threads


def test_record_keeps_the_beginning_and_the_extremes_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "KEPT", 5)
    monkeypatch.setattr(record, "STRETCH", 3)
    kept = record.Record()
    signal = Signal("WAV", 2, "float32", full_scale=1 << 15)
    blocks = [np.full((2, 2), n << 14, "i2") for n in (-2, -1, 0, 1)]
    assert list(kept.pass_on(iter(blocks), signal)) == blocks
    trace = kept.trace()
    np.testing.assert_array_equal(trace.samples, [[-1, -1, -0.5, -0.5]] * 2)
    assert (trace.total, trace.is_whole, trace.bad, trace.peak) == (8, False, 0, 1.0)
    np.testing.assert_array_equal(trace.low, [[-1, -0.5, 0.5]] * 2)
    np.testing.assert_array_equal(trace.high, [[-0.5, 0, 0.5]] * 2)


def test_a_record_that_holds_all_shows_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "STRETCH", 2)
    kept = record.Record()
    kept.add(np.array([[1.0, np.nan, np.inf, -2.0]]))
    trace = kept.trace()
    assert (trace.total, trace.is_whole, trace.bad, trace.peak) == (4, True, 2, 2.0)
    monkeypatch.setattr(record, "KEPT", 1)
    short = record.Record()
    for block in ([[1.0, np.nan]], [[np.nan, np.nan]]):
        short.add(np.array(block))
    assert (short.trace().bad, short.trace().total) == (3, 4)
    np.testing.assert_array_equal(short.trace().high, [[1, np.nan]])


# Torch


@pytest.mark.parametrize("enabled", [True, False])
def test_loading_torch_leaves_the_collector_as_it_was(enabled: bool) -> None:
    was = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        assert backend.load_torch() is torch
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if was else gc.disable)()
        gc.unfreeze()
    assert torch.get_num_threads() == 1
    assert os.environ["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize(("library", "calls"), [("glibc", [(-8, 1)]), ("", [])])
def test_only_glibc_has_heaps_to_share(library: str, calls: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    monkeypatch.setattr(backend.platform, "libc_ver", lambda: (library, "1"))
    monkeypatch.setattr(backend.ctypes, "CDLL", lambda _: SimpleNamespace(mallopt=lambda *pair: made.append(pair)))
    backend._share_one_heap.cache_clear()
    backend.load_torch()
    assert made == calls


@pytest.mark.parametrize(
    ("cuda", "name", "values", "expected"),
    [
        (False, "auto", None, "cpu"),
        (False, "cpu", 1 << 30, "cpu"),
        (True, "auto", None, "cuda"),
        (True, "auto", (1 << 24) + 1, "cuda"),
        (True, "auto", 1 << 24, "cpu"),
        (True, "cuda", 1, "cuda"),
        (True, "cpu", None, "cpu"),
    ],
)
def test_device(cuda: bool, name: str, values: int | None, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    assert backend.choose_device(name, values) == expected


def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="--device cuda: there is none that torch can use here; there is cpu"):
        backend.choose_device("cuda", None)


def test_workers_keep_c_libraries_quiet(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "_here", False)  # which it is again afterwards
    kept = os.dup(2)
    try:
        backend.prepare_worker()
        os.write(2, b"libmpg123 has something to say\n")
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    assert capfdbinary.readouterr().err == b""


@pytest.mark.parametrize(("library", "calls"), [("glibc", [(-3, 32 << 20), (-1, 64 << 20)]), ("", [])])
def test_a_worker_of_a_cluster_has_all_imports_before_its_first_input(
    library: str, calls: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[int, int]] = []
    monkeypatch.setattr(backend.platform, "libc_ver", lambda: (library, "1"))
    monkeypatch.setattr(backend.ctypes, "CDLL", lambda _: SimpleNamespace(mallopt=lambda *pair: made.append(pair)))
    monkeypatch.delitem(sys.modules, "convtool.jobs.preload", raising=False)
    backend.prepare_cluster_worker()
    assert "convtool.jobs.preload" in sys.modules
    assert made[: len(calls)] == calls


# The job as a whole


def test_a_job_that_replaces_is_itself() -> None:
    job = ConvolveJob("1")
    assert not job.write.overwrite
    replacing = job.replacing()
    assert replacing.write.overwrite
    assert replacing.replacing() is replacing


def test_an_input_is_read_once_unless_a_command_says_otherwise() -> None:
    assert not super(ConvolveJob, ConvolveJob("1", padding_mode="circular")).reads_twice


@pytest.fixture
def work(tmp_path: Path) -> Callable[..., Block]:
    """Runs a job on an array of frames, and gives back the array that it wrote."""

    def run(frames: Block, kernel: Any, **options: Any) -> Block:
        np.save(tmp_path / "x.npy", frames.T)
        np.save(tmp_path / "h.npy", kernel)
        load.cache_clear()
        task = Task(0, Input("file", str(tmp_path / "x.npy"), "x.npy"), str(tmp_path / "y.npy"))
        outcome = ConvolveJob(str(tmp_path / "h.npy"), write=WriteOptions(overwrite=True), **options)(task)
        result: Block = np.load(tmp_path / "y.npy")
        assert (outcome.status, outcome.samples) == ("written", result.shape[-1])
        return result.T

    return run


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("taps", [1, 2, 5, 64, 500])
def test_blocks_of_any_length_give_the_whole_to_the_bit(
    taps: int, mode: str, work: Callable[..., Block], monkeypatch: pytest.MonkeyPatch
) -> None:
    frames, kernel = noise(700, 2), noise(taps, seed=1)
    whole = work(frames, kernel, mode=mode)
    expected = [scipy.signal.convolve(channel, kernel, mode="full") for channel in frames.T]
    first, count = {"full": (0, 699 + taps), "same": ((taps - 1) // 2, 700), "valid": (taps - 1, 701 - taps)}[mode]
    np.testing.assert_allclose(whole.T, np.array(expected)[:, first : first + count], rtol=0, atol=1e-13)
    for block, threads in ((2, 1), (14, 2), (266, 3), (1400, 2)):
        monkeypatch.setattr(signal_job, "BLOCK_SAMPLES", block)
        np.testing.assert_array_equal(work(frames, kernel, mode=mode, threads=threads), whole)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("block", [14, 1 << 20])
def test_kernel_1_returns_every_sample(
    subtype: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal_job, "BLOCK_SAMPLES", block)
    x, y = str(tmp_path / "x.wav"), str(tmp_path / "y.wav")
    frames = np.concatenate([noise(500, 2) * 2, [[-1.0, 1.0], [0.0, 0.5]], noise(500, 2) * 1e-6])
    soundfile.write(x, frames, 44100, subtype=subtype)
    ConvolveJob("1", threads=2)(Task(0, Input("file", x, "x.wav"), y))
    for kind in ("int32", "float64"):
        np.testing.assert_array_equal(soundfile.read(y, dtype=kind)[0], soundfile.read(x, dtype=kind)[0])
    assert soundfile.info(y).subtype == subtype


def test_digital_silence_stays_silence(work: Callable[..., Block]) -> None:
    frames = noise(5000, 1)
    frames[1000:4000] = 0
    made = work(frames, noise(100, seed=1))
    assert not made[1099:4000].any()
    assert made[1098] != 0
    assert made[4000] != 0


def job_on(path: Path, kernel: str = "1,1,1", **options: Any) -> Outcome:
    task = Task(0, Input("file", str(path), path.name), str(path.with_name("y.wav")))
    return ConvolveJob(kernel, **options)(task)


def test_a_job_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, np.full((100, 3), 0.9), 8000)
    two, mixing = str(tmp_path / "two.npy"), str(tmp_path / "mixing.npy")
    np.save(two, np.ones((2, 4)))
    np.save(mixing, np.ones((1, 2, 4)))
    refused = job_on(path, fail_on_clip=True)
    assert (refused.status, refused.exit_code, refused.clipped) == ("failed", 3, 300)
    assert "+8.63 dB over full scale, and --fail-on-clip was given; nothing was written" in str(refused.error)
    with pytest.raises(InputError, match="has 3 channels, but the kernel has 2 channels; a kernel of 1 or 3 fits"):
        job_on(path, two)
    with pytest.raises(InputError, match=r"kernel mixes 2 channels; .* one of 3 x outputs with --matrix"):
        job_on(path, mixing)
    with pytest.raises(InputError, match="the bias has 2 numbers"):
        job_on(path, bias="1,2")
    assert not (tmp_path / "y.wav").exists()


def test_one_sample_that_clips_is_one_sample(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, [0.5, 0.5, 0.5, -0.5, 0.0], 8000)
    outcome = job_on(path)
    assert outcome.clipped == 1
    assert outcome.clipping == "1 sample clipped, the peak is +3.52 dB over full scale"
    assert outcome.peak == pytest.approx(3.5217, abs=1e-3)
    assert soundfile.read(tmp_path / "y.wav")[0].max() == 32767 / 32768


@pytest.mark.parametrize(
    ("frames", "kernel", "options", "working"),
    [
        (np.arange(4), [1, 2], {}, "int64"),
        (np.arange(4), [1.0, 2.0], {}, "float64"),
        (np.arange(4), [1, 2], {"dtype": "float32"}, "float32"),
        (np.arange(4), [1, 2], {"bias": "0.5"}, "float64"),
        (np.arange(4), [1, 2], {"bias": "3"}, "int64"),
        (np.arange(4.0, dtype=np.float32), [1.0, 2.0], {}, "float32"),
        (np.arange(4.0, dtype=np.float32), [1.0, 2.0], {"dtype": "float64"}, "float64"),
        (np.arange(4.0, dtype=np.float16), [1.0, 2.0], {}, "float32"),
        (np.arange(4.0), [1, 2], {}, "float64"),
    ],
)
def test_what_the_numbers_are_worked_in(
    frames: Block, kernel: list[float], options: dict[str, Any], working: str, work: Callable[..., Block]
) -> None:
    made = work(frames, kernel, **options, read=ReadOptions(exact="dtype" not in options))
    assert made.dtype == working
    np.testing.assert_array_equal(made, np.convolve(frames, kernel) + float(options.get("bias", 0)))


def test_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, noise(300, 2), 8000, subtype="PCM_16")
    job_on(path, plot=str(tmp_path / "p.svg"))
    svg = (tmp_path / "p.svg").read_text()
    assert "<svg" in svg
    assert soundfile.info(tmp_path / "y.wav").frames == 302


@pytest.mark.parametrize("taps", [1, 2, 3, 8])
@pytest.mark.parametrize("blocks", [1, 3, 1 << 20])
def test_circular(taps: int, blocks: int, work: Callable[..., Block], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal_job, "BLOCK_SAMPLES", blocks)
    x, h = noise(8), noise(taps, seed=1)
    turned = np.fft.irfft(np.fft.rfft(x) * np.fft.rfft(np.pad(h, (0, 8 - taps))))
    made = work(x, h, mode="same", padding_mode="circular")
    np.testing.assert_allclose(made, np.roll(turned, -((taps - 1) // 2)), atol=1e-15)


def test_circular_looks_at_the_end_of_a_pipe_first(tmp_path: Path) -> None:
    fifo, output = tmp_path / "fifo", tmp_path / "y.wav"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_text, args=("4\n1\n2\n5\n",))
    writer.start()
    outcome = job_on(fifo, "1,2,-1", mode="same", padding_mode="circular", write=WriteOptions("csv"))
    writer.join()
    assert (outcome.input, outcome.samples) == (str(fifo), 4)
    assert output.read_text() == "4\n0\n8\n12\n"


def test_a_nan_that_circular_padding_meets_first_is_told_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("1\n2\n3\n4\nnan\n")
    same = {"mode": "same", "padding_mode": "circular", "write": WriteOptions("csv")}
    with pytest.raises(InputError, match="sample 4 is NaN"):
        job_on(path, nan="error", **same)
    job_on(path, nan="zero", **same)
    assert (tmp_path / "y.wav").read_text() == "3\n6\n9\n7\n5\n"


def test_missing_and_circular(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        job_on(tmp_path / "none.csv", mode="same", padding_mode="circular")


@pytest.mark.usefixtures("before_torch")
def test_a_file_is_not_closed_while_another_thread_decodes_it(tmp_path: Path) -> None:
    """libsndfile would crash: what is refused after reading has begun must wait for the block under way."""
    path = tmp_path / "x.flac"
    soundfile.write(path, noise(3_000_000), 44100)
    soundfile.write(tmp_path / "h.wav", [1.0, 0.5], 48000)
    for _ in range(3):
        with pytest.raises(InputError, match="the kernel is at 48000 Hz"):
            job_on(path, str(tmp_path / "h.wav"))


# Layers with groups


@pytest.mark.parametrize(("outputs", "groups"), [(4, 2), (2, 2), (6, 1)])
def test_groups_are_those_of_conv1d(outputs: int, groups: int) -> None:
    random = np.random.default_rng(0)
    weight, signal = random.standard_normal((outputs, 2 // groups, 3)), random.standard_normal((1, 2, 20))
    taps = shape(Kernel(weight, None), STEREO, Shaping(groups=groups, correlate=True)).taps
    mixed = convolve(torch.from_numpy(signal[0]), torch.from_numpy(np.ascontiguousarray(taps)), mode="valid")
    expected = torch.nn.functional.conv1d(torch.from_numpy(signal), torch.from_numpy(weight), groups=groups)[0]
    torch.testing.assert_close(mixed, expected)


def test_a_kernel_of_one_input_an_output_is_depthwise() -> None:
    taps = shape(Kernel(np.arange(6.0).reshape(2, 1, 3), None), STEREO, Shaping()).taps
    assert taps.tolist() == [[0, 1, 2], [3, 4, 5]]
    taps = shape(Kernel(np.ones((3, 1, 3)), None), STEREO, Shaping()).taps
    assert taps.shape == (3, 1, 3)
