"""`convtool lstm`, from the command line to the file it writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

from convtool.jobs.models import trials as lstm_trials
from tests.conftest import Run
from tests.helpers import model_files as models
from tests.models.test_recurrent import WRITERS

RATE = 44100
Convtool = Callable[..., Run]
Array = np.ndarray[Any, np.dtype[Any]]


def noise(channels: int, samples: int, dtype: str = "float32") -> Array:
    return np.random.default_rng(samples).uniform(-0.5, 0.5, (channels, samples)).astype(dtype)


def wav(path: Path, x: Array, rate: int = RATE, subtype: str = "FLOAT") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, x.T, rate, subtype=subtype)
    return path


def heard(path: Path) -> Array:
    return np.asarray(soundfile.read(path, dtype="float32", always_2d=True)[0].T)


def expected(x: Array, *, skip: int = 0, **options: Any) -> Array:
    """What the modules of `models` make of each channel."""
    rnn, linear = models.modules(**options)
    with torch.no_grad():
        rows = [models.plays(rnn, linear, torch.from_numpy(row[None]), skip=skip).numpy() for row in x]
    return np.concatenate(rows)


@pytest.fixture
def amp(tmp_path: Path) -> str:
    """A GuitarML model."""
    return models.guitarml(tmp_path / "amp.json", *models.modules())


BARE = (
    "Warning: {}: assumed, as the model's file does not tell: tanh and sigmoid, forwards in time, in 'lstm'; no "
    "activation in 'dense'\n"
)


def test_weights_without_their_settings_are_refused_unless_defaults_may_be_assumed(
    tmp_path: Path, convtool: Convtool
) -> None:
    path = models.keras_h5(tmp_path / "m.weights.h5", *models.modules())
    for words in ((path, "1,2"), (path, "--compare", "1,2"), (path, "1,2", "--dry-run")):
        result = convtool("lstm", *words)
        assert (result.code, result.out) == (1, "")
        assert result.err == (
            f"Error: {path}: it holds weights without the settings of their layers; --assume-defaults takes tanh and "
            "sigmoid, forwards in time, in 'lstm'; no activation in 'dense'\n"
        )
    assert convtool("lstm", path, "1,2", "--assume-defaults", "-q").code == 0


def test_a_layer_that_gives_its_last_step_alone_is_told(tmp_path: Path, convtool: Convtool) -> None:
    rnn, linear = models.modules()
    config = models.keras_layers(rnn, linear)
    for layer in config["config"]["layers"]:
        layer["config"]["return_sequences"] = False
    result = convtool("lstm", models.keras(tmp_path / "m.keras", rnn, linear, config=config), "1,2")
    assert result.code == 0
    assert "Keras gives the last step alone of 'lstm' (return_sequences); here is every step" in result.err


@pytest.mark.parametrize("format", WRITERS)
def test_every_format_plays_as_the_module_it_was_made_of(format: str, tmp_path: Path, convtool: Convtool) -> None:
    name, write = WRITERS[format]
    x = noise(2, 6000)
    np.save(tmp_path / "x.npy", x)
    words = ["lstm", write(tmp_path / name, *models.modules()), tmp_path / "x.npy", "-o", tmp_path / "y.npy"]
    bare = format == "keras h5"
    result = convtool(*words, *["--assume-defaults"] * bare)
    assert (result.code, result.out) == (0, "")
    assert result.err == BARE.format(tmp_path / "x.npy") * bare
    y = np.load(tmp_path / "y.npy")
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, expected(x, skip=int(format == "guitarml")), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("dtype", "error"), [("float32", 1e-6), ("float64", 1e-13)])
def test_engines_are_equal(dtype: str, error: float, amp: str, tmp_path: Path, convtool: Convtool) -> None:
    np.save(tmp_path / "x.npy", noise(1, 3000, dtype))
    for engine in ("sequence", "cell"):
        run = convtool("lstm", amp, tmp_path / "x.npy", "--engine", engine, "-o", tmp_path / f"{engine}.npy")
        assert run.code == 0
    sequence, cell = (np.load(tmp_path / f"{engine}.npy") for engine in ("sequence", "cell"))
    assert sequence.dtype == dtype
    assert np.abs(sequence).max() > 0
    assert np.abs(sequence - cell).max() <= error


def test_numbers_come_back_in_their_shape(amp: str, convtool: Convtool) -> None:
    run = convtool("lstm", amp, "0,0.5,-0.25")
    values = [float(cell) for cell in run.out.strip().split(",")]
    rnn, linear = (module.double() for module in models.modules())
    signal = torch.tensor([[0, 0.5, -0.25]], dtype=torch.float64)
    np.testing.assert_allclose(values, models.plays(rnn, linear, signal, skip=1)[0].numpy(), rtol=0, atol=1e-13)


def test_blocks_and_readers_show_in_no_bit(amp: str, tmp_path: Path, convtool: Convtool) -> None:
    wav(tmp_path / "x.wav", noise(2, 30000))
    for number, block in enumerate((4096, 100, 1 << 20)):
        assert convtool("lstm", amp, tmp_path / "x.wav", "--block", block, "-o", tmp_path / f"{number}.wav").code == 0
    assert (tmp_path / "0.wav").read_bytes() == (tmp_path / "1.wav").read_bytes() == (tmp_path / "2.wav").read_bytes()


@pytest.mark.parametrize("name", ["s.npz", "s.safetensors", "s.pt", "state"])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_two_halves_with_a_state_are_the_whole(
    kind: type[nn.LSTM], name: str, tmp_path: Path, convtool: Convtool
) -> None:
    model = models.pt(tmp_path / "m.pt", *models.modules(kind, num_layers=2))
    x, state = noise(2, 2 * 44100), tmp_path / name
    for part, samples in (("whole", x), ("a", x[:, :44100]), ("b", x[:, 44100:])):
        wav(tmp_path / f"{part}.wav", samples)

    def play(part: str, *options: object) -> Array:
        run = convtool("lstm", model, tmp_path / f"{part}.wav", "-o", tmp_path / f"{part}.out.wav", *options)
        assert (run.code, run.err) == (0, "")
        return heard(tmp_path / f"{part}.out.wav")

    halves = [play("a", "--state-out", state), play("b", "--state-in", state)]
    np.testing.assert_allclose(np.concatenate(halves, 1), play("whole"), rtol=0, atol=1e-6)


def test_two_halves_of_an_lstm_have_the_bits_of_the_whole(amp: str, tmp_path: Path, convtool: Convtool) -> None:
    x = noise(1, 10 * 4096)
    wav(tmp_path / "whole.wav", x)
    wav(tmp_path / "a.wav", x[:, : 5 * 4096])
    wav(tmp_path / "b.wav", x[:, 5 * 4096 :])
    assert convtool("lstm", amp, tmp_path / "whole.wav", "-o", tmp_path / "1.wav").code == 0
    state = tmp_path / "state.npz"
    assert convtool("lstm", amp, tmp_path / "a.wav", "--state-out", state, "-o", tmp_path / "2.wav").code == 0
    assert convtool("lstm", amp, tmp_path / "b.wav", "--state-in", state, "-o", tmp_path / "3.wav").code == 0
    np.testing.assert_array_equal(
        np.concatenate([heard(tmp_path / "2.wav"), heard(tmp_path / "3.wav")], 1), heard(tmp_path / "1.wav")
    )
    assert {name: value.shape for name, value in np.load(state).items()} == {
        "layers.0.h": (1, 8),
        "layers.0.c": (1, 8),
    }


def test_a_folder_comes_out_as_each_file_alone(amp: str, tmp_path: Path, convtool: Convtool) -> None:
    lengths = (5000, 20000, 1, 70000, 12345, 5000, 33000)
    for number, samples in enumerate(lengths):
        wav(tmp_path / "takes" / f"{number}.wav", noise(1 + number % 2, samples), subtype="PCM_16")
    (tmp_path / "takes" / "bad.wav").write_bytes(b"RIFF")
    for jobs in ("1", "2"):
        run = convtool("lstm", amp, tmp_path / "takes", "-o", f"{tmp_path}/out{jobs}/", "--jobs", jobs)
        assert run.code == 1
        assert run.err.splitlines()[-1] == "7 written, 0 skipped, 1 failed"
        assert sum("bad.wav" in line for line in run.err.splitlines()) == 1
    for number in range(len(lengths)):
        alone = tmp_path / f"{number}.wav"
        assert convtool("lstm", amp, tmp_path / "takes" / f"{number}.wav", "-o", alone).code == 0
        for jobs in (1, 2):
            assert (tmp_path / f"out{jobs}" / f"{number}.wav").read_bytes() == alone.read_bytes()


def test_an_amplifier_and_its_cabinet_in_one_pipe(amp: str, tmp_path: Path, program: Any) -> None:
    wav(tmp_path / "di.wav", noise(1, 50000))
    for folder in ("takes", "takes/live"):
        wav(tmp_path / folder / "di.wav", noise(1, 50000))
    wav(tmp_path / "cab.wav", noise(1, 300) / 20)
    piped = program("lstm", amp, tmp_path / "di.wav", "-o", "-", "--format", "wav")
    assert piped.code == 0
    run = program("convolve", "-k", tmp_path / "cab.wav", "-o", tmp_path / "piped.wav", stdin=piped.raw)
    assert run.code == 0
    assert program("lstm", amp, tmp_path / "di.wav", "-o", tmp_path / "amped.wav").code == 0
    run = program("convolve", tmp_path / "amped.wav", "-k", tmp_path / "cab.wav", "-o", tmp_path / "filed.wav")
    assert run.code == 0
    assert program("lstm", amp, tmp_path / "takes", "-o", "amped/").code == 0
    assert program("convolve", "amped/", "-k", tmp_path / "cab.wav", "-o", "out/").code == 0
    np.testing.assert_array_equal(heard(tmp_path / "out" / "live" / "di.wav"), heard(tmp_path / "piped.wav"))
    assert heard(tmp_path / "piped.wav").shape == (1, 50299)
    np.testing.assert_array_equal(heard(tmp_path / "piped.wav"), heard(tmp_path / "filed.wav"))


def test_knobs_are_further_inputs(tmp_path: Path, convtool: Convtool) -> None:
    rnn, linear = models.modules(inputs=3)
    model = models.guitarml(tmp_path / "m.json", rnn, linear)
    x = noise(1, 2000)
    np.save(tmp_path / "x.npy", x)
    assert convtool("lstm", model, tmp_path / "x.npy", "--condition", "0.25,1", "-o", tmp_path / "y.npy").code == 0
    full = torch.from_numpy(np.concatenate([x, np.full_like(x, 0.25), np.full_like(x, 1)]))
    np.testing.assert_allclose(
        np.load(tmp_path / "y.npy"), models.plays(rnn, linear, full, skip=1).numpy(), rtol=0, atol=1e-6
    )
    np.save(tmp_path / "full.npy", full.numpy())
    assert convtool("lstm", model, tmp_path / "full.npy", "-o", tmp_path / "z.npy").code == 0
    np.testing.assert_array_equal(np.load(tmp_path / "z.npy"), np.load(tmp_path / "y.npy"))
    run = convtool("lstm", model, tmp_path / "x.npy")
    assert run.code == 1
    assert "has 3 inputs for the signal, which has 1 channel; a condition gives" in run.err
    run = convtool("lstm", model, tmp_path / "x.npy", "--condition", "1,2,3")
    assert run.code == 2
    assert "--condition is for 3 more inputs; the model has 2 inputs beside the signal" in run.err


def test_several_outputs_are_channels(tmp_path: Path, convtool: Convtool) -> None:
    model = models.pt(tmp_path / "m.pt", *models.modules(outputs=2))
    (tmp_path / "x.csv").write_text("a\n0.5\n0.25\n")
    run = convtool("lstm", model, tmp_path / "x.csv")
    assert [len(line.split(",")) for line in run.out.splitlines()] == [2, 2]
    run = convtool("lstm", model, "0.5,0.25")
    assert [len(line.split(",")) for line in run.out.splitlines()] == [2, 2]


def test_names_of_columns_stay(amp: str, tmp_path: Path, convtool: Convtool) -> None:
    (tmp_path / "x.csv").write_text("left,right\n0.5,1\n0.25,1\n")
    assert convtool("lstm", amp, tmp_path / "x.csv").out.startswith("left,right\n")


def test_gains_and_skip_of_an_aida_x_model(tmp_path: Path, convtool: Convtool) -> None:
    more = {"in_skip": 1, "in_gain": 6.0, "out_gain": -12.0}
    model = models.rtneural(tmp_path / "m.aidax", *models.modules(), **more)
    x = noise(1, 1000)
    np.save(tmp_path / "x.npy", x)
    assert convtool("lstm", model, tmp_path / "x.npy", "-o", tmp_path / "y.npy").code == 0
    np.testing.assert_allclose(
        np.load(tmp_path / "y.npy"), 10**-0.6 * expected(np.float32(10**0.3) * x, skip=1), rtol=0, atol=2e-6
    )


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid", "elu", "softmax"])
def test_activations_of_the_head(activation: str, tmp_path: Path, convtool: Convtool) -> None:
    model = models.rtneural(tmp_path / "m.json", *models.modules(), activation=activation)
    np.save(tmp_path / "x.npy", noise(1, 500))
    assert convtool("lstm", model, tmp_path / "x.npy", "-o", tmp_path / "y.npy").code == 0
    linear = torch.from_numpy(expected(noise(1, 500)))
    functions = {"softmax": lambda y: torch.softmax(y, 0), "elu": nn.functional.elu}
    made = functions.get(activation) or getattr(torch, activation)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), made(linear).numpy(), rtol=0, atol=1e-6)


def test_prewarm_and_the_state_in_a_model_file(tmp_path: Path, convtool: Convtool) -> None:
    rnn, linear = models.modules()
    state = [(np.full(8, 0.25), np.full(8, -0.5))]
    model = models.nam(tmp_path / "m.nam", rnn, linear, state=state)
    x = noise(1, 500)
    np.save(tmp_path / "x.npy", x)
    assert convtool("lstm", model, tmp_path / "x.npy", "--prewarm", 1000, "-o", tmp_path / "y.npy").code == 0
    warm = torch.from_numpy(np.pad(x, ((0, 0), (1000, 0)))).T
    h, c = (torch.from_numpy(part).float()[None] for part in state[0])
    with torch.no_grad():
        y = linear(rnn(warm, (h, c))[0]).T[:, 1000:]
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), y.numpy(), rtol=0, atol=1e-6)


def test_rates_must_agree(tmp_path: Path, convtool: Convtool) -> None:
    model = models.nam(tmp_path / "m.nam", *models.modules())
    x = wav(tmp_path / "x.wav", noise(1, 5000))
    run = convtool("lstm", model, x, "-o", tmp_path / "y.wav")
    assert run.code == 1
    assert f"x.wav: it has {RATE} samples a second, and the model is for 48000; give --rate-policy resample" in run.err
    assert not (tmp_path / "y.wav").exists()
    assert convtool("lstm", model, x, "--rate-policy", "ignore", "-o", tmp_path / "y.wav").err == ""
    np.testing.assert_allclose(heard(tmp_path / "y.wav"), expected(noise(1, 5000)), rtol=0, atol=1e-6)
    assert convtool("lstm", model, wav(tmp_path / "48.wav", noise(1, 99), 48000), "-o", tmp_path / "z.wav").code == 0
    assert convtool("lstm", model, "0.5,0.25").code == 0
    assert convtool("lstm", model, "0.5,0.25", "--sample-rate", 8000).code == 1


def test_a_resampled_signal_comes_back_at_its_own_rate(tmp_path: Path, convtool: Convtool) -> None:
    from convtool.ops import resample

    rnn, linear = models.modules()
    model = models.nam(tmp_path / "m.nam", rnn, linear)
    x = noise(2, 30000)
    wav(tmp_path / "x.wav", x)
    run = convtool(
        "lstm", model, tmp_path / "x.wav", "--rate-policy", "resample", "-o", tmp_path / "y.wav", "--verbose"
    )
    assert "NAM model" in run.err or "nam model of LSTM(8) at 48000 Hz" in run.err
    there = resample(torch.from_numpy(x), orig_rate=RATE, new_rate=48000).numpy()
    back = resample(torch.from_numpy(expected(there)), orig_rate=48000, new_rate=RATE)[:, :30000]
    y = heard(tmp_path / "y.wav")
    assert soundfile.info(tmp_path / "y.wav").samplerate == RATE
    np.testing.assert_allclose(y, back.numpy(), rtol=0, atol=2e-6)
    state = ("--state-out", tmp_path / "s.npz")
    run = convtool("lstm", model, tmp_path / "x.wav", "--rate-policy", "resample", *state, "-o", tmp_path / "z.wav")
    assert run.code == 1
    assert "a state does not go on across the edge of a resampled signal" in run.err


def test_a_rate_that_is_only_usual_is_a_warning(amp: str, tmp_path: Path, convtool: Convtool) -> None:
    x = wav(tmp_path / "x.wav", noise(1, 5000), 48000)
    run = convtool("lstm", amp, x, "-o", tmp_path / "y.wav")
    assert run.code == 0
    assert "Warning: " in run.err
    assert "the model's file tells no rate, and such models are run at 44100" in run.err
    assert convtool("lstm", amp, x, "--rate-policy", "ignore", "-o", tmp_path / "z.wav").err == ""
    assert heard(tmp_path / "y.wav").tolist() == heard(tmp_path / "z.wav").tolist()
    run = convtool("lstm", amp, x, "--rate-policy", "resample", "-o", tmp_path / "r.wav", "-v")
    assert "at 44100 Hz" in run.err


def test_both_directions_take_the_whole_input(tmp_path: Path, convtool: Convtool) -> None:
    model = models.pt(tmp_path / "m.pt", *models.modules(bidirectional=True))
    x = noise(1, 9000)
    np.save(tmp_path / "x.npy", x)
    run = convtool("lstm", model, tmp_path / "x.npy", "-o", tmp_path / "y.npy", "-v")
    assert "the whole input at once, as a layer is bidirectional" in run.err
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected(x, bidirectional=True), rtol=0, atol=1e-6)
    for option in (("--prewarm", "5"), ("--state-in", "a.npz"), ("--state-out", "a.npz")):
        run = convtool("lstm", model, tmp_path / "x.npy", *option)
        assert run.code == 2
        assert f"{option[0]} needs a model that runs forwards in time" in run.err


def test_nan_is_an_error_unless_asked_for(amp: str, tmp_path: Path, convtool: Convtool) -> None:
    run = convtool("lstm", amp, "1,nan,2")
    assert run.code == 1
    assert "sample 1 is NaN" in run.err
    assert convtool("lstm", amp, "1,nan,2", "--nan", "propagate").out.split(",")[1:] == ["nan", "nan\n"]
    assert convtool("lstm", amp, "1,nan,2", "--nan", "zero").out == convtool("lstm", amp, "1,0.0,2").out


def test_clipping_is_counted(tmp_path: Path, convtool: Convtool) -> None:
    rnn, linear = models.modules()
    linear.bias += 4
    model = models.pt(tmp_path / "m.pt", rnn, linear)
    wav(tmp_path / "x.wav", noise(1, 100), subtype="PCM_16")
    run = convtool("lstm", model, tmp_path / "x.wav", "-o", tmp_path / "y.wav")
    assert run.code == 0
    assert "100 samples clipped" in run.err
    assert "a quieter input or --subtype FLOAT keeps them" in run.err
    run = convtool("lstm", model, tmp_path / "x.wav", "-o", tmp_path / "z.wav", "--fail-on-clip")
    assert run.code == 3


VECTORS = noise(1, 400)


def with_vectors(path: Path, expected: Array, **more: Any) -> str:
    batches = {"input_batch": VECTORS[0].tolist(), "output_batch": expected[0].tolist()}
    return models.rtneural(path, *models.modules(), **batches, **more)


def test_the_vectors_that_a_model_carries(tmp_path: Path, convtool: Convtool) -> None:
    good = with_vectors(tmp_path / "good.json", expected(VECTORS))
    run = convtool("lstm", good, "--self-test")
    assert run.code == 0
    assert run.out.startswith("test vectors of 400 samples: the largest difference is ")
    assert run.out.endswith(", within 1e-05\n")
    assert convtool("lstm", good, "--self-test", "--engine", "cell", "--dtype", "float64").code == 0
    told = json.loads(convtool("lstm", good, "--self-test", "--json").out)
    assert told["holds"] is True
    assert told["samples"] == 400
    assert told["difference"] < 1e-6


def test_vectors_that_do_not_hold(tmp_path: Path, convtool: Convtool) -> None:
    bad = with_vectors(tmp_path / "bad.json", expected(VECTORS) + 1e-3)
    run = convtool("lstm", bad, "--self-test")
    assert run.code == 3
    assert run.out == ""
    assert "bad.json: test vectors of 400 samples: the largest difference is 0.001, above the 1e-05" in run.err
    run = convtool("lstm", bad, "--self-test", "--json")
    assert run.code == 3
    assert json.loads(run.out)["holds"] is False


def test_vectors_with_and_without_the_gains(tmp_path: Path, convtool: Convtool) -> None:
    gains = {"in_gain": 6, "out_gain": -6}
    run = convtool("lstm", with_vectors(tmp_path / "a.json", expected(VECTORS), **gains), "--self-test")
    assert run.code == 0
    assert run.out.endswith(", without the file's gains\n")
    factor = np.float32(10**0.3)
    with_gains = with_vectors(tmp_path / "b.json", expected(factor * VECTORS) / factor, **gains)
    run = convtool("lstm", with_gains, "--self-test")
    assert run.code == 0
    assert run.out.endswith("within 1e-05\n")


def test_a_model_without_vectors(amp: str, convtool: Convtool) -> None:
    run = convtool("lstm", amp, "--self-test")
    assert run.code == 1
    assert "amp.json: there are no test vectors in it" in run.err


def test_engines_side_by_side(amp: str, tmp_path: Path, convtool: Convtool, monkeypatch: pytest.MonkeyPatch) -> None:
    x = wav(tmp_path / "x.wav", noise(2, 2000))
    run = convtool("lstm", amp, "--compare", x)
    assert run.code == 0
    header, sequence, cell, last = run.out.splitlines()
    assert header.split() == ["engine", "seconds", "samples/s", "x", "real", "time"]
    assert [line.split()[0] for line in (sequence, cell)] == ["sequence", "cell"]
    assert last.startswith("largest difference ")
    assert last.endswith("(2 x 2000 in float32)")
    assert float(last.split()[2].strip(",")) < 1e-6
    monkeypatch.setattr(lstm_trials, "COMPARED", 500)
    told = json.loads(convtool("lstm", amp, "--compare", x, "--json").out)
    assert (told["samples"], told["whole"], told["channels"]) == (500, False, 2)
    assert told["seconds"].keys() == {"sequence", "cell"}
    run = convtool("lstm", amp, "--compare", x)
    assert "(the first 500 of its samples, 2 x 500 in float32)" in run.out
    run = convtool("lstm", amp, "--compare", "0.5,0.25,1")
    assert run.out.splitlines()[0].split() == ["engine", "seconds", "samples/s"]
    assert "1 x 3 in float64" in run.out


def test_what_can_not_be_compared(amp: str, tmp_path: Path, convtool: Convtool) -> None:
    torch.manual_seed(0)
    projected = models.pt(tmp_path / "m.pt", nn.LSTM(1, 6, proj_size=3).requires_grad_(False), None)
    run = convtool("lstm", projected, "--compare", "1,0.5")
    assert run.code == 1
    assert "the LSTM has projections to 3 of 6 units" in run.err
    (tmp_path / "empty.wav").write_bytes(wav(tmp_path / "e.wav", np.zeros((1, 0), np.float32)).read_bytes())
    run = convtool("lstm", amp, "--compare", tmp_path / "empty.wav")
    assert run.code == 1
    assert "empty.wav: there are 0 samples in it" in run.err
    wav(tmp_path / "takes" / "a.wav", noise(1, 5))
    wav(tmp_path / "takes" / "b.wav", noise(1, 5))
    run = convtool("lstm", amp, "--compare", tmp_path / "takes")
    assert run.code == 2
    assert "--compare runs over one input; 2 were given" in run.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["x.npy", "--self-test"], "--self-test tries the model out, and does nothing else; leave out INPUT"),
        (["--self-test", "--compare", "x.npy"], "--self-test tries the model out, and does nothing else; leave out"),
        (["--compare", "x.npy", "-o", "y.npy"], "--compare tries the model out, and does nothing else; leave out -o"),
        (["x.npy", "--condition", "1"], "--condition is for 1 more input; the model has no input but the signal"),
        (["x.npy", "--condition", "a"], "'a' is no list of numbers, such as 0.5,1"),
        (["x.npy", "--condition", "inf"], "'inf' is no list of numbers"),
        (["x.npy", "--state-out", "s.txt"], "'s.txt' is no name for a state, which goes into .npz, .safetensors, .pt"),
        (["x.npy", "--state-out", "s5.xyz"], "'s5.xyz' is no name for a state, which goes into"),
        (["x.npy", "--state-in", "s.wav"], "'s.wav' has the name of another kind of file"),
        (["x.npy", "--state-in", "s.npz", "--prewarm", "1"], "--prewarm is for a model that begins"),
        (["x.npy", "x.npy", "--state-out", "s.npz"], "--state-out keeps the state after one input; 2 were given"),
        (["x.npy", "-o", "old.npy", "--state-out", "old.npz"], "old.npz exists; give --overwrite or another name"),
        (["x.npy", "-o", "s.npz", "--state-out", "s.npz", "--format", "npy"], "s.npz"),
        (["x.npy", "-o", "amp.json", "--format", "npy", "--overwrite"], "amp.json"),
    ],
)
def test_wrong_usage_is_told_before_any_work(
    arguments: list[str], message: str, amp: str, tmp_path: Path, convtool: Convtool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", noise(1, 5))
    Path("old.npz").touch()
    before = sorted(tmp_path.iterdir())
    run = convtool("lstm", "amp.json", *arguments)
    assert run.code == 2
    assert message in run.err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"layers.0.h": np.zeros((1, 8)), "layers.0.c": np.zeros((1, 7))},
            "the state has the shapes (1, 1, 8), (1, 1, 7)",
        ),
        ({"layers.0.h": np.zeros(8), "layers.0.c": np.zeros(8)}, "'layers.0.h' is no state: expected finite numbers"),
        ({"layers.0.h": np.full((1, 8), np.nan)}, "'layers.0.h' is no state"),
        ({"layers.0.h": np.full((1, 8), 1e300)}, "'layers.0.h' is no state"),
        ({"layers.0.h": np.zeros((1, 8), int)}, "'layers.0.h' is no state"),
        ({"batch": np.zeros((1, 8))}, "it holds 'batch'; expected what --state-out writes"),
        ({}, "it holds nothing"),
    ],
)
def test_states_that_do_not_fit(
    arrays: dict[str, Array], message: str, amp: str, tmp_path: Path, convtool: Convtool
) -> None:
    np.savez(tmp_path / "s.npz", **arrays)  # type: ignore[arg-type]
    run = convtool("lstm", amp, "1,0.5", "--state-in", tmp_path / "s.npz")
    assert run.code == 1
    assert message in run.err
    assert len(run.err.splitlines()) == 1


def test_files_that_are_not_there(amp: str, tmp_path: Path, convtool: Convtool) -> None:
    run = convtool("lstm", tmp_path / "no\x1b.json", "1,0.5")
    assert run.code == 1
    assert run.err.count("\n") == 1
    assert "no such file" in run.err
    assert "\x1b" not in run.err
    run = convtool("lstm", amp, "1,0.5", "--state-in", tmp_path / "no.npz")
    assert run.code == 1
    assert "--state-in" in run.err
    assert "no.npz" in run.err


def test_help_and_usage_errors_do_not_load_torch(program: Any, tmp_path: Path) -> None:
    assert "MODEL INPUT..." in program("lstm", "--help").out
    assert program("lstm").code == 2
