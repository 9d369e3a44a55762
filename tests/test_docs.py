"""The README says what the program does, and every command in it runs."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import README, filled

ROOT = Path(__file__).parent.parent
TEXT = README.read_text(encoding="utf-8")
BIN = os.path.dirname(sys.executable)
ENVIRONMENT = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """`command` as somebody in `folder` would type it."""
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


def test_readme_blocks_are_current() -> None:
    """`make docs` would change nothing."""
    assert filled(TEXT) == TEXT


def test_console_blocks_show_what_is_printed(studio: Path) -> None:
    """What follows a `$` line is that command's output, to the letter."""
    shown = re.findall(r"```console\n\$ (.*?)\n(.*?)```", TEXT, re.DOTALL)
    assert shown
    for command, output in shown:
        assert shell(command, studio).stdout == output


def one_liners() -> list[str]:
    """The commands of the section of one-liners."""
    section = TEXT.partition("## In one line")[2].partition("##")[0]
    return [line.partition("  #")[0].strip() for line in section.splitlines() if "convtool" in line]


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds every file the one-liners name."""
    import numpy as np
    import soundfile
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("studio")
    (folder / "takes" / "live").mkdir(parents=True)
    noise = np.random.default_rng(0).standard_normal((4410, 2)) * 0.05
    for name, channels in (("guitar", 1), ("x", 1), ("quartet", 2), ("cabinet", 1), ("hall", 2), ("takes/one", 2)):
        soundfile.write(folder / f"{name}.wav", noise[:, :channels], 44100)
    soundfile.write(folder / "takes/live/two.wav", noise, 44100)
    soundfile.write(folder / "true-stereo.wav", np.hstack([noise, noise])[:100], 44100)
    (folder / "x.csv").write_text("a,b\n1,2\n3,4\n5,6\n")
    (folder / "kernel.csv").write_text("0.5\n0.5\n")
    np.save(folder / "x.npy", noise.T)
    np.savez(folder / "padded.npz", batch=noise.T, lengths=np.array([4410, 100]))
    save_file({"conv1.weight": torch.ones(3, 2, 5)}, folder / "model.safetensors")
    keras_model(folder / "model.keras")
    shutil.copy(ROOT / "examples" / "amp.json", folder)
    return folder


def keras_model(path: Path) -> None:
    """What Keras writes of a model of one Conv2D layer with 32 filters of 3x3."""
    import io
    import json
    import zipfile

    import h5py
    import numpy as np

    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        layer = file.create_group("layers/conv2d/vars")
        layer["0"] = np.random.default_rng(0).standard_normal((3, 3, 1, 32)).astype(np.float32)
        layer["1"] = np.zeros(32, np.float32)
    conv = {"class_name": "Conv2D", "config": {"name": "conv2d", "filters": 32, "kernel_size": [3, 3]}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", json.dumps({"class_name": "Sequential", "config": {"layers": [conv]}}))
        archive.writestr("model.weights.h5", weights.getvalue())


@pytest.mark.parametrize("command", one_liners())
def test_one_liners_run(command: str, studio: Path) -> None:
    """Each one-liner works as typed and writes the file that it names."""
    result = shell(command, studio)
    assert result.returncode == 0, result.stderr
    words = shlex.split(command)
    if "-o" in words:
        target = words[len(words) - words[::-1].index("-o")]
        written = studio / target.partition("{")[0]
        assert written.exists()
    else:
        assert len(result.stdout.splitlines()) >= 3


def test_examples_are_what_their_script_makes(tmp_path: Path) -> None:
    """The sound and data files in examples/ come from the script beside them, byte for byte."""
    examples = ROOT / "examples"
    subprocess.run([sys.executable, examples / "make_examples.py", tmp_path], check=True)
    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == sorted(path.name for path in examples.iterdir() if path.suffix in (".wav", ".csv", ".json"))
    for name in made:
        assert (tmp_path / name).read_bytes() == (examples / name).read_bytes()


SCRIPTS = [*sorted(ROOT.glob("examples/*.sh")), ROOT / "examples" / "train_on_batches.py"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_example_scripts_run(script: Path, tmp_path: Path) -> None:
    """Each example script runs and writes something into the folder that it is given."""
    result = shell(f"{shlex.quote(str(script))} {shlex.quote(str(tmp_path))}", ROOT)
    assert result.returncode == 0, result.stderr
    assert any(tmp_path.rglob("*.*"))
