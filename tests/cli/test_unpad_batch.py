"""`convtool unpad-batch`, run, and the signals that it wrote opened."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.numpy import save_file

from tests.conftest import Run

Convtool = Callable[..., Run]
RATE = 16000


def decoded(path: Path) -> Any:
    return soundfile.read(path, dtype="float64", always_2d=True)[0]


@pytest.fixture
def takes(tmp_path: Path) -> Path:
    """A folder of stereo recordings in several formats."""
    folder = tmp_path / "takes"
    (folder / "sub").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, samples, subtype in (
        ("a.wav", 700, "PCM_16"),
        ("b.wav", 300, "PCM_24"),
        ("sub/c.flac", 1000, "PCM_16"),
        ("sub/d.wav", 1, "FLOAT"),
    ):
        soundfile.write(folder / name, rng.standard_normal((samples, 2)) * 0.1, RATE, subtype=subtype)
    return folder


@pytest.mark.parametrize("batch", ["b.npz", "b.safetensors", "b.pt", "shards"])
@pytest.mark.parametrize("layout", ["NCT", "NTC"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_there_and_back(convtool: Convtool, tmp_path: Path, takes: Path, batch: str, layout: str, side: str) -> None:
    options = ["--layout", layout, "--side", side, "--sort", "length"]
    assert convtool("pad-batch", takes, "-o", tmp_path / batch, *options).code == 0
    run = convtool("unpad-batch", tmp_path / batch, "-o", tmp_path / "back")
    assert (run.code, run.err) == (0, "4 written, 0 skipped, 0 failed\n")
    for path in sorted(takes.rglob("*.*")):
        back = tmp_path / "back" / path.relative_to(takes)
        np.testing.assert_array_equal(decoded(back), decoded(path))
        assert soundfile.info(back).subtype == soundfile.info(path).subtype
        assert soundfile.info(back).samplerate == RATE


def test_lossy_formats(convtool: Convtool, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).standard_normal((4000, 1)) * 0.1
    (tmp_path / "takes").mkdir()
    for name in ("a.ogg", "b.mp3"):
        soundfile.write(tmp_path / "takes" / name, noise, RATE)
    assert convtool("pad-batch", tmp_path / "takes", "-o", tmp_path / "b.npz").code == 0
    run = convtool("unpad-batch", tmp_path / "b.npz", "-o", tmp_path / "back")
    assert run.code == 0
    assert "Warning: MP3, OGG lose what they always do; --format wav --subtype FLOAT keeps every bit" in run.err
    assert soundfile.info(tmp_path / "back" / "b.mp3").format == "MP3"
    exact = convtool(
        "unpad-batch", tmp_path / "b.npz", "-o", tmp_path / "exact", "--format", "wav", "--subtype", "float"
    )
    assert "Warning" not in exact.err
    for name in ("a.ogg", "b.mp3"):
        expected = soundfile.read(tmp_path / "takes" / name, dtype="float32", always_2d=True)[0]
        # libmpg123 rounds by the reads that it is asked for, by one unit in the last place
        np.testing.assert_allclose(decoded(tmp_path / "exact" / f"{name[0]}.wav"), expected, rtol=0, atol=6e-8)


def test_numbers_and_columns(convtool: Convtool, tmp_path: Path) -> None:
    convtool("pad-batch", "4,5", "1,2,3", "-o", tmp_path / "n.npz", "--side", "left")
    assert convtool("unpad-batch", tmp_path / "n.npz", "-o", tmp_path / "n").code == 0
    texts = sorted(path.read_text() for path in (tmp_path / "n").iterdir())
    assert texts == ["1,2,3\n", "4,5\n"]
    (tmp_path / "x.csv").write_text("left,right\n1,0.5\n2,1\n")
    convtool("pad-batch", tmp_path / "x.csv", "-o", tmp_path / "c.npz")
    assert convtool("unpad-batch", tmp_path / "c.npz", "-o", f"{tmp_path}/{{stem}}-back.csv").code == 0
    assert (tmp_path / "x-back.csv").read_text() == "left,right\n1,0.5\n2,1\n"
    from_pipe = convtool("pad-batch", "-", "-o", tmp_path / "p.npz", stdin=b"1\n2\n")
    assert from_pipe.code == 0
    assert convtool("unpad-batch", tmp_path / "p.npz", "-o", tmp_path / "p").code == 0
    assert (tmp_path / "p" / "stdin.csv").read_text() == "1\n2\n"


def test_float32_rows_of_a_float64_batch(convtool: Convtool, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones(3, np.float32))
    np.save(tmp_path / "b.npy", np.ones(5))
    assert convtool("pad-batch", tmp_path / "a.npy", tmp_path / "b.npy", "-o", tmp_path / "c.npz").code == 0
    assert convtool("unpad-batch", tmp_path / "c.npz", "-o", tmp_path / "back").code == 0
    assert np.load(tmp_path / "back" / "a.npy").dtype == np.float32
    assert np.load(tmp_path / "back" / "b.npy").dtype == np.float64


def test_integers_of_a_float64_batch_are_exact_or_refused(convtool: Convtool, tmp_path: Path) -> None:
    np.save(tmp_path / "floats.npy", np.array([0.5, 2.5]))
    for last, code in ((2**53, 0), (2**54, 0), (2**53 + 1, 1)):
        whole = np.array([7, -(2**60), last])
        np.save(tmp_path / "whole.npy", whole)
        words = [tmp_path / "floats.npy", tmp_path / "whole.npy", "-o", tmp_path / "b.npz", "--overwrite"]
        run = convtool("pad-batch", *words)
        assert run.code == code
        if code:
            assert f"{last} is past what float64 holds exactly" in run.err
            assert convtool("pad-batch", *words, "--dtype", "float64").code == 0
        else:
            assert convtool("unpad-batch", tmp_path / "b.npz", "-o", tmp_path / "back", "--overwrite").code == 0
            assert [int(x) for x in np.load(tmp_path / "back" / "whole.npy")] == whole.tolist()


def test_equal_names_are_told_apart(convtool: Convtool, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "x.npy", np.ones(3))
    os.chdir(tmp_path)
    convtool("pad-batch", "one/x.npy", "two/x.npy", "1,2", "1,2", "-o", "b.npz")
    assert convtool("unpad-batch", "b.npz", "-o", "back").code == 0
    found = sorted(str(path.relative_to(tmp_path / "back")) for path in (tmp_path / "back").rglob("*.*"))
    assert found[-2:] == ["one/x.npy", "two/x.npy"]
    assert len(found) == 4


def test_options_of_a_batch(convtool: Convtool, tmp_path: Path, takes: Path) -> None:
    convtool("pad-batch", takes, "-o", tmp_path / "b.npz")
    planned = convtool("unpad-batch", tmp_path / "b.npz", "-o", tmp_path / "back", "--dry-run")
    assert planned.code == 0
    assert len(planned.out.splitlines()) == 4
    assert not (tmp_path / "back").exists()
    assert convtool("unpad-batch", tmp_path / "b.npz", "-o", tmp_path / "back").code == 0
    refused = convtool("unpad-batch", tmp_path / "b.npz", "-o", tmp_path / "back")
    assert refused.code == 2
    (tmp_path / "back" / "a.wav").unlink()
    again = convtool(
        "unpad-batch", tmp_path / "b.npz", "-o", tmp_path / "back", "--skip-existing", "--report", tmp_path / "r.jsonl"
    )
    assert again.err == "1 written, 3 skipped, 0 failed\n"
    report = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [record["status"] for record in report] == ["written", "skipped", "skipped", "skipped"]
    single = convtool("pad-batch", takes / "a.wav", "-o", tmp_path / "one.npz")
    assert single.code == 0
    alone = convtool("unpad-batch", tmp_path / "one.npz", "-o", tmp_path / "alone")
    assert (alone.code, alone.err) == (0, "")


def test_rows_that_can_not_be_written(convtool: Convtool, tmp_path: Path, takes: Path) -> None:
    convtool("pad-batch", takes, "-o", tmp_path / "b.npz")
    run = convtool("unpad-batch", tmp_path / "b.npz", "-o", tmp_path / "back", "--format", "mp3", "--subtype", "PCM_16")
    assert run.code == 2
    assert run.err.count("Error: MP3 can't hold subtype PCM_16") == 1
    unknown = convtool("unpad-batch", tmp_path / "b.npz", "-o", tmp_path / "back", "--format", "xyz")
    assert unknown.code == 2


def test_batches_of_other_programs(convtool: Convtool, tmp_path: Path) -> None:
    rows = np.arange(12.0).reshape(2, 6)
    np.savez(tmp_path / "plain.npz", batch=rows, lengths=np.array([2, 6]))
    assert convtool("unpad-batch", tmp_path / "plain.npz", "-o", tmp_path / "a").code == 0
    assert np.load(tmp_path / "a" / "00000.npy").tolist() == [0, 1]
    mask = np.array([[False] * 4 + [True] * 2, [True] * 6])
    save_file({"batch": rows[:, :, None], "lengths": np.array([2, 6]), "mask": mask}, tmp_path / "left.safetensors")
    assert convtool("unpad-batch", tmp_path / "left.safetensors", "-o", tmp_path / "b").code == 0
    assert np.load(tmp_path / "b" / "00000.npy").tolist() == [[4, 5]]
    halves = {"batch": torch.from_numpy(rows[:, None, :]).half(), "lengths": torch.tensor([2, 6])}
    torch.save(halves, tmp_path / "half.pt")
    assert convtool("unpad-batch", tmp_path / "half.pt", "-o", tmp_path / "c").code == 0
    assert np.load(tmp_path / "c" / "00001.npy").tolist() == [[6, 7, 8, 9, 10, 11]]


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"lengths": np.array([1])}, "there is no tensor 'batch'"),
        ({"batch": np.ones((1, 3))}, "there is no tensor 'lengths'"),
        ({"batch": np.ones((1, 3)), "lengths": np.array([1.5])}, "its lengths are float64"),
        ({"batch": np.ones((1, 3)), "lengths": np.array([4])}, "has length 4 in a batch of 3 samples"),
        ({"batch": np.ones((1, 3)), "lengths": np.array([-1])}, "has length -1"),
        ({"batch": np.ones((2, 3)), "lengths": np.array([1])}, "which is not that of the 1 rows"),
        ({"batch": np.ones(3), "lengths": np.array([1])}, "which is not that of the 1 rows"),
        ({"batch": np.ones((1, 3), complex), "lengths": np.array([1])}, "expected real numbers"),
        ({"batch": np.ones((1, 3)), "lengths": np.array([1]), "manifest": np.array("{")}, "it is no JSON"),
        ({"batch": np.ones((1, 3)), "lengths": np.array([1]), "manifest": np.array([{}])}, "its manifest is damaged"),
        ({"batch": np.ones((1, 3)), "lengths": np.array([1]), "manifest": np.array([b"a"], "V9")}, "manifest"),
    ],
)
def test_what_is_no_batch(convtool: Convtool, tmp_path: Path, arrays: dict[str, Any], told: str) -> None:
    np.savez(tmp_path / "b.npz", **arrays)
    run = convtool("unpad-batch", tmp_path / "b.npz", "-o", tmp_path / "back")
    assert run.code == 1
    assert run.err.startswith(f"Error: {tmp_path}/b.npz: ")
    assert told in run.err
    assert run.err.count("\n") == 1
    assert not (tmp_path / "back").exists()


def manifest_of(**changes: Any) -> dict[str, Any]:
    row = {"file": "x.npy", "relative": "x.npy", "length": 2, "format": "NPY"}
    row |= changes.pop("row", {})
    return {"version": 1, "layout": "NCT", "side": "right", "flat": True, "channels": 1, "rows": [row]} | changes


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        ([], "it is no JSON object"),
        (manifest_of(version=2), "its manifest has version 2, of which this program knows nothing"),
        (manifest_of(layout="XYZ"), "'XYZ' is under layout"),
        (manifest_of(side=None), "None is under side"),
        (manifest_of(flat=7), "7 is under flat"),
        (manifest_of(rows="all"), "'all' is under rows"),
        (manifest_of(rows=[3]), "3 is under rows"),
        (manifest_of(channels=True), "True is under channels"),
        (manifest_of(channels=2), "2 is under channels"),
        (manifest_of(row={"file": 5}), "5 is under file"),
        (manifest_of(row={"relative": "a\0b"}), "is under relative"),
        (manifest_of(row={"relative": "a\ud800b"}), "is under relative"),
        (manifest_of(row={"subtype": 3}), "3 is under subtype"),
        (manifest_of(row={"length": -1}), "-1 is under length"),
        (manifest_of(row={"sample_rate": 0}), "0 is under sample_rate"),
        (manifest_of(row={"columns": ["a", "b"]}), "is under columns"),
        (manifest_of(row={"length": 9}), "has length 9 in a batch of 3 samples"),
    ],
)
def test_manifests_that_lie(convtool: Convtool, tmp_path: Path, manifest: Any, told: str) -> None:
    text = np.array(json.dumps(manifest))
    np.savez(tmp_path / "b.npz", batch=np.ones((1, 3)), lengths=np.array([2]), manifest=text)
    run = convtool("unpad-batch", tmp_path / "b.npz", "-o", tmp_path / "back")
    assert run.code == 1
    assert told in run.err


@pytest.mark.parametrize("size", [0, 100_000])
def test_manifests_of_torch_files(convtool: Convtool, tmp_path: Path, size: int) -> None:
    """Short and long, and something else under that name."""
    batch = {"batch": torch.ones(1, 3), "lengths": torch.tensor([2])}
    text = json.dumps(manifest_of(spare="x" * size, row={"relative": "found.npy"}))
    torch.save(batch | {"manifest": text}, tmp_path / "b.pt")
    assert convtool("unpad-batch", tmp_path / "b.pt", "-o", tmp_path / "back").code == 0
    assert np.load(tmp_path / "back" / "found.npy").tolist() == [1, 1]
    torch.save(batch | {"manifest": 5}, tmp_path / "c.pt")
    assert convtool("unpad-batch", tmp_path / "c.pt", "-o", tmp_path / "other").code == 0
    assert os.listdir(tmp_path / "other") == ["00000.npy"]


def test_no_row_leaves_the_output_folder(convtool: Convtool, tmp_path: Path) -> None:
    row = {"relative": "../../evil.npy", "file": "/evil.npy"}
    text = np.array(json.dumps(manifest_of(row=row)))
    np.savez(tmp_path / "b.npz", batch=np.ones((1, 3)), lengths=np.array([2]), manifest=text)
    assert convtool("unpad-batch", tmp_path / "b.npz", "-o", tmp_path / "deep" / "back").code == 0
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*evil*")] == ["deep/back/evil.npy"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"shards": None}, "None is under shards"),
        ({"shards": [3]}, "None is under file of a shard"),
        ({"shards": [{"file": "../x.npy"}]}, "'../x.npy' is under file of a shard"),
        ({"rows": [{"shard": 7}]}, "is under shard and row"),
        ({"shards": [{"file": "missing.npy"}]}, "shard missing.npy: "),
        ({"shards": [{"file": "b.npz"}]}, "shard b.npz: it is npz, and shards are npy"),
    ],
)
def test_folders_that_lie(convtool: Convtool, tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    folder = tmp_path / "shards"
    assert convtool("pad-batch", "1,2", "-o", folder).code == 0
    np.savez(folder / "b.npz", x=np.ones(2))
    manifest = json.loads((folder / "manifest.json").read_text())
    for key, value in changes.items():
        manifest[key] = [{**manifest["rows"][0], **value[0]}] if key == "rows" else value
    (folder / "manifest.json").write_text(json.dumps(manifest))
    run = convtool("unpad-batch", folder, "-o", tmp_path / "back")
    assert run.code == 1
    assert told in run.err


def test_damaged_files(convtool: Convtool, tmp_path: Path, takes: Path) -> None:
    (tmp_path / "folder").mkdir()
    run = convtool("unpad-batch", tmp_path / "folder", "-o", tmp_path / "back")
    assert run.code == 1
    assert "there is no manifest.json that can be read in it" in run.err
    convtool("pad-batch", takes, "-o", tmp_path / "b.npz")
    data = bytearray((tmp_path / "b.npz").read_bytes())
    data[2000] ^= 255
    (tmp_path / "bad.npz").write_bytes(data)
    bad = convtool("unpad-batch", tmp_path / "bad.npz", "-o", tmp_path / "back")
    assert bad.code == 1
    assert bad.err.endswith("0 written, 0 skipped, 4 failed\n")
    assert "checksum" in bad.err
    bad = convtool("unpad-batch", tmp_path / "bad.npz", "-o", tmp_path / "back", "--fail-fast")
    assert (bad.code, bad.err.count("Error: ")) == (1, 1)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "b.npz").read_bytes()[:5000])
    assert convtool("unpad-batch", tmp_path / "cut.npz", "-o", tmp_path / "back").code == 1
    assert not (tmp_path / "back").exists()


def test_integers_of_64_bits_come_back_in_full(tmp_path: Path, convtool: Convtool) -> None:
    whole = np.array([2**60 + 1, -(2**63), 2**63 - 1])
    np.save(tmp_path / "whole.npy", whole)
    assert convtool("pad-batch", tmp_path / "whole.npy", "7,8", "-o", tmp_path / "b.npz").code == 0
    assert convtool("unpad-batch", tmp_path / "b.npz", "-o", tmp_path / "out").code == 0
    back = np.load(tmp_path / "out/whole.npy")
    assert back.dtype == np.int64
    assert back.tolist() == whole.tolist()
