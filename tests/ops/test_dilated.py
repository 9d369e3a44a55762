"""Dilated causal convolutions in blocks: against `torch.nn.Conv1d` on the whole, and however the signal is cut."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from convtool.ops import Dilated
from convtool.ops.dilated.activations import activation
from convtool.ops.dilated.impulse import Impulse
from convtool.ops.dilated.parts import Array, Chain, Conv, Film, Layer, Recurrence, Stack
from convtool.ops.recurrent.network import Network, run_network

SHAPES = [
    # out, in, taps, dilation, groups
    (1, 1, 1, 1, 1),
    (3, 2, 2, 1, 1),
    (4, 4, 3, 63, 2),
    (6, 3, 5, 7, 3),
    (2, 1, 3, 64, 1),
    (3, 3, 2, 65, 3),
    (2, 2, 4, 200, 1),
]


def numbers(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def conv(out: int, inputs: int, taps: int = 1, dilation: int = 1, groups: int = 1, *, bias: bool = True) -> Conv:
    weight = numbers(out, inputs // groups, taps) / math.sqrt(inputs * taps)
    return Conv(weight, numbers(out, seed=2) if bias else None, dilation, groups)


def applied(conv: Conv, x: Tensor) -> Tensor:
    """`conv` on the whole of x ``(channels, samples)``, after silence."""
    y: Tensor = functional.conv1d(
        functional.pad(x, (conv.reach, 0)), conv.weight, conv.bias, dilation=conv.dilation, groups=conv.groups
    )
    return y


def run(core: Dilated | Impulse, x: Tensor, cuts: Sequence[int] = ()) -> Tensor:
    pieces = torch.tensor_split(x, list(cuts), dim=-1)
    return torch.cat([*map(core.push, pieces), core.finish()], -1)


def small_stack() -> Stack:
    """Two arrays with everything that a layer may have, a head, and a condition of their own making."""
    films = {
        place: Film(conv(shape * (2 if shift else 1), 3), shift)
        for place, shape, shift in [
            ("conv_pre", 4, True),
            ("conv_post", 6, False),
            ("mixin_pre", 3, True),
            ("mixin_post", 6, True),
            ("activation_pre", 6, False),
            ("activation_post", 3, True),
            ("next_post", 4, False),
            ("head_post", 2, True),
        ]
    }
    gated = Layer(
        conv(6, 4, 3, 5),
        conv(6, 3, bias=False),
        activation("tanh"),
        gate=activation("sigmoid"),
        to_next=conv(4, 3),
        to_head=conv(2, 3),
        films=films,  # type: ignore[arg-type]
    )
    blending = Layer(
        conv(6, 4, 2, 70),
        conv(6, 3, bias=False),
        activation("tanh"),
        gate=activation("sigmoid"),
        blends=True,
        to_next=conv(4, 3),
        to_head=conv(2, 3),
    )
    plain = Layer(conv(2, 2, 3, 2), conv(2, 3, bias=False), activation("relu"))
    arrays = [
        Array(conv(4, 1, bias=False), [gated, blending, gated], conv(2, 2, 4, 3)),
        Array(conv(2, 4, bias=False), [plain, plain], conv(3, 2, bias=False)),
    ]
    head = Chain([activation("softsign"), conv(2, 3, 2), activation("tanh"), conv(2, 2)])
    return Stack(arrays, 0.5, head, Chain([conv(3, 1, 2, 9)]))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_convolution_is_that_of_torch(shape: tuple[int, int, int, int, int]) -> None:
    one = conv(*shape)
    for samples in (1, 63, 64, 65, 129, 1000):
        x = numbers(one.inputs, samples)
        assert torch.allclose(run(Dilated(Chain([one]), block=64), x), applied(one, x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_neither_the_cuts_nor_the_block_nor_what_runs_beside_show_in_a_bit(dtype: torch.dtype) -> None:
    stack = in_dtype(small_stack(), dtype)
    x = numbers(2, 1, 700).to(dtype)
    whole = run(Dilated(stack, block=256, prewarm=10**9), x)
    assert whole.shape == (2, 2, 700)
    assert whole.dtype == dtype
    for block in (1, 64, 2048):
        assert torch.equal(run(Dilated(stack, block=block, prewarm=stack.receptive_field), x, [1, 65, 65, 690]), whole)
    assert torch.equal(run(Dilated(stack, prewarm=stack.receptive_field), x[1]), whole[1])


def test_what_flows_comes_with_each_sample_and_has_the_same_bits() -> None:
    stack, x = small_stack(), numbers(2, 300)
    plain, core = Dilated(stack, block=128, prewarm=200), Dilated(stack, block=128, prewarm=200, flowing=True)
    whole = run(plain, x)
    parts, count = [], 0
    for part in torch.tensor_split(x, [1, 2, 2, 90, 91, 250], -1):
        parts.append(core.push(part))
        count += part.shape[-1]
        assert sum(made.shape[-1] for made in parts) == count
    assert core.finish().shape == (4, 0)
    assert torch.equal(torch.cat(parts, -1), whole)
    assert all(map(torch.equal, core.states, plain.states))


def test_a_state_goes_on_where_it_was_kept() -> None:
    stack, x = small_stack(), numbers(2, 500)
    whole = run(Dilated(stack, prewarm=5), x)
    first = Dilated(stack, block=64, prewarm=5)
    before = run(first, x[:, :123])
    rest = run(Dilated(stack, block=128, initial=first.states), x[:, 123:])
    assert torch.equal(torch.cat([before, rest], -1), whole)
    shared = Dilated(stack, initial=[kept[:1] for kept in first.states])
    assert torch.equal(run(shared, x[:, 123:])[:2], rest[:2])
    with pytest.raises(ValueError, match=r"the state has the shapes \(2, 1, 9\); expected \(2, 4, 10\), "):
        run(Dilated(stack, initial=first.states[-1:]), x)
    with pytest.raises(ValueError, match=r"expected \(2, 4, 10\), "):
        run(Dilated(stack, initial=[kept.expand(2, -1, -1)[[0, 0, 0]] for kept in shared.states]), x)


def test_a_recurrent_part_remembers_longer_than_any_receptive_field() -> None:
    torch.manual_seed(0)
    layers = [nn.LSTM(1, 8), nn.LSTM(8, 8), nn.Linear(8, 3)]
    for layer in layers:
        layer.double().requires_grad_(False)
    layers[0].bias_ih_l0[8:16] = 5  # its gate of forgetting stays open
    recurrence, x = Recurrence(Network(layers)), numbers(2, 700)
    whole = run(Dilated(recurrence), x)
    expected = torch.cat([run_network(row[None], recurrence.network)[0] for row in x])
    assert torch.allclose(whole, expected, rtol=0, atol=1e-14)
    assert torch.equal(run(Dilated(recurrence, block=64), x, [1, 65, 690]), whole)
    first = Dilated(recurrence)
    before = run(first, x[:, :123])
    assert [tuple(kept.shape) for kept in first.states] == [(2, 8, 1)] * 4
    after = run(Dilated(recurrence, initial=first.states), x[:, 123:])
    assert torch.allclose(torch.cat([before, after], -1), whole, rtol=0, atol=1e-14)
    stack = replace(small_stack(), condition=recurrence)
    short, longer = (run(Dilated(stack, prewarm=prewarm), x) for prewarm in (300, 400))
    assert 1e-6 < float((short - longer).abs().max()) < 0.1


def test_silence_before_is_that_of_the_receptive_field() -> None:
    stack, x = small_stack(), numbers(1, 100)
    longer = run(Dilated(stack), torch.cat([x.new_zeros(1, 1000), x], -1))[:, 1000:]
    assert torch.equal(run(Dilated(stack, prewarm=stack.receptive_field - 1), x), longer)
    assert not torch.allclose(run(Dilated(stack), x), longer)


def test_a_condition_takes_the_place_of_inputs_and_gains_multiply() -> None:
    one = conv(3, 2, 3, 4)
    x = numbers(2, 90)
    expected = torch.cat([3 * applied(one, torch.stack([2 * row, torch.full_like(row, 0.25)])) for row in x])
    core = Dilated(Chain([one]), prewarm=0, condition=[0.25], input_gain=2.0, output_gain=3.0)
    got = run(core, x)
    assert torch.allclose(got[:, 8:], expected[:, 8:], rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="the condition has 1 value and the model 1 input, of which at least 1 is"):
        Dilated(Chain([conv(1, 1)]), condition=[1])
    with pytest.raises(ValueError, match="the model has 2 inputs for the signal, which has 3 channels; a condition"):
        run(Dilated(Chain([one])), numbers(3, 5))


def test_an_impulse_response_goes_on_from_what_was_before() -> None:
    taps, x = numbers(30), numbers(2, 400)
    whole = run(Impulse(taps, bias=0.5), x, [1, 20, 333])
    expected = applied(Conv(taps.flip(0).expand(2, 1, -1), numbers(2) * 0 + 0.5, groups=2), x)
    assert torch.allclose(whole, expected, rtol=0, atol=1e-12)
    rest = run(Impulse(taps, bias=0.5, initial=x[:, None, 71:100]), x[:, 100:], [50])
    assert torch.allclose(rest, expected[:, 100:], rtol=0, atol=1e-12)


def test_nothing_gives_nothing() -> None:
    assert Dilated(Chain([conv(1, 1)])).finish().shape == (0,)
    assert run(Dilated(Chain([conv(2, 1)])), numbers(3, 0)).shape == (6, 0)


def test_a_nan_spoils_the_receptive_field_alone() -> None:
    stack, x = small_stack(), numbers(1, 600)
    damaged = x.clone()
    damaged[0, 100] = math.nan
    clean, spoiled = run(Dilated(stack), x), run(Dilated(stack), damaged)
    after = 100 + stack.receptive_field
    assert torch.equal(spoiled[:, :100], clean[:, :100])
    assert spoiled[:, 100].isnan().all()
    assert torch.equal(spoiled[:, after:], clean[:, after:])


X = numbers(2, 50) * 4
SLOPES = torch.tensor([0.3, 0.1], dtype=torch.float64)
LIMITS = {"low": -0.5, "high": 0.75, "low_slope": 0.1, "high_slope": 0.2}
ACTIVATIONS = [
    (activation("tanh"), torch.tanh),
    (activation("sigmoid"), torch.sigmoid),
    (activation("relu"), functional.relu),
    (activation("leaky-relu", slopes=[0.3]), lambda x: functional.leaky_relu(x, 0.3)),
    (
        activation("leaky-relu", slopes=[0.3, 0.1]),
        lambda x: functional.prelu(x[None], SLOPES)[0],
    ),
    (activation("hard-tanh"), functional.hardtanh),
    (activation("silu"), functional.silu),
    (activation("hard-swish"), functional.hardswish),
    (activation("softsign"), functional.softsign),
    (activation("soft-sigmoid"), lambda x: (1 + functional.softsign(x)) / 2),
    (
        activation("leaky-hardtanh", **LIMITS),
        lambda x: torch.where(x < -0.5, (x + 0.5) * 0.1 - 0.5, torch.where(x > 0.75, (x - 0.75) * 0.2 + 0.75, x)),
    ),
]


@pytest.mark.parametrize("number", range(len(ACTIVATIONS)))
def test_activations_work_in_place(number: int) -> None:
    ours, expected = ACTIVATIONS[number]
    x = X.clone()
    assert torch.allclose(ours(x), expected(X), rtol=0, atol=1e-15)
    assert torch.allclose(x, expected(X), rtol=0, atol=1e-15)


def test_the_fast_tanh_is_near_tanh() -> None:
    assert 1e-5 < float((activation("fast-tanh")(X.clone()) - X.tanh()).abs().max()) < 1e-2


def in_dtype(part: object, dtype: torch.dtype) -> Stack:
    """`part` with all its tensors in `dtype`."""

    def convert(value: object) -> object:
        if isinstance(value, Tensor):
            return value.to(dtype)
        if isinstance(value, (list, tuple)):
            return [convert(each) for each in value]
        if isinstance(value, dict):
            return {key: convert(each) for key, each in value.items()}
        if isinstance(value, (Stack, Chain, Array, Layer, Film, Conv)):
            return type(value)(**{key: convert(each) for key, each in vars(value).items()})
        return value

    converted = convert(part)
    assert isinstance(converted, Stack)
    return converted
