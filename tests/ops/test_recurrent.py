"""Recurrent networks against a loop in NumPy, one engine against the other, and pieces against the whole."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from convtool.ops.recurrent.network import TILE, Network, Recurrent, recurrent_layer, run_network
from tests.helpers.reference_recurrent import recurrent

LAYERS: dict[str, dict[str, Any]] = {
    "plain": {"input_size": 1, "hidden_size": 20},
    "inputs": {"input_size": 3, "hidden_size": 7},
    "layers": {"input_size": 2, "hidden_size": 9, "num_layers": 3},
    "no bias": {"input_size": 1, "hidden_size": 6, "bias": False},
    "both ways": {"input_size": 2, "hidden_size": 5, "num_layers": 2, "bidirectional": True},
    "projection": {"input_size": 1, "hidden_size": 8, "proj_size": 3, "num_layers": 2},
}
CASES = [*itertools.product([nn.LSTM], LAYERS), *itertools.product([nn.GRU], sorted({*LAYERS} - {"projection"}))]


def made(kind: type[nn.LSTM] | type[nn.GRU], name: str, dtype: torch.dtype = torch.float32) -> nn.LSTM | nn.GRU:
    torch.manual_seed(7)
    return kind(**LAYERS[name]).to(dtype).requires_grad_(False)


def signal(layer: nn.LSTM | nn.GRU, samples: int, *, seed: int = 0) -> Tensor:
    """`(inputs, samples)`, of the layer's dtype."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(layer.input_size, samples, generator=generator, dtype=torch.float64).to(layer.all_weights[0][0])


def in_blocks(core: Recurrent, x: Tensor, cuts: Sequence[int]) -> Tensor:
    edges = [0, *sorted(cuts), x.shape[-1]]
    parts = [core.push(x[..., a:b]) for a, b in itertools.pairwise(edges)]
    return torch.cat([*parts, core.finish()], -1)


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-6), (torch.float64, 1e-13)])
@pytest.mark.parametrize(("kind", "name"), CASES)
def test_equals_the_loop_in_numpy(kind: type[nn.LSTM], name: str, dtype: torch.dtype, error: float) -> None:
    layer = made(kind, name, dtype)
    x = signal(layer, 150)
    expected = recurrent(layer, x.T[:, None].numpy())[:, 0].T
    engines = ("sequence",) if name == "projection" else ("sequence", "cell")
    for engine in engines:
        y, _ = run_network(x, Network([layer], engine=engine), block=64)
        assert y.dtype == dtype
        assert np.abs(y.numpy() - expected).max() <= error


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("samples", [1, TILE - 1, TILE, TILE + 1, 4095, 4096, 4097, 4096 + TILE // 2, 10000])
def test_blocks_have_the_bits_of_the_whole(samples: int, dtype: torch.dtype) -> None:
    layer = made(nn.LSTM, "plain", dtype)
    head = nn.Linear(20, 1, dtype=dtype).requires_grad_(False)
    x = signal(layer, samples)
    with torch.inference_mode():
        whole = head(layer(x.T)[0]).T
        y, _ = run_network(x, Network([layer, head]))
    assert torch.equal(y, whole)


@settings(max_examples=20)
@given(cuts=st.lists(st.integers(0, 700), max_size=6), block=st.integers(1, 400))
def test_how_a_signal_arrives_shows_in_no_bit(cuts: list[int], block: int) -> None:
    layer = made(nn.GRU, "layers")
    x = signal(layer, 700)
    network = Network([layer])
    once, arrived = Recurrent(network, block=block), Recurrent(network, block=block)
    assert torch.equal(in_blocks(once, x, []), in_blocks(arrived, x, cuts))
    for one, other in zip(once.states[0], arrived.states[0], strict=True):
        assert torch.equal(one, other)


@settings(max_examples=10)
@given(cuts=st.lists(st.integers(0, 330), max_size=6), block=st.sampled_from([1, 64, 150, 4096]))
def test_what_flows_comes_with_each_sample_and_has_the_bits_of_the_whole(cuts: list[int], block: int) -> None:
    layer = made(nn.LSTM, "plain")
    head = nn.Linear(20, 1).requires_grad_(False)
    x = signal(layer, 330)
    core = Recurrent(Network([layer, head]), block=block, flowing=True)
    parts = [core.push(part) for part in torch.tensor_split(x, sorted(cuts), -1)]
    whole, _ = run_network(functional.pad(x, (0, 2 * TILE)), Network([layer, head]))
    assert torch.equal(torch.cat(parts, -1), whole[:, :330])
    assert core.finish().shape == (1, 0)
    for kept, wanted in zip(core.states[0], run_network(x, Network([layer]))[1][0], strict=True):
        torch.testing.assert_close(kept, wanted, rtol=0, atol=1e-6)


def test_what_flows_goes_on_from_a_prewarmed_state() -> None:
    layer = made(nn.LSTM, "plain")
    x, network = signal(layer, 100), Network([layer])
    core = Recurrent(network, prewarm=77, flowing=True)
    made_of = torch.cat([core.push(x[:, :1]), core.push(x[:, 1:70]), core.push(x[:, 70:])], -1)
    torch.testing.assert_close(made_of, run_network(x, network, prewarm=77)[0], rtol=0, atol=1e-6)
    assert Recurrent(network, flowing=True).finish().shape == (0,)


def test_two_directions_need_the_whole_signal() -> None:
    layer = made(nn.LSTM, "both ways")
    x = signal(layer, 500)
    core = Recurrent(Network([layer]), block=64, flowing=True)
    assert core.push(x[:, :300]).shape == (10, 0)
    assert core.push(x[:, 300:]).shape == (10, 0)
    assert torch.equal(core.finish(), layer(x.T)[0].T)


def test_one_input_runs_over_each_channel_of_any_batch_alone() -> None:
    layer, head = made(nn.LSTM, "plain"), nn.Linear(20, 2).requires_grad_(False)
    network = Network([layer, head])
    x = torch.randn(3, 2, 300)
    y, _ = run_network(x, network)
    assert y.shape == (3, 4, 300)
    for batch, channel in np.ndindex(3, 2):
        alone, _ = run_network(x[batch, channel : channel + 1], network)
        torch.testing.assert_close(y[batch, 2 * channel : 2 * channel + 2], alone, rtol=0, atol=1e-6)


def test_several_inputs_take_the_channels() -> None:
    layer = made(nn.LSTM, "inputs")
    x = torch.randn(4, 3, 100)
    y, _ = run_network(x, Network([layer]))
    torch.testing.assert_close(y, layer(x.permute(2, 0, 1))[0].permute(1, 2, 0), rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match=r"has 3 inputs for the signal, which has 2 channels"):
        run_network(x[:, :2], Network([layer]))
    with pytest.raises(ValueError, match=r"which has 1 channel;"):
        run_network(x[:, :1], Network([layer]))


def test_skip_gains_condition_and_activations_are_as_the_formula_says() -> None:
    layer, head = made(nn.LSTM, "inputs"), nn.Linear(7, 1).requires_grad_(False)
    x = torch.randn(1, 200)
    network = Network([layer, head, nn.Tanh()], condition=(0.25, -1.0), skip=1, input_gain=2.0, output_gain=0.5)
    assert (network.inputs, network.outputs, network.bidirectional) == (1, 1, False)
    u = torch.stack([2 * x[0], torch.full((200,), 0.25), torch.full((200,), -1.0)], -1)
    expected = 0.5 * (torch.tanh(head(layer(u)[0])) + u[:, :1])
    torch.testing.assert_close(run_network(x, network)[0], expected.T, rtol=0, atol=1e-6)


def test_a_skip_of_one_goes_to_all_outputs() -> None:
    layer, head = made(nn.LSTM, "plain"), nn.Linear(20, 3).requires_grad_(False)
    x = torch.randn(1, 50)
    added = run_network(x, Network([layer, head], skip=1))[0] - run_network(x, Network([layer, head]))[0]
    torch.testing.assert_close(added, x.expand(3, -1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("engine", ["sequence", "cell"])
def test_a_state_goes_on(engine: Any) -> None:
    layers = [made(nn.LSTM, "plain"), nn.GRU(20, 4).requires_grad_(False)]
    network = Network(layers, engine=engine)
    x = torch.randn(2, 640)
    whole, last = run_network(x, network, block=64)
    first, states = run_network(x[:, :320], network, block=64)
    second, after = run_network(x[:, 320:], network, block=64, initial=states)
    assert torch.equal(torch.cat([first, second], -1), whole)
    assert [tuple(part.shape) for state in states for part in state] == [(1, 2, 20), (1, 2, 20), (1, 2, 4)]
    for one, other in zip(itertools.chain(*last), itertools.chain(*after), strict=True):
        assert torch.equal(one, other)


def test_one_state_serves_all_rows() -> None:
    network = Network([made(nn.LSTM, "plain")])
    states = run_network(torch.randn(1, 100), network)[1]
    x = torch.randn(1, 100).expand(3, -1)
    y, _ = run_network(x, network, initial=states)
    torch.testing.assert_close(y[:20], run_network(x[:1], network, initial=states)[0], rtol=0, atol=1e-6)
    assert y.shape == (60, 100)


def test_prewarm_is_silence_before_the_signal() -> None:
    network = Network([made(nn.LSTM, "plain")])
    x = torch.randn(2, 300)
    y, _ = run_network(x, network, block=128, prewarm=1000)
    silent = torch.nn.functional.pad(x, (1000, 0))
    torch.testing.assert_close(y, run_network(silent, network)[0][:, 1000:], rtol=0, atol=1e-6)


def test_an_empty_signal_gives_an_empty_one() -> None:
    network = Network([made(nn.LSTM, "plain"), nn.Linear(20, 2)])
    assert run_network(torch.empty(3, 4, 0), network)[0].shape == (3, 8, 0)
    assert Recurrent(network).finish().shape == (0,)


def test_a_nan_spoils_what_follows_alone() -> None:
    layer = made(nn.LSTM, "plain")
    x = torch.randn(1, 300)
    y, _ = run_network(x, Network([layer]))
    x[0, 200] = float("nan")
    spoiled, _ = run_network(x, Network([layer]))
    assert torch.equal(spoiled[:, :200], y[:, :200])
    assert spoiled[:, 200:].isnan().all()


def test_gradients_go_through() -> None:
    layer = nn.LSTM(1, 3, dtype=torch.float64)
    x = torch.randn(1, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda signal: run_network(signal, Network([layer]), block=64)[0], x)


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_a_layer_is_told_from_its_parameters(kind: type[nn.LSTM], name: str) -> None:
    layer = made(kind, name)
    again = recurrent_layer("lstm" if kind is nn.LSTM else "gru", layer.state_dict())
    assert repr(again) == repr(layer)
    assert all(torch.equal(again.state_dict()[key], value) for key, value in layer.state_dict().items())
    assert not any(parameter.requires_grad for parameter in again.parameters())


def test_refuses_what_can_not_run() -> None:
    plain, both = made(nn.LSTM, "plain"), made(nn.LSTM, "both ways")
    with pytest.raises(ValueError, match=r"engine is 'steps'; use one of sequence, cell"):
        Network([plain], engine="steps")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"the condition has 1 value and the network 1 input, of which"):
        Network([plain], condition=(1.0,))
    with pytest.raises(ValueError, match=r"the condition has 3 values and the network 3 inputs"):
        Network([made(nn.LSTM, "inputs")], condition=(1.0, 2.0, 3.0))
    with pytest.raises(ValueError, match=r"projections to 3 of 8 units"):
        Network([made(nn.LSTM, "projection")], engine="cell")
    with pytest.raises(ValueError, match=r"batch_first=True"):
        Network([nn.LSTM(1, 2, batch_first=True)])
    with pytest.raises(ValueError, match=r"bidirectional network starts from zeros"):
        Recurrent(Network([both]), prewarm=1)
    with pytest.raises(ValueError, match=r"block is 0; it must be at least 1"):
        Recurrent(Network([plain]), block=0)
    with pytest.raises(ValueError, match=r"prewarm is -1"):
        Recurrent(Network([plain]), prewarm=-1)


@pytest.mark.parametrize(
    "shapes", [[], [(1, 1, 20)], [(1, 3, 20), (1, 3, 20)], [(1, 1, 19), (1, 1, 20)], [(1, 2, 20)] * 3]
)
def test_refuses_a_state_of_another_network(shapes: list[tuple[int, ...]]) -> None:
    initial = [tuple(torch.zeros(shape) for shape in shapes)]
    with pytest.raises(ValueError, match=r"the state has the shapes .*; expected \(1, 2, 20\), \(1, 2, 20\)"):
        run_network(torch.randn(2, 10), Network([made(nn.LSTM, "plain")]), initial=initial)
