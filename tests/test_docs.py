"""README.md and docs/ say what the program does: generated parts are current, every command shown runs as shown."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.docs import PICTURES, README, ROOT, filled, pages, pictures, same_picture, text_of

BIN = os.path.dirname(sys.executable)
ENVIRONMENT = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
PAGES = pages()
MARKDOWN = [*PAGES, ROOT / "CHANGELOG.md", *sorted(ROOT.glob(".github/*.md"))]
_SHELL = re.compile(r"[|<>;&*$`(){}]")
"""What makes a line more than a program and its arguments."""


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """`command` as somebody in `folder` would type it."""
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_generated_parts_are_current(page: Path) -> None:
    """`make docs` would change nothing."""
    assert page.exists(), "make docs writes it"
    assert filled(text_of(page)) == text_of(page), "make docs brings it up to date"


def test_pictures_are_current() -> None:
    """The pictures show what the program draws today, are all there, and are small enough for a page."""
    drawn = dict(pictures())
    assert sorted(drawn) == sorted(PICTURES.iterdir())
    stale = [path.name for path, data in drawn.items() if not same_picture(path.read_bytes(), data)]
    assert not stale, "make docs draws them anew"
    sizes = [path.stat().st_size for path in drawn]
    assert max(sizes) < 80_000
    assert sum(sizes) < 300_000


def test_a_changed_word_makes_another_picture() -> None:
    """What a comparison of pixels passes over is rounding, and nothing that a reader sees."""
    import io

    import numpy as np
    from PIL import Image

    def encoded(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        return file.getvalue()

    path = PICTURES / "response.png"
    pixels = np.asarray(Image.open(path).convert("RGB"))
    assert same_picture(path.read_bytes(), encoded(pixels // 4 * 4))
    without_title = pixels.copy()
    without_title[:22] = 255
    assert (pixels != without_title).any()
    assert not same_picture(path.read_bytes(), encoded(without_title))
    assert not same_picture(path.read_bytes(), encoded(pixels[:-1]))


def test_the_readme_is_short() -> None:
    assert len(README.read_bytes()) <= 15_000


@pytest.mark.parametrize("page", MARKDOWN, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every file that a page links to or shows is there, and so is the heading."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, heading = target.partition("#")
        found = page.parent / path if path else page
        assert found.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.*)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles], target


def test_the_map_names_what_is_there() -> None:
    """Every folder and module that CONTRIBUTING names exists, the short names somewhere in convtool/ or tests/."""
    named = re.findall(r"`([\w/]+(?:/|\.py))`", (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert named
    rooms = (ROOT / "convtool", ROOT / "tests")
    lost = [path for path in named if not (ROOT / path).exists() and not any(any(room.rglob(path)) for room in rooms)]
    assert not lost


def parts(text: str) -> Iterator[tuple[str, str]]:
    """The commands and programs of a page, in order, with their kind.

    `setup` is what a comment says to run before, `sh` a line, `console` one with its output, `python` a block.
    """
    for match in re.finditer(r"^<!-- setup: ([^\n]*) -->$|^```(sh|console|python)\n(.*?)^```$", text, re.M | re.S):
        setup, kind, body = match.groups()
        if setup:
            yield "setup", setup
        elif kind == "python":
            yield kind, body
        elif kind == "console":
            yield from ((kind, shown) for shown in re.findall(r"^\$ (.*?\n(?:(?!\$ ).*\n)*)", body, re.M))
        else:
            lines = (line.partition("  #")[0].strip() for line in body.replace("\\\n", " ").splitlines())
            yield from ((kind, line) for line in lines if "convtool" in line and not line.startswith("#"))


def one_liners() -> tuple[str, str]:
    """The README's section of one-liners, and the rest of it."""
    before, title, rest = README.read_text(encoding="utf-8").partition("## In one line\n")
    section, heading, after = rest.partition("\n## ")
    assert title
    return section, before + heading + after


Type = Callable[[str], tuple[int, str]]


@pytest.fixture
def type_in(studio: Path, tmp_path: Path, convtool: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> Type:
    """Run a line in a copy of the studio, by a shell where it is more than one command; its exit code and output."""
    folder = tmp_path / "studio"
    shutil.copytree(studio, folder)
    monkeypatch.chdir(folder)

    def run(line: str) -> tuple[int, str]:
        if line.startswith("convtool") and not _SHELL.search(line):
            inside = convtool(*shlex.split(line)[1:])
            return inside.code, inside.out + inside.err
        result = shell(line, folder)
        return result.returncode, result.stdout + result.stderr

    return run


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_what_a_page_shows_runs(page: Path, type_in: Type) -> None:
    """Commands succeed and print what is shown (… stands for anything), Python runs; all in one folder, in order."""
    names: dict[str, object] = {}
    for kind, text in parts(one_liners()[1] if page == README else text_of(page)):
        if kind == "python":
            exec(text, names)
            continue
        command, _, shown = text.partition("\n")
        code, output = type_in(command)
        assert (code == 0) == ("Error:" not in shown), f"{command}\n{output}"
        if kind == "console":
            expected = ".*".join(map(re.escape, shown.split("…")))
            assert re.fullmatch(expected, output), f"{command}\n{output}"


@pytest.mark.parametrize("command", [line for _, line in parts(one_liners()[0])])
def test_one_liners_write_what_they_name(command: str, type_in: Type) -> None:
    """Each one-liner works as typed, on its own, without a warning, and writes the file that it names."""
    code, output = type_in(command)
    assert code == 0, output
    assert "Warning" not in output
    words = shlex.split(command)
    targets = [words[at + 1] for at, word in enumerate(words) if word == "-o" and words[at + 1] != "-"]
    assert targets or output
    assert all(Path(target).exists() for target in targets)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds every file that the pages and the help name."""
    import numpy as np
    import soundfile
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("studio")
    (folder / "takes" / "live").mkdir(parents=True)
    for kernels in ("halls", "cabinets"):
        (folder / kernels).mkdir()
    noise = np.random.default_rng(0).standard_normal((4410, 2)) * 0.05
    sounds = {"guitar": 1, "x": 1, "stereo": 2, "concert": 2, "cabinet": 1, "cab": 1, "hall": 2, "takes/one": 2}
    sounds |= {"takes/live/two": 2, "monday": 1, "tuesday": 1, "reamped": 1, "halls/large": 2, "halls/small": 1}
    sounds |= {"cabinets/open": 1, "cabinets/closed": 1}
    for sound, channels in sounds.items():
        soundfile.write(folder / f"{sound}.wav", noise[:, :channels], 44100)
    soundfile.write(folder / "true-stereo.wav", np.hstack([noise, noise])[:100], 44100)
    (folder / "x.csv").write_text("a,b\n1,2\n3,4\n5,6\n")
    (folder / "outputs.csv").write_text("a,b\n1,2\n-3,4\n5,-6\n")
    (folder / "kernel.csv").write_text("0.5\n0.5\n")
    (folder / "train.csv").write_text("path,label\nmonday.wav,0\ntuesday.wav,1\nguitar.wav,0\nx.wav,1\n")
    np.save(folder / "x.npy", noise.T)
    np.save(folder / "image.npy", noise[:64] @ noise[:64].T)
    np.savez(folder / "padded.npz", batch=noise.T, lengths=np.array([4410, 100]))
    weights = {"conv1.weight": torch.ones(3, 2, 5)}
    save_file(weights, folder / "model.safetensors")
    torch.save(weights, folder / "model.pt")
    torch.save({"conv1.weight": torch.ones(8, 1, 16)}, folder / "speech.pt")
    torch.save({f"rec.{key}": value for key, value in torch.nn.LSTM(1, 4).state_dict().items()}, folder / "lstm.pt")
    keras_model(folder / "model.keras")
    for example in ("amp.json", "readings.csv", "bands.npy", "gabor.safetensors"):
        shutil.copy(ROOT / "examples" / example, folder)
    shutil.copy(ROOT / "examples" / "preamp.nam", folder / "amp.nam")
    for models, example in (("amps", "amp.json"), ("captures", "preamp.nam")):
        (folder / models).mkdir()
        shutil.copy(ROOT / "examples" / example, folder / models)
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


def test_examples_are_what_their_script_makes(tmp_path: Path) -> None:
    """The sound, data and weight files in examples/ come from the script beside them, byte for byte."""
    examples = ROOT / "examples"
    subprocess.run([sys.executable, examples / "make_examples.py", tmp_path], check=True)
    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == sorted(path.name for path in examples.iterdir() if path.suffix not in (".sh", ".py", ""))
    for example in made:
        assert (tmp_path / example).read_bytes() == (examples / example).read_bytes()


SCRIPTS = [*sorted(ROOT.glob("examples/*.sh")), ROOT / "examples" / "train_on_batches.py"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_example_scripts_run(script: Path, tmp_path: Path) -> None:
    """Each example script runs without a warning, and writes something into the folder that it is given."""
    result = shell(f"{shlex.quote(str(script))} {shlex.quote(str(tmp_path))}", ROOT)
    assert result.returncode == 0, result.stderr
    assert "Warning" not in result.stderr
    assert any(tmp_path.rglob("*.*"))
