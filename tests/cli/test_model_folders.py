"""`convtool lstm` and `wavenet` with a folder of models: one of them for each input, or each of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from tests.conftest import Run
from tests.helpers import model_files
from tests.helpers.nam_files import document, simple
from tests.helpers.schema import faults

Convtool = Callable[..., Run]
RATE = 48000
GAINS = {"amps/a.nam": 0.5, "amps/b.NAM": 0.25, "amps/deep/a.nam": 0.125}


def impulse(gain: float, **told: Any) -> dict[str, Any]:
    """A model of one tap, which tells itself apart by its height."""
    model = document({"receptive_field": 1, "bias": False}, architecture="Linear", **told)
    return {**model, "weights": [gain]}


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models of one tap, and inputs of ones."""
    monkeypatch.chdir(tmp_path)
    for folder in ("amps/deep", "takes", "none"):
        Path(folder).mkdir(parents=True)
    for path, gain in GAINS.items():
        model_files.write_json(Path(path), impulse(gain))
    Path("amps/read.me").write_text("nothing")
    for name in ("one", "two"):
        soundfile.write(f"takes/{name}.wav", np.ones(5), RATE, subtype="FLOAT")


def rows(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.out.splitlines()]


@pytest.mark.parametrize("cluster", [(), ("--cluster", "local")])
def test_all_plays_each_input_with_each_model(cluster: tuple[str, ...], convtool: Convtool) -> None:
    """Every output is that of its model, which the report tells."""
    out = ("-o", "wet/{stem}-{model}.wav")
    run = convtool("-v", "wavenet", "amps/", "takes", "--pick", "all", *out, "--json", *cluster)
    assert "passed over, no model: amps/read.me" in run.err
    assert "6 written, 0 skipped, 0 failed" in run.err
    found = rows(run)
    assert [fault for row in found for fault in faults("report", row)] == []
    assert [(row["input"], row["model"]) for row in found] == [
        (f"takes/{name}.wav", model) for name in ("one", "two") for model in GAINS
    ]
    for row in found:
        assert np.all(soundfile.read(row["output"])[0] == GAINS[row["model"]])
    assert sorted(path.name for path in Path("wet").glob("one*")) == ["one-a.wav", "one-b.wav", "one-deep-a.wav"]


def test_random_goes_by_the_name_and_the_seed(convtool: Convtool) -> None:
    """Neither the order nor the pattern matters; over some seeds every model is chosen."""
    words = ("-o", "wet/", "--pick", "random", "--json", "--overwrite")
    walked = {row["input"]: row["model"] for row in rows(convtool("wavenet", "amps", "takes", *words))}
    named = convtool("wavenet", "amps/**/*.[nN]*", "takes/two.wav", "takes/one.wav", *words)
    assert {row["input"]: row["model"] for row in rows(named)} == walked
    for name, model in walked.items():
        assert np.all(soundfile.read(f"wet/{Path(name).name}")[0] == GAINS[model])
    dry = (convtool("wavenet", "amps", "takes/one.wav", *words, "--dry-run", "--seed", seed) for seed in range(9))
    assert {row["model"] for run in dry for row in rows(run)} == set(GAINS)


@pytest.mark.parametrize("cluster", [(), ("--cluster", "local")])
def test_one_broken_model_is_one_failed_output(cluster: tuple[str, ...], convtool: Convtool) -> None:
    Path("amps/b.NAM").write_text("{}")
    Path("amps/gone.nam").symlink_to("nowhere")
    run = convtool("wavenet", "amps", "takes/one.wav", "--pick", "all", "-o", "{model}.wav", "--json", *cluster)
    assert run.code == 1
    assert "Error: takes/one.wav with amps/b.NAM: " in run.err
    assert "2 written, 0 skipped, 2 failed" in run.err
    assert [(row["model"], row["status"]) for row in rows(run)] == [
        ("amps/a.nam", "written"),
        ("amps/b.NAM", "failed"),
        ("amps/deep/a.nam", "written"),
        ("amps/gone.nam", "failed"),
    ]
    assert (Path("a.wav").exists(), Path("b.wav").exists()) == (True, False)


def test_levels_are_those_of_each_model(convtool: Convtool) -> None:
    """One that tells no loudness can't be brought to a level; the others are."""
    model_files.write_json(Path("amps/a.nam"), impulse(0.5, metadata={"loudness": -12}))
    model_files.write_json(Path("amps/deep/a.nam"), impulse(0.5, metadata={"loudness": -24}))
    options = ("--pick", "all", "-o", "{model}.wav", "--output-level", "normalized")
    run = convtool("wavenet", "amps", "takes/one.wav", *options)
    assert run.code == 1
    assert "one.wav with amps/b.NAM: 'metadata.loudness' is missing" in run.err
    for name, gain in (("a", -6), ("deep-a", 6)):
        assert soundfile.read(f"{name}.wav")[0] == pytest.approx(0.5 * 10 ** (gain / 20), rel=1e-6)


def test_a_single_model_needs_no_choice(convtool: Convtool) -> None:
    """A folder of one; and a template may name the model of any run."""
    run = convtool("wavenet", "amps/deep", "takes/one.wav", "--json", "-o", "y.csv")
    assert "model" not in rows(run)[0]
    assert set(Path("y.csv").read_text().split()) == {"0.125"}
    run = convtool("wavenet", "amps/a.nam", "takes/one.wav", "-o", "{model}-{stem}.csv", "--json")
    assert (rows(run)[0]["output"], rows(run)[0]["model"]) == ("a-one.csv", "amps/a.nam")


def test_recurrent_models_share_a_process_and_not_each_other(convtool: Convtool) -> None:
    """Inputs side by side, each with its models, give what each gives alone; of a kind that lstm can't run, none."""
    for hidden in (4, 8):
        model_files.guitarml(Path(f"amps/{hidden}.json"), *model_files.modules(hidden=hidden))
    run = convtool(
        *("lstm", "amps", "takes", "--pick", "all", "-o", "wet/{stem}-{model}.npy", "--jobs", 1),
        *("--rate-policy", "ignore", "--json"),
    )
    assert [row["status"] for row in rows(run)] == (["written"] * 2 + ["failed"] * 3) * 2
    assert "with amps/a.nam: " in run.err
    assert "convtool wavenet" in run.err
    for hidden in (4, 8):
        rnn, linear = model_files.modules(hidden=hidden)
        with torch.no_grad():
            expected = model_files.plays(rnn, linear, torch.ones(1, 5), skip=1).numpy()
        for name in ("one", "two"):
            assert np.abs(np.load(f"wet/{name}-{hidden}.npy") - expected).max() < 1e-6


def test_a_folder_that_is_one_model_is_that_model(convtool: Convtool) -> None:
    """An index names its shards: neither they nor it are models of their own."""
    from safetensors.torch import save_file

    rnn, linear = model_files.modules()
    Path("whole").mkdir()
    shards = {"a.safetensors": rnn.state_dict(prefix="rnn."), "b.safetensors": linear.state_dict(prefix="linear.")}
    for name, tensors in shards.items():
        save_file(tensors, f"whole/{name}")
    where = {tensor: name for name, tensors in shards.items() for tensor in tensors}
    Path("whole/model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    run = convtool("lstm", "whole/", "takes/one.wav", "-o", "{model}.npy")
    assert (run.code, run.err) == (0, "")
    with torch.no_grad():
        expected = model_files.plays(rnn, linear, torch.ones(1, 5), skip=0).numpy()
    assert np.abs(np.load("whole.npy") - expected).max() < 1e-6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("amps takes -o wet/", "amps stands for 3 models; give --pick random, .* or --pick all"),
        (
            "amps takes --pick all -o wet/",
            r"3 outputs of each input; name them with \{model\} .*'wet/\{stem\}-\{model\}",
        ),
        ("amps takes --seed 1 -o wet/", "--seed is for --pick random"),
        ("amps takes --pick all -o {model}{stem}.wav --plot p.png", "--plot draws one input; 6 were given"),
        ("amps takes/one.wav --pick all -o {model}.wav --state-out s.npz", "one input; 3 were given"),
        ("amps takes --pick all -o {model}.wav --state-in s.npz", "--state-in is for one model; amps stands for 3"),
        ("amps takes/one.wav --compare takes/two.wav", "--compare is for one model; amps stands for 3"),
        ("amps takes/one.wav --pick all -o amps/{model}.nam --format wav --overwrite", "is the input amps/a.nam"),
    ],
)
def test_what_is_refused(arguments: str, said: str, convtool: Convtool) -> None:
    Path("words").mkdir()
    Path("words/read.me").write_text("nothing")
    run = convtool("wavenet", *arguments.split())
    assert run.code == 2
    assert re.search(said, run.err)


def test_a_folder_without_models_is_an_empty_input(convtool: Convtool) -> None:
    Path("words").mkdir()
    Path("words/read.me").write_text("nothing")
    for folder, left in (("none", "it is empty"), ("words", "1 passed over, such as words/read.me")):
        run = convtool("wavenet", folder, "takes", "-o", "wet/")
        assert (run.code, run.err) == (1, f"Error: there is no model in {folder}: {left}\n")


def test_a_condition_is_checked_for_each_model(convtool: Convtool) -> None:
    """What is told of one model before any work fails its outputs alone where there are several."""
    model_files.write_json(Path("amps/b.NAM"), simple())
    run = convtool("wavenet", "amps", "takes/one.wav", "--pick", "all", "-o", "{model}.wav", "--condition", "1")
    assert run.code == 2
    assert run.err.count("--condition is for 1 more input; the model has no input but the signal") == 3
