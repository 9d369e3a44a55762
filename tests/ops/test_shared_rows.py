"""Streams that share the calls of a layer: the same bits as alone, whoever meets whom."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

from convtool.ops.recurrent import shared_rows
from convtool.ops.recurrent.network import Network, Recurrent, Run, State, run_network
from convtool.ops.recurrent.shared_rows import ROWS, SharedRows, rows_alike
from convtool.ops.recurrent.steps import by_sequence


class Meeting:
    """Runs a layer, and notes the rows of each call."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.rows: list[int] = []

    def __call__(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        self.rows.append(x.shape[1])
        return self.run(x, state)


@pytest.fixture
def meeting(monkeypatch: pytest.MonkeyPatch) -> tuple[SharedRows, Meeting]:
    """A network whose calls are shared, whatever the processor makes of it."""
    monkeypatch.setattr(shared_rows, "rows_alike", lambda *_: True)
    torch.manual_seed(3)
    network = Network([nn.LSTM(1, 4).requires_grad_(False), nn.Linear(4, 1).requires_grad_(False)], skip=1)
    network.runs[0] = noted = Meeting(network.runs[0])
    return SharedRows(network), noted


def played(shared: SharedRows, signals: Sequence[Tensor], threads: int) -> list[Tensor]:
    def play(x: Tensor) -> Tensor:
        with torch.inference_mode():
            operation = shared.stream(Recurrent(shared.network, block=256))
            return torch.cat([*(operation.push(block) for block in x.split(1000, -1)), operation.finish()], -1)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(play, signals))


def step(shared: SharedRows, rows: int, barrier: threading.Barrier) -> None:
    """One call of `rows` rows, once all who go through `barrier` are there."""
    with torch.inference_mode(), shared.among():
        barrier.wait(30)
        shared.network.run(torch.randn(50, rows, 1), shared.network.start(torch.empty(0, rows, 1), None))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("make", [nn.LSTM, nn.GRU])
def test_streams_come_out_as_alone(make: type[nn.LSTM], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = make(1, 20, dtype=dtype).requires_grad_(False)
    signals = [torch.randn(1 + i % 3, 700 + 331 * i, dtype=dtype) for i in range(9)]
    with torch.inference_mode():
        expected = [run_network(x, Network([layer]), block=256)[0] for x in signals]
    results = played(SharedRows(Network([layer])), signals, 4)
    assert all(map(torch.equal, results, expected))


def test_streams_that_meet_are_worked_in_one_call(meeting: tuple[SharedRows, Meeting]) -> None:
    shared, noted = meeting
    barrier = threading.Barrier(5)
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda rows: step(shared, rows, barrier), [3, 1, 2, 4, ROWS + 1]))
    assert sum(noted.rows) == 10 + ROWS + 1
    assert ROWS + 1 in noted.rows  # alone
    assert len(noted.rows) < 5


def test_results_go_to_those_who_asked(meeting: tuple[SharedRows, Meeting]) -> None:
    shared, _ = meeting
    signals = [torch.randn(1 + i % 2, samples) for i, samples in enumerate((300, 5000, 40, 5000, 1, 777))]
    results = played(shared, signals, 4)
    with torch.inference_mode():
        for x, y in zip(signals, results, strict=True):
            torch.testing.assert_close(y, run_network(x, shared.network, block=256)[0], rtol=0, atol=1e-6)


def test_an_error_reaches_each_of_those_it_concerns(meeting: tuple[SharedRows, Meeting]) -> None:
    shared, noted = meeting
    barrier = threading.Barrier(2)

    def fail(x: Tensor, state: State) -> tuple[Tensor, State]:
        raise MemoryError("no room")

    def play(_: int) -> str:
        try:
            step(shared, 1, barrier)
        except MemoryError as error:
            return str(error)
        return "nothing"

    noted.run = fail
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(play, range(2))) == ["no room", "no room"]


def test_rows_that_tell_their_number_are_not_alike() -> None:
    layer = nn.LSTM(1, 4)
    run = by_sequence(layer)

    def alone(x: Tensor, state: State) -> tuple[Tensor, State]:
        rows = [run(x[:, row : row + 1], tuple(part[:, row : row + 1] for part in state)) for row in range(x.shape[1])]
        y, states = zip(*rows, strict=True)
        return torch.cat(y, 1), tuple(torch.cat(parts, 1) for parts in zip(*states, strict=True))

    def counting(x: Tensor, state: State) -> tuple[Tensor, State]:
        y, last = alone(x, state)
        return y + x.shape[1], last

    def counting_in_secret(x: Tensor, state: State) -> tuple[Tensor, State]:
        y, (h, c) = alone(x, state)
        return y, (h, c + x.shape[1])

    assert rows_alike(layer, alone)
    assert not rows_alike(layer, counting)
    assert not rows_alike(layer, counting_in_secret)


def test_layers_whose_rows_are_not_alike_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_rows, "rows_alike", lambda layer, _: layer.hidden_size == 4)
    network = Network([nn.LSTM(1, 3), nn.LSTM(3, 4)])
    before = list(network.runs)
    SharedRows(network)
    assert [run in before for run in network.runs] == [True, False]
