"""`convtool wavenet`, from the command line to the file it writes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.conftest import Run
from tests.helpers import model_files, nam_files
from tests.helpers.nam_files import document, new_array, old_array, simple, wavenet

RATE = 48000
Convtool = Callable[..., Run]
Array = np.ndarray[Any, np.dtype[Any]]

CONDITION: dict[str, Any] = {"version": "0.6.0", "architecture": "ConvNet", "weights": [], "sample_rate": RATE}
CONDITION["config"] = {"channels": 2, "dilations": [1, 5], "batchnorm": False, "activation": "ReLU", "out_channels": 2}
FIRST = new_array(head={"out_channels": 3, "kernel_size": 1, "bias": False})
SECOND = new_array(input_size=4, groups_input=1, layer1x1={"active": True, "groups": 1})
POST = {"channels": 2, "out_channels": 2, "kernel_sizes": [2, 1], "activation": "ReLU"}
ONE = {"dilations": [5], "kernel_size": 2}


def conditioned(inner: Any, size: int = 1) -> Any:
    """A model whose condition `inner` makes."""
    return document(wavenet(new_array(condition_size=size), condition_dsp=inner), version="0.7.0")


def container(*models: Any) -> Any:
    return containing({"max_value": at / len(models), "model": model} for at, model in enumerate(models, 1))


def containing(submodels: Iterable[Any]) -> Any:
    config = {"submodels": list(submodels)}
    return {"version": "0.7.0", "architecture": "SlimmableContainer", "config": config, "weights": []}


DOCUMENTS = {
    "0.5.0": simple(version="0.5.0"),
    "gated": document(wavenet(old_array(gated=True, head_size=1)), version="0.5.4"),
    "everything": document(wavenet(new_array()), version="0.7.0"),
    "two arrays and a head": document(wavenet(FIRST, SECOND, head=POST), version="0.7.0"),
    "a condition": document(wavenet(new_array(condition_size=2), condition_dsp=CONDITION), version="0.6.0"),
    "an impulse response as the condition": conditioned(
        document({"receptive_field": 40, "bias": True}, architecture="Linear")
    ),
    "a container as the condition": conditioned(
        container(simple(), container(document(CONDITION["config"], architecture="ConvNet"))), 2
    ),
    "a condition with a condition": conditioned(conditioned(CONDITION, 2)),
    "without layer1x1": document(wavenet(old_array(head_size=1, layer1x1={"active": False}))),
    "dilated head": document(
        wavenet(new_array(head={"out_channels": 1, "kernel_size": 2, "bias": True, "head_dilation": 7}))
    ),
    "one mode": document(wavenet(old_array(head_size=1, gating_mode="blended", secondary_activation="Softsign"))),
    "its default gate": document(
        wavenet(old_array(head_size=1, gating_mode="gated", conv_pre_film=False, conv_post_film={"shift": False}))
    ),
    "ConvNet": document(
        {"channels": 3, "dilations": [1, 2, 70], "batchnorm": False, "activation": "Tanh"}, architecture="ConvNet"
    ),
    "normalised": document(
        {"channels": 3, "dilations": [1, 2, 70], "batchnorm": True, "activation": "Tanh"}, architecture="ConvNet"
    ),
    "Linear": document({"receptive_field": 40, "bias": False}, architecture="Linear"),
    "Linear with a bias": document({"receptive_field": 3, "bias": True}, architecture="Linear"),
} | {
    str(activation): document(wavenet(old_array(head_size=1, activation=activation, **ONE)))
    for activation in (
        *("ReLU", "Sigmoid", "SiLU", "Hardswish", "Softsign", "Hardtanh"),
        {"type": "LeakyReLU", "negative_slope": 0.3},
        {"type": "LeakyHardtanh", "min_val": -0.2, "max_val": 0.1, "min_slope": 0.5, "max_slope": 0.4},
    )
}


def noise(channels: int, samples: int) -> Array:
    return np.random.default_rng(samples).uniform(-0.5, 0.5, (channels, samples))


def write(path: Path, model: Any) -> str:
    return model_files.write_json(path, model)


@pytest.fixture
def amp(tmp_path: Path) -> str:
    """A small WaveNet."""
    return write(
        tmp_path / "amp.nam", simple(metadata={"loudness": -12, "input_level_dbu": 3.5, "output_level_dbu": 9})
    )


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_model_is_that_of_a_loop(name: str, tmp_path: Path, convtool: Convtool) -> None:
    model, x = DOCUMENTS[name], noise(2, 150)
    np.save(tmp_path / "x.npy", x)
    run = convtool(
        "wavenet", write(tmp_path / "m.nam", model), tmp_path / "x.npy", "-o", tmp_path / "y.npy", "--block", 64
    )
    assert run.code == 0, run.err
    expected = np.concatenate([nam_files.plays(model, row[None]) for row in x])
    assert np.allclose(np.load(tmp_path / "y.npy"), expected, rtol=0, atol=1e-12)
    assert np.abs(expected).max() > 0.01


def lstm(**more: Any) -> Any:
    """Of two layers and two outputs; half a second at its rate is 30 samples."""
    config = {"input_size": 1, "hidden_size": 3, "num_layers": 2, "out_channels": 2}
    return document(config, architecture="LSTM", sample_rate=60, **more)


@pytest.mark.parametrize(
    ("model", "reach"),
    [
        (container(lstm()), 0),
        (conditioned(lstm(), 2) | {"sample_rate": 60}, 23),
        (conditioned(container(simple(sample_rate=60), lstm()), 2) | {"sample_rate": 60}, 23),
    ],
)
def test_an_lstm_within_another_model(model: Any, reach: int, tmp_path: Path, convtool: Convtool) -> None:
    path, x = write(tmp_path / "m.nam", model), noise(2, 300)
    expected = np.concatenate([nam_files.plays(model, row[None], 30 + reach) for row in x])

    def heard(samples: Array, *words: Any) -> Array:
        np.save(tmp_path / "x.npy", samples)
        run = convtool("-v", "wavenet", path, tmp_path / "x.npy", "-o", tmp_path / "y.npy", "--overwrite", *words)
        assert run.code == 0, run.err
        if not words:
            assert f"begun with {30 + reach} samples of silence, as in its player" in run.err
        return np.asarray(np.load(tmp_path / "y.npy"))

    assert np.allclose(heard(x), expected, rtol=0, atol=1e-12)
    state = tmp_path / "s.npz"
    first = heard(x[:, :101], "--state-out", state, "--block", "64")
    rest = heard(x[:, 101:], "--state-in", state)
    assert np.allclose(np.concatenate([first, rest], 1), expected, rtol=0, atol=1e-12)
    longer = nam_files.plays(model, x[:1], 1000)
    assert np.allclose(heard(x[:1], "--prewarm", "1000"), longer, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["0.5.0", "Linear"])
def test_a_dry_run_looks_at_channels_alone(name: str, tmp_path: Path, convtool: Convtool) -> None:
    np.save(tmp_path / "x.npy", noise(2, 50))
    model = write(tmp_path / "m.nam", DOCUMENTS[name])
    run = convtool("wavenet", model, tmp_path / "x.npy", "-o", tmp_path / "y.npy", "--dry-run", "--json")
    assert (run.code, json.loads(run.out)["channels"]) == (0, 2)
    assert not (tmp_path / "y.npy").exists()


def test_a_folder_of_recordings_and_the_pieces_of_one(amp: str, tmp_path: Path, convtool: Convtool) -> None:
    takes = tmp_path / "takes"
    takes.mkdir()
    x = noise(2, 6000).astype("float32")
    for name in ("a", "b"):
        soundfile.write(takes / f"{name}.wav", x.T, RATE, subtype="FLOAT")
    run = convtool("-v", "wavenet", amp, takes, "-o", f"{tmp_path}/wet/")
    assert run.code == 0
    assert "WaveNet of 131 weights; begun with 15 samples of silence, its receptive field; steps of 2048" in run.err
    whole = soundfile.read(tmp_path / "wet" / "b.wav", dtype="float32")[0].T
    expected = np.concatenate([nam_files.plays(simple(), row[None]) for row in x.astype(float)])
    assert np.abs(whole - expected).max() < 1e-6
    state = tmp_path / "s.npz"
    soundfile.write(tmp_path / "1.wav", x.T[:2500], RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "2.wav", x.T[2500:], RATE, subtype="FLOAT")
    assert convtool("wavenet", amp, tmp_path / "1.wav", "-o", tmp_path / "y1.wav", "--state-out", state).code == 0
    assert convtool("wavenet", amp, tmp_path / "2.wav", "-o", tmp_path / "y2.wav", "--state-in", state).code == 0
    pieces = [soundfile.read(tmp_path / f"y{n}.wav", dtype="float32")[0].T for n in (1, 2)]
    assert np.array_equal(np.concatenate(pieces, 1), whole)
    run = convtool("-v", "wavenet", amp, "1", "--state-in", state, "-o", tmp_path / "z.npy")
    assert (run.code, run.err.splitlines()[0]) == (
        1,
        "Error: '1': the state has the shapes (2, 3, 2), (2, 3, 8), (2, 2, 4); expected "
        "(1, 3, 2), (1, 3, 8), (1, 2, 4)",
    )


def test_an_impulse_response_goes_on_too(tmp_path: Path, convtool: Convtool) -> None:
    path = write(tmp_path / "ir.nam", DOCUMENTS["Linear with a bias"])
    state = ("--state-out", tmp_path / "s.safetensors")
    whole = np.array(convtool("wavenet", path, "1,-2,3,0.5").out.split(","), float)
    first = convtool("wavenet", path, "1", *state).out.split(",")
    rest = convtool("-v", "wavenet", path, "--state-in", state[1], "--", "-2,3,0.5")
    assert np.allclose(np.array([*first, *rest.out.split(",")], float), whole, rtol=0, atol=1e-12)
    assert "NAM's player; the program that trains such models takes them in reverse" in rest.err
    assert "Linear of 4 weights; begun without silence; steps of 2048" in rest.err
    np.savez(tmp_path / "bad.npz", **{"convs.0": np.zeros((1, 1, 5))})
    run = convtool("wavenet", path, "1", "--state-in", tmp_path / "bad.npz")
    assert (run.code, "the state has the shape (1, 1, 5); expected (1, 1, 2)" in run.err) == (1, True)


def test_states_of_something_else(amp: str, tmp_path: Path, convtool: Convtool) -> None:
    np.savez(tmp_path / "s.npz", **{"layers.0.h": np.zeros((1, 8)), "layers.2.h": np.zeros((1, 8))})
    run = convtool("wavenet", amp, "1", "--state-in", tmp_path / "s.npz")
    assert "it holds 'layers.0.h', 'layers.2.h'; expected what --state-out writes, 'convs.0' and so on" in run.err
    lstm = model_files.guitarml(tmp_path / "amp.json", *model_files.modules())
    run = convtool("lstm", lstm, "1", "--state-in", tmp_path / "s.npz")
    assert "it holds 'layers.2.h', which belongs to no layer" in run.err


def test_prewarm(amp: str, convtool: Convtool) -> None:
    cold, short, full = (
        convtool("-v", "wavenet", amp, "1,2", *words) for words in (["--prewarm", "0"], ["--prewarm", "3"], [])
    )
    assert cold.out != short.out != full.out
    assert "begun without silence" in cold.err
    assert "begun with 3 samples of silence, of 15" in short.err


def test_levels(amp: str, tmp_path: Path, convtool: Convtool) -> None:
    def heard(*words: str) -> Array:
        run = convtool("-v", "wavenet", amp, "0.1,0.2,-0.3", *words)
        assert run.code == 0, run.err
        return np.array(run.out.split(","), float)

    def played(input_gain: float, output_gain: float) -> Array:
        x = np.array([[0.1, 0.2, -0.3]]) * 10 ** (input_gain / 20)
        return nam_files.plays(simple(), x)[0] * 10 ** (output_gain / 20)

    assert np.allclose(heard("--input-level", "12.5"), played(9, 0), rtol=1e-12)
    assert np.allclose(heard("--output-level", "normalized"), played(0, -6), rtol=1e-12)
    assert np.allclose(heard("--input-level", "12.5", "--output-level", "calibrated"), played(9, -3.5), rtol=1e-12)
    assert (
        "input +9.00 dB; output -3.50 dB"
        in convtool("-v", "wavenet", amp, "1", "--input-level", "12.5", "--output-level", "calibrated").err
    )
    run = convtool("wavenet", amp, "1", "--output-level", "calibrated")
    assert (run.code, "give --input-level DBU" in run.err) == (2, True)
    bare = write(tmp_path / "bare.nam", simple(metadata={"loudness": "loud"}))
    for option, what in (
        (["--output-level", "normalized"], "'metadata.loudness' is the text 'loud'; expected a number of decibels"),
        (["--input-level", "1"], "'metadata.input_level_dbu' is missing; expected a number of decibels"),
    ):
        run = convtool("wavenet", bare, "1", *option)
        assert (run.code, run.err) == (1, f"Error: {bare}: {what}\n")


def test_sizes(tmp_path: Path, convtool: Convtool) -> None:
    small, large = simple(), DOCUMENTS["everything"]
    path = write(tmp_path / "c.nam", container(small, large | {"sample_rate": RATE}))
    for words, model in (
        ([], large),
        (["--size", "1"], large),
        (["--size", "0.5"], large),
        (["--size", "0.49"], small),
    ):
        out = convtool("wavenet", path, "0.5,-1", *words).out
        assert np.allclose(
            np.array(out.split(","), float), nam_files.plays(model, np.array([[0.5, -1]]))[0], atol=1e-12
        )
    run = convtool("wavenet", write(tmp_path / "one.nam", small), "1", "--size", "0")
    assert (run.code, "--size is for containers and slimmable models" in run.err) == (2, True)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (container(simple(sample_rate=44100)), "it has 48000 samples a second, and the model is for 44100; give"),
        (container(simple(sample_rate=44100)) | {"sample_rate": RATE}, "'submodels.0.sample_rate' is 44100, but that"),
        (
            container(conditioned(simple(sample_rate=44100))) | {"sample_rate": RATE},
            "'submodels.0.condition_dsp.sample_rate' is 44100, but that of the whole 48000",
        ),
        (
            container(conditioned(simple(sample_rate=RATE))) | {"sample_rate": 44100},
            "'submodels.0.condition_dsp.sample_rate' is 48000, but that of the whole 44100",
        ),
        (
            conditioned(conditioned(simple(version="0.9.0"))),
            "'condition_dsp.condition_dsp.version' is the text '0.9.0'",
        ),
    ],
)
def test_rates_and_versions_within(model: Any, message: str, tmp_path: Path, convtool: Convtool) -> None:
    run = convtool("wavenet", write(tmp_path / "m.nam", model), "1", "--sample-rate", "48000")
    assert (run.code, message in run.err) == (1, True), run.err


def test_conditions_within_conditions(tmp_path: Path, convtool: Convtool) -> None:
    simplest = wavenet(old_array(head_size=1))
    weights = document(simplest)["weights"]
    model: Any = None
    for depth in range(17):
        config = simplest | {"condition_dsp": model}
        model = {"version": "0.7.0", "architecture": "WaveNet", "config": config, "weights": weights}
        assert convtool("wavenet", write(tmp_path / f"{depth}.nam", model), "1").code == 0
    model = model | {"config": simplest | {"condition_dsp": model}}
    run = convtool("wavenet", write(tmp_path / "deep.nam", model), "1")
    assert (run.code, "condition_dsp' stands within 16 others, which is the limit" in run.err) == (1, True)


def slimmable(**changes: Any) -> dict[str, Any]:
    return old_array(channels=3, **({"head_size": 1, "slimmable": {"method": "slice_channels_uniform"}} | changes))


def test_a_slimmable_model_plays_with_its_first_channels(tmp_path: Path, convtool: Convtool) -> None:
    kept = {"method": "slice_channels_uniform", "kwargs": {"allowed_channels": [1, 3]}}
    full = document(wavenet(slimmable(slimmable=kept, gated=True, dilations=[2])))
    path = write(tmp_path / "m.nam", full)
    w = np.array(full["weights"])
    taken = [w[:1]]  # rechannel (3, 1), then conv (6, 3, 3) and its bias, mixin (6, 1), layer1x1, head
    conv, bias, mixin = w[3:57].reshape(6, 3, 3), w[57:63], w[63:69]
    taken += [conv[:2, :1].ravel(), bias[:2], mixin[:2], w[69:70], w[78:79], w[81:82], w[-1:]]
    slim = document(wavenet(old_array(channels=1, head_size=1, gated=True, dilations=[2])))
    slim["weights"] = np.concatenate(taken).tolist()
    x = np.array([[0.5, -1, 0.25]])
    for size, model in (("0", slim), ("0.49", slim), ("0.5", full), ("1", full)):
        out = convtool("wavenet", path, "0.5,-1,0.25", "--size", size).out
        assert np.allclose(np.array(out.split(","), float), nam_files.plays(model, x)[0], rtol=0, atol=1e-12)


def test_a_slimmable_model_of_two_arrays(tmp_path: Path, convtool: Convtool) -> None:
    first = slimmable(head_size=3)
    for last in (
        slimmable(input_size=3),
        slimmable(input_size=3, head={"out_channels": 1, "kernel_size": 1, "bias": True}, layer1x1={"active": False}),
    ):
        model = write(tmp_path / "m.nam", document(wavenet(first, last)))
        sizes = [convtool("-v", "wavenet", model, "1,2", "--size", size) for size in ("0", "0.4", "1")]
        assert [run.code for run in sizes] == [0, 0, 0], sizes[0].err
        assert len({run.out for run in sizes}) == 3
    head = {"out_channels": 3, "kernel_size": 1, "bias": True}
    both = write(tmp_path / "m.nam", document(wavenet(slimmable(head=head), slimmable(input_size=3, slimmable=None))))
    assert convtool("wavenet", both, "1,2", "--size", "0").code == 0


@pytest.mark.parametrize(
    ("array", "changes", "message"),
    [
        (slimmable(slimmable={"method": "other"}), {}, "'config.layers.0.slimmable.method' is not 'slice_channels_un"),
        (slimmable(slimmable=[1]), {}, "'config.layers.0.slimmable.method' is not"),
        (slimmable(groups_input=3), {}, "'config.layers.0' is slimmable and has groups or a head of several taps"),
        (slimmable(), {"head": POST}, "'config.head' stands behind a slimmable model"),
        *(
            (slimmable(slimmable={"method": "slice_channels_uniform", "kwargs": kwargs, **more}), {}, message)
            for kwargs, more, message in [
                ({"allowed_channels": [1, 2]}, {}, "allowed_channels' is a list; expected numbers that rise to the 3"),
                ({"allowed_channels": [2, 1, 3]}, {}, "allowed_channels' is a list"),
                ({"allowed_channels": "x"}, {}, "allowed_channels' is the text 'x'"),
                (7, {}, "allowed_channels' is 7"),
                ({"pace": 1}, {}, "'config.layers.0.slimmable.kwargs.pace' is not known to convtool"),
                ({}, {"pace": 1}, "'config.layers.0.slimmable.pace' is not known to convtool"),
            ]
        ),
    ],
)
def test_slimmable_models_that_can_not_be_slimmed(
    array: Any, changes: dict[str, Any], message: str, tmp_path: Path, convtool: Convtool
) -> None:
    run = convtool("wavenet", write(tmp_path / "m.nam", document(wavenet(array, **changes))), "1", "--size", "0")
    assert run.code == 1
    assert message in run.err


def test_compare(amp: str, tmp_path: Path, convtool: Convtool) -> None:
    x = noise(2, 3000)
    theirs = np.concatenate([nam_files.plays(simple(), row[None]) for row in x])
    theirs[1, 1234] += 0.25
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "ref.npy", theirs)
    esr = 0.0625 / np.square(theirs).sum()
    peak = np.abs(theirs).max()
    words = ("wavenet", amp, tmp_path / "x.npy", "--compare", tmp_path / "ref.npy")
    run = convtool(*words)
    assert run.out == (
        f"ESR {esr:.4g}; largest error 0.25 at sample 1234 of channel 2, of a peak of {peak:.3g} (2 x 3000)\n"
    )
    found = json.loads(convtool(*words, "--json", "--sample-rate", "48000").out)
    assert np.isclose(found.pop("esr"), esr)
    assert np.isclose(found["largest"], 0.25)
    assert (found["channel"], found["at"], found["samples"], found["sample_rate"]) == (2, 1234, 3000, 48000)
    np.save(tmp_path / "ref.npy", theirs[:, :2000])
    assert f"{tmp_path / 'ref.npy'} ends after 2000 samples; the rest is not compared" in convtool(*words).err
    np.save(tmp_path / "ref.npy", theirs[:, :2048])
    assert "ends after 2048 samples" in convtool(*words).err
    np.save(tmp_path / "ref.npy", np.concatenate([theirs, theirs], 1))
    assert "goes on after 3000 samples" in convtool(*words).err
    for reference, message in (
        (np.zeros((2, 9)), "is silent over 9 samples: there is no ratio"),
        (theirs[0], "it gives 2 channels, and {} has 1"),
        (np.stack([theirs]), "it is a batch of signals; --compare takes one"),
    ):
        np.save(tmp_path / "ref.npy", reference)
        run = convtool(*words)
        assert (run.code, message.format(tmp_path / "ref.npy") in run.err) == (1, True)
    soundfile.write(tmp_path / "r.wav", theirs.T, 44100)
    run = convtool("wavenet", amp, tmp_path / "x.npy", "--compare", tmp_path / "r.wav", "--sample-rate", "48000")
    assert "it has 48000 samples a second, and" in run.err
    timed = convtool("wavenet", amp, "1,2,3", "--compare", "1,2,3", "--sample-rate", "48000")
    assert "at sample 2 (0.000 s), of" in timed.out
    assert convtool("wavenet", amp, "1", "2", "--compare", "1").code == 2
    assert convtool("wavenet", amp, "1", "--compare", "1", "--dry-run").code == 2


def test_what_is_for_the_other_command_says_so(amp: str, tmp_path: Path, convtool: Convtool) -> None:
    assert convtool("lstm", amp, "1").err == f"Error: {amp}: its architecture is 'WaveNet'; convtool wavenet runs it\n"
    path = write(tmp_path / "lstm.nam", model_files.nam_document(*model_files.modules()))
    assert convtool("wavenet", path, "1").err == f"Error: {path}: 'architecture' is 'LSTM'; convtool lstm runs it\n"
    path = model_files.guitarml(tmp_path / "amp.json", *model_files.modules())
    run = convtool("wavenet", path, "1")
    assert run.err == f"Error: {path}: it is no .nam file but of the format guitarml; convtool lstm runs such models\n"


def test_options_that_do_not_fit(amp: str, tmp_path: Path, convtool: Convtool) -> None:
    assert (convtool("wavenet", amp, "--self-test").code, convtool("wavenet", amp, "1", "--self-test").code) == (1, 2)
    assert convtool("wavenet", amp, "1", "--condition", "0.5").code == 2
    run = convtool("wavenet", amp, "1", "--state-in", "s.npz", "--prewarm", "5")
    assert (run.code, "give either" in run.err) == (2, True)
    two = document(wavenet(old_array(input_size=2, condition_size=2, head_size=1), in_channels=2))
    path = write(tmp_path / "two.nam", two)
    run = convtool("wavenet", path, "0.5,1", "--condition", "0.25")
    expected = nam_files.plays(two, np.array([[0.5, 1], [0.25, 0.25]]))[0]
    assert run.code == 0
    assert np.allclose(np.array(run.out.split(","), float)[-1], expected[-1], atol=0.2)


EVERYTHING = wavenet(FIRST, SECOND, head=POST, condition_dsp=None)


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["version"], "0.8.0", "'version' is the text '0.8.0'; convtool reads 0.5.0 to 0.7.0"),
        (["architecture"], "Transformer", "'architecture' is the text 'Transformer'; convtool runs 'WaveNet', 'ConvN"),
        (["config"], 3, "'config' is 3; expected an object"),
        (["weights"], [0.5] * 3, "'weights' holds 3 numbers; a WaveNet with this 'config' has 774"),
        (["weights"], [[0.5]], "'weights' holds numbers of the shape (1, 1); a WaveNet"),
        (["weights", 3], "0.5", "'weights' holds the text '0.5'"),
        (["weights", 3], 1e300, "'arrays.0.rechannel.weight' has 1 values that are NaN, infinite, or too large"),
        (["config", "layers"], [], "'config.layers' is a list of 0; expected a list of 1 to 1000"),
        (["config", "layers"], None, "'config.layers' is null"),
        (["config", "layers", 0, "dilations", 0], 0, "'config.layers.0.dilations.0' is 0; expected a whole number"),
        (["config", "layers", 0, "dilations", 0], 10**9, "'config' looks back over 10000"),
        (["config", "layers", 0, "dilations"], [1] * 1001, "'config.layers.0.dilations' is a list of 1001"),
        (["config", "layers", 0, "dilations"], "1,2", "'config.layers.0.dilations' is the text '1,2'"),
        (["config", "layers", 0, "kernel_sizes"], [2], "'config.layers.0.kernel_sizes' is a list of 1, and 'dil"),
        (["config", "layers", 0, "kernel_size"], 3, "'config.layers.0.kernel_size' and 'config.layers.0.kernel_sizes'"),
        (
            ["config", "layers", 0, "activation"],
            "GELU",
            "'config.layers.0.activation' is the activation the text 'GELU'",
        ),
        (["config", "layers", 0, "activation", 0], {"type": "ReLU", "x": 1}, "'config.layers.0.activation.0.x' is not"),
        (["config", "layers", 0, "activation", 2, "negative_slopes"], [1, 2, 3], "has 3 numbers for 2 channels"),
        (["config", "layers", 0, "activation", 2, "negative_slopes", 0], "x", "negative_slopes.0' is the text 'x'"),
        (["config", "layers", 0, "gating_mode", 0], "soft", "'config.layers.0.gating_mode.0' is the text 'soft'"),
        (["config", "layers", 0, "layer1x1", "active"], 1, "'config.layers.0.layer1x1.active' is 1; expected true or"),
        (["config", "layers", 0, "layer1x1", "active"], False, "'config.layers.0.bottleneck' is 2; without 'layer1x1'"),
        (["config", "layers", 0, "head1x1", "active"], False, "'config.layers.0.head1x1_post_film' is active, and 'he"),
        (["config", "layers", 0, "groups_input"], 3, "'arrays.0.layers.0.conv' has 3 groups, which do not divide"),
        (["config", "layers", 0, "pace"], 3, "'config.layers.0.pace' is not known to convtool, and may change the so"),
        (["config", "pace"], 3, "'config.pace' is not known to convtool, and may change the sound"),
        (["config", "in_channels"], 2, "'config.in_channels' is 2, but 'config.layers.0.input_size' 1"),
        (["config", "head_scale"], "x", "'config.head_scale' is the text 'x'; expected a number"),
        (["config", "head", "in_channels"], 2, "'config.head.in_channels' is 2; there are 1"),
        (
            ["config", "layers", 1, "input_size"],
            3,
            "'config.layers.1.input_size' is 3, but the layers before it have 4",
        ),
        (
            ["config", "layers", 0, "condition_size"],
            2,
            "'config.layers.0.condition_size' is 2, but the condition has 1",
        ),
        (["config", "layers", 0, "head", "out_channels"], 2, "the head of 'config.layers.1' has 3 channels, and that"),
        (["config", "condition_dsp"], {}, "'condition_dsp.architecture' is null; convtool runs 'WaveNet', 'ConvN"),
        (["config", "condition_dsp"], {"architecture": "LSTM"}, "'condition_dsp.config' is null; expected an object"),
        (["config", "condition_dsp"], container(), "'condition_dsp.config.submodels' is a list of 0"),
        (["config", "condition_dsp"], [1], "'config.condition_dsp' is a list; expected an object"),
        (
            ["config", "condition_dsp"],
            {"architecture": "LSTM", "config": lstm()["config"] | {"in_channels": 2}},
            "'condition_dsp.config.in_channels' is 2, but 'condition_dsp.config.input_size' 1",
        ),
        (
            ["config", "condition_dsp"],
            {"architecture": "LSTM", "config": lstm()["config"] | {"pace": 2}},
            "'condition_dsp.config.pace' is not known to convtool, and may change the sound",
        ),
        (["config", "in_channels"], 0, "'config.in_channels' is 0; expected a whole number from 1 on"),
        (["config", "layers", 0, "conv_pre_film"], 3, "'config.layers.0.conv_pre_film' is 3; expected an object"),
        (
            ["config", "condition_dsp"],
            CONDITION | {"config": CONDITION["config"] | {"in_channels": 2, "out_channels": 1}},
            "'config.condition_dsp' takes 2 channels, but the model itself 1",
        ),
        (["config", "condition_dsp"], CONDITION, "'config.layers.0.condition_size' is 1, but the condition has 2 chan"),
    ],
)
def test_damaged_models(keys: list[Any], value: Any, message: str, tmp_path: Path, convtool: Convtool) -> None:
    model = json.loads(json.dumps(document(EVERYTHING, version="0.7.0")))
    inner = model
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    run = convtool("wavenet", write(tmp_path / "m.nam", model), "1")
    assert (run.code, run.out, run.err.count("\n")) == (1, "", 1)
    assert message in run.err


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (container(), "'config.submodels' is a list of 0; expected a list of 1 to 1000"),
        (containing([{"max_value": 0.5, "model": simple()}]), "'config.submodels.0.max_value' is 0.5; expe"),
        (containing([{"max_value": 1, "model": simple()}] * 2), "'config.submodels.1.max_value' is 1, no mo"),
        (
            DOCUMENTS["Linear"] | {"config": {"receptive_field": 40, "bias": False, "in_channels": 2}},
            "'config.in_chann",
        ),
        (DOCUMENTS["Linear"] | {"config": {"receptive_field": 40, "bias": None}}, "'config.bias' is null"),
    ],
)
def test_other_damaged_models(model: Any, message: str, tmp_path: Path, convtool: Convtool) -> None:
    run = convtool("wavenet", write(tmp_path / "m.nam", model), "1")
    assert (run.code, run.out) == (1, "")
    assert message in run.err


def test_what_would_take_all_memory_is_refused(tmp_path: Path, convtool: Convtool) -> None:
    def refused(**changes: Any) -> str:
        config = {"channels": 2, "dilations": [1], "batchnorm": False, "activation": "Tanh"} | changes
        channels, taken = config["channels"], config.get("in_channels", 1)
        numbers = channels * taken * 2 + channels + (len(config["dilations"]) - 1) * (channels * 2 + 1) * channels
        model = {"architecture": "ConvNet", "config": config, "weights": [0.5] * (numbers + channels + 1)}
        run = convtool("wavenet", write(tmp_path / "m.nam", model), "1")
        assert run.code == 1
        return str(run.err)

    assert "'blocks.0' has 1 inputs, 2 taps and 8200 outputs" in refused(channels=8200)
    assert "keeps 42" in refused(channels=21, dilations=[1, 2_000_000])
    many = {"channels": 4000, "dilations": [1, 1, 1], "groups": 4000, "in_channels": 4000}
    config = many | {"batchnorm": False, "activation": "Tanh"}
    model = {"architecture": "ConvNet", "config": config, "weights": [0.5] * (3 * 12000 + 4001)}
    run = convtool("wavenet", write(tmp_path / "m.nam", model), "1")
    assert "takes 96004000 products a sample; the limit is" in run.err


def test_a_batch_normalisation_that_was_rounded_on_its_way(tmp_path: Path, convtool: Convtool) -> None:
    config = {"channels": 1, "dilations": [1], "batchnorm": True, "activation": "ReLU"}
    epsilon = float(np.float32(1e-5))
    model = {"architecture": "ConvNet", "config": config, "weights": [1.0, 1.0, 0.0, 0.0, 1.0, 0.0, epsilon, 1.0, 0.0]}
    run = convtool("wavenet", write(tmp_path / "m.nam", model), "1")
    assert float(run.out) == pytest.approx(1 / math.sqrt(1e-5), rel=1e-14)


def test_a_batch_normalisation_without_variance(tmp_path: Path, convtool: Convtool) -> None:
    model = json.loads(json.dumps(DOCUMENTS["normalised"]))
    model["weights"][9] = -3.0
    run = convtool("wavenet", write(tmp_path / "m.nam", model), "1")
    assert "tensor 'blocks.0.norm.running_var' has values that are no variances" in run.err
