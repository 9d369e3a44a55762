"""`convtool pad-batch`, run, and the batches that it wrote opened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from convtool.errors import Terminated
from convtool.jobs.padding.store import ShardFolder, SingleFile
from convtool.ops import masked_pool, pad_batch
from tests.conftest import PROGRAM, Run

Convtool = Callable[..., Run]
RATE = 16000


def loaded(path: Path) -> dict[str, Any]:
    with np.load(path) as archive:
        return {name: archive[name] for name in archive}


def recording(path: Path, samples: int, channels: int = 1, *, seed: int = 0, **how: Any) -> NDArray[np.float32]:
    """A file of noise at `path`, and what is decoded from it, ``(channels, samples)``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed + samples).standard_normal((samples, channels)) * 0.1
    soundfile.write(path, noise, how.pop("rate", RATE), **how)
    return soundfile.read(path, dtype="float32", always_2d=True)[0].T


@pytest.fixture
def takes(tmp_path: Path) -> dict[str, NDArray[np.float32]]:
    """A folder of three mono recordings, by name."""
    lengths = {"a.wav": 700, "b.wav": 300, "sub/c.flac": 1000}
    return {name: recording(tmp_path / "takes" / name, samples) for name, samples in lengths.items()}


def test_numbers_in_place(convtool: Convtool, tmp_path: Path) -> None:
    run = convtool("pad-batch", "4,5", "1,2,3", "6", "-o", tmp_path / "b.npz")
    assert (run.code, run.out, run.err) == (0, "", "3 written, 0 skipped, 0 failed\n")
    found = loaded(tmp_path / "b.npz")
    assert found["batch"].tolist() == [[4, 5, 0], [1, 2, 3], [6, 0, 0]]
    assert found["batch"].dtype == np.int64
    assert found["lengths"].tolist() == [2, 3, 1]
    assert found["mask"].tolist() == [[True, True, False], [True, True, True], [True, False, False]]
    assert found["names"].tolist() == ["4,5", "1,2,3", "6"]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("layout", ["NCT", "NTC"])
def test_padding_is_that_of_the_operation(
    convtool: Convtool, tmp_path: Path, side: Any, mode: Any, layout: Any
) -> None:
    rng = np.random.default_rng(1)
    signals = [rng.standard_normal((2, samples)) for samples in (3, 17, 1, 8)]
    for number, values in enumerate(signals):
        np.save(tmp_path / f"{number}.npy", values)
    arguments = ["--side", side, "--padding-mode", mode, "--layout", layout, "--multiple-of", 5]
    value = 0.5 if mode == "constant" else 0.0
    run = convtool("pad-batch", tmp_path, "-o", tmp_path / "b.pt", *arguments, f"--value={value}")
    assert run.code == 0, run.err
    found = torch.load(tmp_path / "b.pt", weights_only=True)
    expected = pad_batch(
        [torch.from_numpy(values) for values in signals],
        side=side,
        padding_mode=mode,
        layout=layout,
        multiple_of=5,
        value=value,
    )
    assert torch.equal(found["batch"], expected.batch)
    assert torch.equal(found["lengths"], expected.lengths)
    assert torch.equal(found["mask"], expected.mask)
    assert found["names"] == [str(tmp_path / f"{number}.npy") for number in range(4)]


@pytest.mark.parametrize("kind", ["max", "mean", "std"])
def test_pooled_rows_are_those_of_the_rows_alone(
    convtool: Convtool, tmp_path: Path, takes: dict[str, NDArray[np.float32]], kind: Any
) -> None:
    assert convtool("pad-batch", tmp_path / "takes", "-o", tmp_path / "b.npz", "--pool", kind).code == 0
    found = loaded(tmp_path / "b.npz")
    for row, samples in zip(found["pooled"], takes.values(), strict=True):
        alone = masked_pool(
            torch.from_numpy(samples)[None], torch.ones(1, samples.shape[1], dtype=torch.bool), kind=kind
        )
        assert row.tolist() == alone[0].tolist()
    convtool("pad-batch", "1,2", "4,5,7", "-o", tmp_path / "i.npz", "--pool", kind)
    integers = loaded(tmp_path / "i.npz")["pooled"]
    assert integers.dtype == (np.int64 if kind == "max" else np.float64)
    assert integers.tolist() == {"max": [2, 7], "mean": [1.5, 16 / 3], "std": [0.5, np.std([4, 5, 7])]}[kind]


def test_a_folder_in_one_file(convtool: Convtool, tmp_path: Path, takes: dict[str, NDArray[np.float32]]) -> None:
    assert convtool("pad-batch", tmp_path / "takes", "-o", tmp_path / "b.npz").code == 0
    found = loaded(tmp_path / "b.npz")
    assert found["batch"].shape == (3, 1, 1000)
    assert found["batch"].dtype == np.float32
    for row, samples in zip(found["batch"], takes.values(), strict=True):
        np.testing.assert_array_equal(row[:, : samples.shape[1]], samples)
        assert not row[:, samples.shape[1] :].any()


def test_buckets_in_a_folder(convtool: Convtool, tmp_path: Path, takes: dict[str, NDArray[np.float32]]) -> None:
    out = tmp_path / "shards"
    run = convtool(
        "pad-batch", tmp_path / "takes", "-o", out, "--strategy", "bucket", "--batch-size", 2, "--mask", "--pool", "max"
    )
    assert run.code == 0, run.err
    parts = ["", ".lengths", ".mask", ".pooled"]
    assert sorted(os.listdir(out)) == sorted(
        [f"{number:05d}{part}.npy" for number in range(2) for part in parts] + ["manifest.json"]
    )
    manifest = json.loads((out / "manifest.json").read_text())
    assert [shard["file"] for shard in manifest["shards"]] == ["00000.npy", "00001.npy"]
    for row in manifest["rows"]:
        name = os.path.relpath(row["file"], tmp_path / "takes")
        values = np.load(out / manifest["shards"][row["shard"]]["file"])[row["row"]]
        np.testing.assert_array_equal(values[:, : row["length"]], takes[name])
        assert row["sample_rate"] == RATE
        assert len(row["sha256"]) == 64
    again = convtool("pad-batch", tmp_path / "takes", "-o", out, "--strategy", "bucket", "--batch-size", 2)
    assert again.code == 2
    assert "exists; give --overwrite" in again.err
    kept = convtool("pad-batch", tmp_path / "takes", "-o", out, "--skip-existing")
    assert (kept.code, kept.err) == (0, f"{out} exists; left as it is\n")
    replaced = convtool("pad-batch", tmp_path / "takes", "-o", out, "--strategy", "single", "--overwrite")
    assert replaced.code == 0
    assert not (out / "00000.mask.npy").exists()
    assert (out / "00002.npy").exists()


def test_the_same_seed_shuffles_batches_the_same_way(convtool: Convtool, tmp_path: Path) -> None:
    words = [",".join("1" * length) for length in range(1, 9)]
    orders = []
    for name in "ab":
        assert convtool("pad-batch", *words, "-o", tmp_path / name, "--strategy", "single", "--seed", 5).code == 0
        orders.append([np.load(tmp_path / name / f"{n:05d}.npy").shape[1] for n in range(8)])
    assert orders[0] == orders[1]
    assert sorted(orders[0]) == list(range(1, 9)) != orders[0]


def test_columns_of_the_same_names_in_another_order(convtool: Convtool, tmp_path: Path) -> None:
    texts = {"x": "a,b\n1,2\n3,4\n", "y": "c,b\n5,6\n7,8\n", "z": "b,a\n2,1\n4,3\n", "d": "b,b\n2,1\n4,3\n"}
    for name, text in texts.items():
        (tmp_path / f"{name}.csv").write_text(text)

    def padded(*names: str, options: str = "") -> Run:
        paths = [tmp_path / f"{name}.csv" for name in names]
        return convtool("pad-batch", *paths, "-o", tmp_path / "b.npz", "--overwrite", *options.split())

    run = padded("x", "y", "x", "z")
    assert run.code == 1
    assert run.err == (
        f"Error: column b is number 2 of those taken from {tmp_path}/x.csv and number 1 of those from "
        f"{tmp_path}/z.csv; a batch takes one order: --columns a,b picks by name, --skip 1 --header no by place\n"
    )
    assert not (tmp_path / "b.npz").exists()
    by_name, by_place = [[1, 3], [2, 4]], [[2, 4], [1, 3]]
    assert padded("x", "z", options="--columns a,b").code == 0
    assert loaded(tmp_path / "b.npz")["batch"].tolist() == [by_name, by_name]
    assert padded("x", "z", options="--skip 1 --header no").code == 0
    assert loaded(tmp_path / "b.npz")["batch"].tolist() == [by_name, by_place]
    assert padded("x", "z", options="--mono").code == 0
    assert padded("x", "y", "x", "d").code == 0  # other names, or names that tell no column from another
    assert loaded(tmp_path / "b.npz")["batch"].tolist() == [by_name, [[5, 7], [6, 8]], by_name, by_place]


def test_channels_and_rates_that_differ(convtool: Convtool, tmp_path: Path) -> None:
    one = recording(tmp_path / "one.wav", 400)
    two = recording(tmp_path / "two.wav", 300, 2)
    recording(tmp_path / "other.wav", 300, 2, rate=8000)
    names = [tmp_path / "one.wav", tmp_path / "two.wav"]
    run = convtool("pad-batch", *names, "-o", tmp_path / "b.npz")
    assert run.code == 1
    assert "one.wav has 1 channel, but" in run.err
    assert "two.wav has 2 channels; a batch takes one kind: give --mono or --channels N" in run.err
    assert convtool("pad-batch", *names, "-o", tmp_path / "mono.npz", "--mono").code == 0
    np.testing.assert_allclose(loaded(tmp_path / "mono.npz")["batch"][1, 0, :300], two.mean(0), rtol=0, atol=1e-8)
    assert convtool("pad-batch", *names, "-o", tmp_path / "two.npz", "--channels", 2).code == 0
    np.testing.assert_array_equal(loaded(tmp_path / "two.npz")["batch"][0], np.repeat(one, 2, axis=0))
    assert convtool("pad-batch", *names, "-o", tmp_path / "first.npz", "--channels", 1).code == 0
    np.testing.assert_array_equal(loaded(tmp_path / "first.npz")["batch"][1, 0, :300], two[0])
    more = convtool("pad-batch", tmp_path / "two.wav", "-o", tmp_path / "c.npz", "--channels", 3)
    assert more.code == 1
    assert "it has 2 channels, and --channels 3 repeats one or drops those behind" in more.err
    rates = convtool("pad-batch", tmp_path / "two.wav", tmp_path / "other.wav", "-o", tmp_path / "d.npz")
    assert rates.code == 1
    assert "other.wav has 8000 Hz; a batch takes one kind: give --resample HZ" in rates.err
    none = convtool("pad-batch", "1,2", tmp_path / "one.wav", "-o", tmp_path / "d.npz")
    assert "one.wav has 16000 Hz" in none.err
    assert "no sample rate" in none.err


def test_many_odd_inputs_are_counted(convtool: Convtool, tmp_path: Path) -> None:
    words = ["1,2"] * 30
    for number in range(10):
        recording(tmp_path / f"{number}.wav", 20)
    run = convtool("pad-batch", *words, tmp_path / "*.wav", "-o", tmp_path / "d.npz")
    assert run.code == 1
    assert "30 inputs have no sample rate, but" in run.err
    assert "and 2 more have others" in run.err


def test_resampling(convtool: Convtool, tmp_path: Path) -> None:
    from convtool.ops import resample

    slow = recording(tmp_path / "slow.wav", 500, rate=8000)
    fast = recording(tmp_path / "fast.wav", 400, rate=16000)
    run = convtool(
        "pad-batch", tmp_path / "slow.wav", tmp_path / "fast.wav", "-o", tmp_path / "b.npz", "--resample", RATE
    )
    assert run.code == 0, run.err
    found = loaded(tmp_path / "b.npz")
    assert found["lengths"].tolist() == [1000, 400]
    expected = resample(torch.from_numpy(slow), orig_rate=8000, new_rate=RATE).numpy()
    np.testing.assert_array_equal(found["batch"][0], expected)
    np.testing.assert_array_equal(found["batch"][1, :, :400], fast)
    (tmp_path / "x.csv").write_text("1\n2\n3\n")
    bare = convtool("pad-batch", tmp_path / "x.csv", "-o", tmp_path / "c.npz", "--resample", RATE)
    assert bare.code == 1
    assert "it has no sample rate to resample to 16000 Hz from; give --sample-rate" in bare.err
    given = convtool(
        "pad-batch", tmp_path / "x.csv", "-o", tmp_path / "c.npz", "--resample", RATE, "--sample-rate", 8000
    )
    assert given.code == 0
    assert loaded(tmp_path / "c.npz")["lengths"].tolist() == [6]
    vast = convtool(
        "pad-batch", tmp_path / "x.csv", "-o", tmp_path / "d.npz", "--resample", 1, "--sample-rate", 2147483647
    )
    assert vast.code in (0, 1)


@pytest.mark.parametrize(("end", "expected"), [("start", [[2, 3], [5, 6], [9, 0]]), ("end", [[1, 2], [4, 5], [9, 0]])])
def test_truncation(convtool: Convtool, tmp_path: Path, end: str, expected: list[list[int]]) -> None:
    words = ["1,2,3", "4,5,6", "9"]
    refused = convtool("pad-batch", *words, "-o", tmp_path / "b.npz", "--max-length", 2)
    assert refused.code == 1
    assert refused.err.count("more than --max-length 2; give --truncate start or --truncate end") == 2
    assert loaded(tmp_path / "b.npz")["names"].tolist() == ["9"]
    run = convtool("pad-batch", *words, "-o", tmp_path / "c.npz", "--max-length", 2, "--truncate", end)
    assert run.code == 0
    assert loaded(tmp_path / "c.npz")["batch"].tolist() == expected


@pytest.mark.parametrize("end", ["start", "end"])
def test_truncation_in_time_over_blocks(convtool: Convtool, tmp_path: Path, end: str) -> None:
    samples = recording(tmp_path / "long.wav", 1_200_000)
    run = convtool(
        "pad-batch", tmp_path / "long.wav", "-o", tmp_path / "b.npz", "--max-length", "2s", "--truncate", end
    )
    assert run.code == 0
    kept = samples[:, -2 * RATE :] if end == "start" else samples[:, : 2 * RATE]
    np.testing.assert_array_equal(loaded(tmp_path / "b.npz")["batch"][0], kept)


def test_dtypes(convtool: Convtool, tmp_path: Path) -> None:
    recording(tmp_path / "a.wav", 20)
    np.save(tmp_path / "b.npy", np.ones((1, 5)))
    run = convtool("pad-batch", tmp_path / "a.wav", tmp_path / "b.npy", "-o", tmp_path / "c.npz", "--sample-rate", RATE)
    assert run.code == 0, run.err
    assert loaded(tmp_path / "c.npz")["batch"].dtype == np.float64
    run = convtool("pad-batch", "1,2", "3", "-o", tmp_path / "d.npz", "--dtype", "float32")
    assert loaded(tmp_path / "d.npz")["batch"].dtype == np.float32
    (tmp_path / "two.csv").write_text("1,3\n2,5\n")
    convtool("pad-batch", tmp_path / "two.csv", "-o", tmp_path / "e.npz", "--mono")
    assert loaded(tmp_path / "e.npz")["batch"].tolist() == [[[2.0, 3.5]]]
    np.save(tmp_path / "batch.npy", np.ones((2, 3, 4)))
    three = convtool("pad-batch", tmp_path / "batch.npy", "-o", tmp_path / "f.npz")
    assert three.code == 1
    assert "the array has 3 axes and is a batch already" in three.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["4,5"], "say where the batch goes"),
        (["4,5", "-o", "b.wav"], "a batch is a .npz, .safetensors, .pt, .pth file, or a folder"),
        (["4,5", "-o", "-"], "a batch is written at many places"),
        (["4,5", "-o", "b.npz", "--truncate", "end"], "--truncate end needs --max-length"),
        (["4,5", "-o", "b.npz", "--mono", "--channels", "2"], "--mono makes one channel; give it, or --channels"),
        (
            ["4,5", "-o", "b.npz", "--value", "1", "--padding-mode", "reflect"],
            "--value 1 is for --padding-mode constant",
        ),
        (["4,5", "-o", "b.npz", "--value", "0.5"], "--value 0.5: the batch holds int64"),
        (["4.5", "-o", "b.npz", "--value", "1e300", "--dtype", "float32"], "--value 1e+300: the batch holds float32"),
        (["4,5", "-o", "b.npz", "--plot", "x.txt"], "a picture can be png"),
        (["4,5", "1", "-o", "b.npz", "--strategy", "single"], "the inputs make 2 batches, and b.npz holds one"),
        (["4,5", "-o", "b.npz", "--max-samples", "1"], "has 2 samples, more than the 1 of a whole batch"),
    ],
)
def test_usage(
    convtool: Convtool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    run = convtool("pad-batch", *arguments)
    assert run.code == 2
    assert told in run.err
    assert os.listdir(tmp_path) == []


def test_dry_run_tells_the_padding(convtool: Convtool, tmp_path: Path) -> None:
    run = convtool("pad-batch", "1,2,3,4", "5,6", "7", "--dry-run", "--strategy", "pad", "--batch-size", 2)
    assert run.code == 0
    lines = run.out.splitlines()
    assert lines[0].split() == ["batch", "rows", "samples", "padding", "size"]
    assert lines[1].split() == ["0", "2", "4", "25.0", "%", "64", "B"]
    assert "3 inputs in 2 batches, 72 B, of which padding 16 B (22.22 %)" in lines
    assert [line.split()[:2] for line in lines[-4:]] == [["1", "1"], ["2", "1"], ["3", "0"], ["4", "1"]]
    wide = convtool("pad-batch", "1", ",".join("1" * 40), "--dry-run")
    assert "1-4" in wide.out
    assert "1 batch, " in wide.out
    as_json = convtool("pad-batch", "1,2", "--dry-run", "--json")
    record = json.loads(as_json.out)
    assert (record["status"], record["samples"], record["output"]) == ("planned", 2, None)
    assert os.listdir(tmp_path) == []


def test_bad_inputs_are_left_out_and_told(
    convtool: Convtool, tmp_path: Path, takes: dict[str, NDArray[np.float32]]
) -> None:
    folder = tmp_path / "takes"
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("no audio\n")
    soundfile.write(folder / "none.wav", np.zeros((0, 1)), RATE)
    run = convtool("pad-batch", folder, "missing.wav", "-o", tmp_path / "b.npz", "--report", tmp_path / "r.jsonl")
    assert run.code == 1
    assert run.err.endswith("3 written, 0 skipped, 4 failed\n")
    report = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    failed = [os.path.basename(record["input"]) for record in report if record["status"] == "failed"]
    assert failed == ["empty.wav", "none.wav", "text.wav", "missing.wav"]
    assert [record["samples"] for record in report if record["status"] == "written"] == [700, 300, 1000]
    assert loaded(tmp_path / "b.npz")["lengths"].tolist() == [700, 300, 1000]
    stopped = convtool("pad-batch", folder, "-o", tmp_path / "c.npz", "--fail-fast")
    assert stopped.code == 1
    assert not (tmp_path / "c.npz").exists()
    nothing = convtool("pad-batch", "missing.wav", "-o", tmp_path / "d.npz", "--json", "--plot", tmp_path / "p.png")
    assert nothing.code == 1
    assert json.loads(nothing.out)["status"] == "failed"
    assert not (tmp_path / "d.npz").exists()


def test_what_comes_through_pipes(convtool: Convtool, tmp_path: Path) -> None:
    run = convtool("pad-batch", "-", "7,8", "-o", tmp_path / "b.npz", stdin=b"1,2,3\n")
    assert run.code == 0, run.err
    assert loaded(tmp_path / "b.npz")["batch"].tolist() == [[1, 2, 3], [7, 8, 0]]
    assert loaded(tmp_path / "b.npz")["names"].tolist() == ["-", "7,8"]


def test_outputs_that_are_inputs(convtool: Convtool, tmp_path: Path) -> None:
    np.save(tmp_path / "00000.npy", np.ones(3))
    named = convtool("pad-batch", tmp_path / "00000.npy", "-o", tmp_path)
    assert named.code == 2
    assert "is in the output folder" in named.err
    (tmp_path / "b.npz").write_bytes(b"")
    run = convtool("pad-batch", "1,2", "-o", tmp_path / "b.npz")
    assert run.code == 2
    assert "exists" in run.err
    (tmp_path / "file").write_bytes(b"")
    run = convtool("pad-batch", "1,2", "-o", f"{tmp_path}/file/")
    assert run.code == 2
    stale = convtool("pad-batch", "1,2", "-o", tmp_path, "--overwrite")
    assert stale.code == 2
    assert "has the name of a shard, but no manifest.json is beside it" in stale.err


def test_shards_below_a_folder_that_is_an_input_are_passed_over(
    convtool: Convtool, tmp_path: Path, takes: dict[str, NDArray[np.float32]]
) -> None:
    out = tmp_path / "takes" / "shards"
    assert convtool("pad-batch", tmp_path / "takes", "-o", out).code == 0
    first = (out / "00000.npy").read_bytes()
    run = convtool("pad-batch", tmp_path / "takes", "-o", out, "--overwrite")
    assert run.code == 0, run.err
    assert (out / "00000.npy").read_bytes() == first
    assert "passed over" in run.err


def test_a_picture(convtool: Convtool, tmp_path: Path) -> None:
    run = convtool("pad-batch", "1,2", "1,2,3", "-o", tmp_path / "b.npz", "--plot", tmp_path / "p.png")
    assert run.code == 0
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_a_killed_run_is_completed_by_the_same_command(tmp_path: Path) -> None:
    """The bytes are those of a run that nothing disturbed."""
    for number in range(400):
        recording(tmp_path / "takes" / f"{number:03d}.wav", 2000 + 37 * number % 3000)

    def command(out: str) -> list[str | Path]:
        words = ["pad-batch", "takes", "-o", out, "--strategy", "bucket", "--batch-size", "8", "--mask", "-q"]
        return [PROGRAM, *words]

    subprocess.run(command("whole"), cwd=tmp_path, check=True)
    process = subprocess.Popen(command("broken"), cwd=tmp_path)
    while process.poll() is None and not (tmp_path / "broken" / "00001.npy").exists():
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    subprocess.run(command("broken"), cwd=tmp_path, check=process.returncode != 0)
    whole, broken = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("whole", "broken")
    )
    assert broken == whole


def test_nothing_of_torch_is_loaded(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom convtool.cli import main\n"
        f"sys.argv = ['convtool', 'pad-batch', '1,2', '3', '-o', {str(tmp_path / 'b.pt')!r}]\n"
        "code = main._run()\nassert code == 0\nassert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


@pytest.mark.parametrize("output", ["out/", "out.npz"])
def test_an_interrupted_run_reports_what_it_has_done(
    output: str, convtool: Convtool, tmp_path: Path, takes: dict[str, NDArray[np.float32]]
) -> None:
    """The signal comes when all rows of the second of three batches are written, and that batch is not in its place."""
    words = ["pad-batch", tmp_path / "takes", tmp_path / "none.wav", "-o", tmp_path / output, "--jobs", 1]
    words += ["--report", tmp_path / "report"]
    if output == "out/":
        words += ["--strategy", "single"]
    batches: list[int] = []

    def stop(*_: object) -> None:
        batches.append(1)
        if len(batches) == (2 if output == "out/" else 1):
            raise Terminated
        commit(*_)  # type: ignore[arg-type]

    store = ShardFolder if output == "out/" else SingleFile
    commit = store.commit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "commit", stop)
        run = convtool(*words)
    assert (run.code, run.err) == (143, "")
    told = [json.loads(line) for line in (tmp_path / "report").read_text().splitlines()]
    written = [("a.wav", "written", str(tmp_path / "out" / "00000.npy"))] * (output == "out/")
    found = [(Path(each["input"]).name, each["status"], each["output"]) for each in told]
    assert found == [*written, ("none.wav", "failed", None)]
    if output == "out/":
        assert convtool(*words, "--overwrite").err.endswith("2 written, 1 skipped, 1 failed\n")


@pytest.mark.parametrize("name", ["manifest.json", ".convtool-plan"])
@pytest.mark.parametrize("more", [[], ["--overwrite"], ["--skip-existing"]])
def test_pipes_in_the_output_folder_stay(name: str, more: list[str], convtool: Convtool, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "out" / name)
    run = convtool("pad-batch", "4,5", "-o", tmp_path / "out", *more)
    assert run.code == 2
    assert run.err.endswith(f"\nError: {tmp_path / 'out' / name} is a pipe or a device; give another -o\n")
    assert (tmp_path / "out" / name).is_fifo()
