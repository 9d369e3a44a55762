"""`convtool pad-batch` on long recordings, manifests and splits: what comes out, and what unpad-batch makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.conftest import Run

Convtool = Callable[..., Run]
RATE = 8000


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def recording(path: str, samples: int, channels: int = 1) -> NDArray[np.float32]:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(samples).uniform(-0.5, 0.5, (samples, channels))
    soundfile.write(path, noise, RATE, subtype="PCM_16")
    return soundfile.read(path, dtype="float32", always_2d=True)[0]


def loaded(path: str) -> dict[str, Any]:
    with np.load(path) as archive:
        return {name: archive[name] for name in archive}


def manifest_of(batch: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(str(batch["manifest"]))
    return found


# Segments


@pytest.mark.parametrize(
    ("options", "expected", "lengths"),
    [
        (["--segment", "3"], [[1, 2, 3], [4, 5, 6], [7, 0, 0]], [3, 3, 1]),
        (["--segment", "3", "--last", "drop"], [[1, 2, 3], [4, 5, 6]], [3, 3]),
        (["--segment", "3", "--hop", "2"], [[1, 2, 3], [3, 4, 5], [5, 6, 7]], [3, 3, 3]),
        (["--segment", "4", "--hop", "2"], [[1, 2, 3, 4], [3, 4, 5, 6], [5, 6, 7, 0]], [4, 4, 3]),
        (["--segment", "2", "--hop", "3"], [[1, 2], [4, 5], [7, 0]], [2, 2, 1]),
        (["--segment", "1", "--hop", "7"], [[1]], [1]),
        (["--segment", "9"], [[1, 2, 3, 4, 5, 6, 7, 0, 0]], [7]),
        (["--segment", "7", "--last", "drop"], [[1, 2, 3, 4, 5, 6, 7]], [7]),
        (["--segment", "3", "--side", "left", "--value", "9"], [[1, 2, 3], [4, 5, 6], [9, 9, 7]], [3, 3, 1]),
        (["--segment", "3", "--padding-mode", "replicate"], [[1, 2, 3], [4, 5, 6], [7, 7, 7]], [3, 3, 1]),
    ],
)
def test_a_recording_is_cut(
    options: list[str], expected: list[list[int]], lengths: list[int], convtool: Convtool
) -> None:
    run = convtool("pad-batch", "1,2,3,4,5,6,7", *options, "-o", "b.npz")
    assert (run.code, run.err) == (0, "")
    batch = loaded("b.npz")
    assert batch["batch"].tolist() == expected
    assert batch["lengths"].tolist() == lengths
    assert batch["mask"].sum(1).tolist() == lengths
    run = convtool("unpad-batch", "b.npz", "-o", "back/")
    assert run.code == 0
    made = sorted(Path("back").iterdir())
    if "--hop" in options and expected[0] in ([1, 2], [1]):  # samples are missing between these
        assert [path.read_text().strip() for path in made] == [
            ",".join(map(str, row[:length])) for row, length in zip(expected, lengths, strict=True)
        ]
    else:
        (path,) = made
        covered = 6 if options[-1] == "drop" and expected[0] == [1, 2, 3] else 7
        assert path.read_text() == ",".join(map(str, range(1, covered + 1))) + "\n"


@pytest.mark.parametrize("layout", ["NCT", "NTC"])
@pytest.mark.parametrize(
    "how",
    [
        ["-o", "b.npz"],
        ["-o", "b/", "--batch-size", "3"],
        ["-o", "b/", "--batch-size", "3", "--strategy", "bucket", "--seed", "2"],
        ["-o", "b.safetensors", "--hop", "100", "--side", "left", "--sort", "length"],
    ],
)
def test_recordings_of_several_channels_come_back(
    how: list[str], layout: str, convtool: Convtool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convtool.jobs.padding.rows.BLOCK_SAMPLES", 77)
    takes = {name: recording(f"takes/{name}", samples, 2) for name, samples in (("a.wav", 1000), ("s/b.wav", 410))}
    run = convtool("pad-batch", "takes", "--segment", "25ms", *how, "--layout", layout)
    assert (run.code, run.err) == (0, "2 written, 0 skipped, 0 failed\n")
    run = convtool("unpad-batch", how[1], "-o", "back/")
    assert (run.code, run.err) == (0, "2 written, 0 skipped, 0 failed\n")
    for name, samples in takes.items():
        np.testing.assert_array_equal(soundfile.read(f"back/{name}", dtype="float32")[0], samples)
    again = convtool("unpad-batch", how[1], "-o", "back/", "--skip-existing")
    assert again.err == "0 written, 2 skipped, 0 failed\n"


def test_segments_at_another_rate_are_those_of_the_whole(convtool: Convtool) -> None:
    recording("a.wav", 3000)
    options = ["a.wav", "--resample", "11025", "--dtype", "float64"]
    assert convtool("pad-batch", *options, "-o", "whole.npz").code == 0
    assert convtool("pad-batch", *options, "--segment", "0.1s", "--hop", "50ms", "-o", "parts.npz").code == 0
    whole, parts = loaded("whole.npz")["batch"][0].ravel(), loaded("parts.npz")
    starts = [row["start"] for row in manifest_of(parts)["rows"]]
    for row, length, start in zip(parts["batch"], parts["lengths"], starts, strict=True):
        np.testing.assert_array_equal(row.ravel()[:length], whole[start : start + length])


def test_a_recording_is_decoded_once_and_told_once(convtool: Convtool, monkeypatch: pytest.MonkeyPatch) -> None:
    from convtool.jobs.padding import segments

    opened: list[str] = []
    whole = segments.open_reader

    def counting(item: Any, options: Any) -> Any:
        opened.append(item.value)
        return whole(item, options)

    monkeypatch.setattr(segments, "open_reader", counting)
    recording("a.wav", 5000)
    Path("a.wav").rename("a.csv")
    run = convtool(
        "pad-batch", "a.csv", "--segment", "100", "--hop", "50", "--batch-size", "7", "-o", "b/", "--jobs", 1
    )
    assert (run.code, opened) == (0, ["a.csv"])
    assert run.err == "Warning: a.csv: named .csv, but its content is WAV; read as that\n"
    report = convtool("pad-batch", "a.csv", "--segment", "100", "-o", "c/", "--json")
    assert json.loads(report.out)["samples"] == 5000


@pytest.mark.parametrize("declared", [50, 400])
def test_a_length_that_is_not_true_is_counted(
    declared: int, convtool: Convtool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.jobs.padding.test_pad import lying

    monkeypatch.setattr("convtool.jobs.padding.rows.BLOCK_SAMPLES", 77)
    recording("a.wav", 200)
    recording("b.wav", 90)
    lying(monkeypatch, "a.wav", declared)
    run = convtool("pad-batch", "a.wav", "b.wav", "--segment", "60", "-o", "b.npz")
    assert (run.code, loaded("b.npz")["lengths"].tolist()) == (0, [60, 60, 60, 20, 60, 30])


def test_a_recording_that_breaks_off_is_left_out(convtool: Convtool, monkeypatch: pytest.MonkeyPatch) -> None:
    from convtool.errors import InputError
    from convtool.jobs.padding import rows

    recording("a.wav", 300)
    recording("b.wav", 300)
    whole = rows._working

    def broken(block: Any, row: Any, dtype: str, options: Any) -> Any:
        if row.input.value == "a.wav":
            raise InputError("breaks off")
        return whole(block, row, dtype, options)

    monkeypatch.setattr(rows, "_working", broken)
    run = convtool("pad-batch", "a.wav", "b.wav", "--segment", "100", "-o", "b.npz")
    assert (run.code, loaded("b.npz")["lengths"].tolist()) == (1, [100, 100, 100])
    assert run.err == "Error: a.wav: breaks off\n1 written, 0 skipped, 1 failed\n"


def test_nothing_is_left_of_a_batch_that_has_no_room(convtool: Convtool, monkeypatch: pytest.MonkeyPatch) -> None:
    from convtool.arrays.writing import ArrayWriter

    whole = ArrayWriter._put_at

    def full(self: ArrayWriter, offset: int, data: Any) -> None:
        if offset > 2000:
            raise OSError(28, "No space left on device")
        whole(self, offset, data)

    monkeypatch.setattr("convtool.jobs.padding.rows.BLOCK_SAMPLES", 77)
    monkeypatch.setattr(ArrayWriter, "_put_at", full)
    recording("a.wav", 2000)
    run = convtool("pad-batch", "a.wav", "--segment", "100", "-o", "b/")
    assert (run.code, "the disk is full" in run.err) == (1, True), run.err
    assert list(Path("b").glob("*.npy")) == []


def test_a_shard_that_is_lost_on_the_way_fails_its_recordings_once(
    convtool: Convtool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from convtool.jobs.padding import unpad

    for name, samples in (("a.wav", 700), ("b.wav", 300), ("c.wav", 100)):
        recording(name, samples)
    run = convtool("pad-batch", "a.wav", "b.wav", "c.wav", "--segment", "100", "--batch-size", "3", "-o", "b/")
    assert run.code == 0
    whole = unpad.open_shard

    def losing(path: str) -> Any:
        if path in ("b/00001.npy", "b/00002.npy"):
            Path(path).write_bytes(Path(path).read_bytes()[:-700])
        return whole(path)

    monkeypatch.setattr(unpad, "open_shard", losing)
    run = convtool("unpad-batch", "b", "-o", "back/")
    assert run.code == 1
    assert [path.name for path in Path("back").iterdir()] == ["c.wav"]
    assert run.err.splitlines()[-1] == "1 written, 0 skipped, 2 failed"
    assert run.err.count("Error: ") == 2


def test_a_temporary_folder_that_is_full(convtool: Convtool, monkeypatch: pytest.MonkeyPatch) -> None:
    from convtool.jobs.padding import unpad

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    assert convtool("pad-batch", "1,2,3", "--segment", "2", "-o", "b.npz").code == 0
    monkeypatch.setattr(unpad.Parts, "open", lambda *_: type("Full", (), {"write": full, "seek": lambda *_: 0})())
    run = convtool("unpad-batch", "b.npz", "-o", "back/")
    assert (run.code, "no room in" in run.err) == (1, True)


# Manifests


CSV = "path,label,weight,speaker\na.wav,1,0.5,Ann\n\nsub/b.wav,0,,Bo\n"
JSON = (
    '{"audio_filepath": "a.wav", "text": "one", "duration": 1.5, "kept": true, "id": 7}\n'
    '{"audio_filepath": "sub/b.wav", "text": "two", "duration": null, "kept": false, "id": 9, "more": [1]}\n\n'
)


@pytest.mark.parametrize("folder", ["", "data/"])
def test_labels_come_along(folder: str, convtool: Convtool) -> None:
    recording(f"{folder}a.wav", 300)
    recording(f"{folder}sub/b.wav", 200)
    Path(f"{folder}m.csv").write_text(CSV)
    Path(f"{folder}m.jsonl").write_text(JSON)
    assert convtool("pad-batch", "--manifest", f"{folder}m.csv", "-o", "b.npz", "--sort", "length").code == 0
    batch = loaded("b.npz")
    assert (batch["label"].dtype, batch["label"].tolist()) == (np.int64, [0, 1])
    np.testing.assert_array_equal(batch["weight"], [np.nan, 0.5])
    assert manifest_of(batch)["rows"][0]["labels"] == {"label": 0, "weight": None, "speaker": "Bo"}
    assert convtool("pad-batch", "--manifest", f"{folder}m.jsonl", "-o", "s/", "--batch-size", "1").code == 0
    assert np.load("s/00001.id.npy").tolist() == [9]
    assert np.load("s/00000.kept.npy").tolist() == [True]
    assert np.load("s/00000.duration.npy").tolist() == [1.5]
    rows = json.loads(Path("s/manifest.json").read_text())["rows"]
    assert [row["labels"]["text"] for row in rows] == ["one", "two"]
    assert rows[1]["labels"]["more"] == [1]
    assert convtool("unpad-batch", "s", "-o", "back/").code == 0
    assert sorted(str(path.relative_to("back")) for path in Path("back").rglob("*.wav")) == ["a.wav", "sub/b.wav"]
    changed = CSV.replace("Ann", "Amy")
    Path(f"{folder}m.csv").write_text(changed)
    assert convtool("pad-batch", "--manifest", f"{folder}m.csv", "-o", "s/").code == 2
    assert convtool("pad-batch", "--manifest", f"{folder}m.csv", "-o", "s/", "--overwrite").code == 0
    assert not Path("s/00000.id.npy").exists()
    cut = convtool("pad-batch", "--manifest", f"{folder}m.csv", "--segment", "100", "-o", "c.npz")
    assert (cut.code, loaded("c.npz")["label"].tolist()) == (0, [1, 1, 1, 0, 0])


@pytest.mark.parametrize(("first", "told"), [("0.25", True), ("0", False)])
def test_a_start_within_a_recording_is_no_cut_and_that_is_told(first: str, told: bool, convtool: Convtool) -> None:
    recording("a.wav", 300)
    Path("m.jsonl").write_text(f'{{"audio_filepath": "a.wav", "offset": {first}, "duration": 0.01}}\n')
    run = convtool("pad-batch", "--manifest", "m.jsonl", "-o", "b.npz")
    assert (run.code, loaded("b.npz")["lengths"].tolist()) == (0, [300])
    assert ("Warning: m.jsonl: offset is taken for a label; every recording is taken whole" in run.err) is told


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no recording in it"),
        ("path,a\n", "there is no recording in it"),
        ("file,a\nx.wav,1\n", "there is no column path or audio_filepath; the columns are file, a"),
        ("path,a\nx.wav\n", "line 2 has 1 cells, and there are 2 columns"),
        ("path,a,a\nx.wav,1,2\n", "two columns have one name"),
        ("path,a\n,1\n", "recording 1 has no path"),
        ('path,a\nx.wav,"1\n', "unexpected end of data"),
        ("path,mask\nx.wav,1\n", "no array can be called 'mask'; rename that column"),
        ("path,a b\nx.wav,1\n", "no array can be called 'a b'"),
        ('{"path": "x.wav"}\n{"path": 3}\n', "recording 2 has no path"),
        ('{"path": "x.wav"}\n{"path"\n', "line 2 is no JSON"),
        ('{"path": "x.wav"}\n[1]\n', "line 2 is no JSON object"),
        (b"path\n\xff\n", "can't decode"),
        (None, "can't be read: No such file"),
    ],
)
def test_a_manifest_that_is_wrong(text: str | bytes | None, message: str, convtool: Convtool) -> None:
    if text is not None:
        Path("m.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    run = convtool("pad-batch", "--manifest", "m.csv", "-o", "b.npz")
    assert run.code == 2
    assert run.err.splitlines()[-1].startswith("Error: --manifest m.csv: ")
    assert message in run.err


@pytest.mark.parametrize(
    ("values", "dtype", "numbers"),
    [
        (["1", "-2"], "int64", [1, -2]),
        (["1", "2.5", ""], "float64", [1, 2.5, np.nan]),
        (["1", "x"], None, []),
        (["", ""], None, []),
        (["1", 2], None, []),
        ([True, False], "bool", [True, False]),
        ([1, 2], "int64", [1, 2]),
        ([1, None], "float64", [1, np.nan]),
        ([1 << 70], "float64", [float(1 << 70)]),
        ([None, None], None, []),
        ([[1], [2]], None, []),
    ],
)
def test_columns_of_numbers(values: list[Any], dtype: str | None, numbers: list[Any]) -> None:
    from convtool.jobs.padding.labels import _numbers

    found, made = _numbers(values)
    assert found == dtype
    np.testing.assert_array_equal(made, numbers)


# Splits


def test_a_split_never_changes(convtool: Convtool) -> None:
    for number in range(40):
        recording(f"takes/{number}.wav", 50 + number)
    split = ["--split", "0.7,0.2,0.1", "--seed", "5"]
    assert convtool("pad-batch", "takes", "-o", "few/", *split).code == 0
    for number in range(40, 60):
        recording(f"takes/{number}.wav", 50 + number)
    run = convtool("pad-batch", "takes", "-o", "more/", *split)
    assert (run.code, run.err) == (0, "60 written, 0 skipped, 0 failed\n")

    def names(folder: str) -> dict[str, set[str]]:
        return {
            part: {row["relative"] for row in json.loads(Path(folder, part, "manifest.json").read_text())["rows"]}
            for part in ("train", "valid", "test")
        }

    few, more = names("few"), names("more")
    assert all(few[part] <= more[part] for part in few)
    assert sum(map(len, more.values())) == 60
    assert 30 < len(more["train"]) < 54
    again = convtool("pad-batch", "takes", "-o", "more/", *split, "--skip-existing")
    assert (again.code, again.err) == (0, "".join(f"more/{part}/ exists; left as it is\n" for part in few))
    two = convtool("pad-batch", "takes", "--split", "0.5,0.5", "-o", "two", "--json")
    assert (two.code, len(two.out.splitlines())) == (0, 60)
    assert sorted(path.name for path in Path("two").iterdir()) == ["test", "train"]


def test_a_part_may_be_empty_and_labels_follow(convtool: Convtool) -> None:
    for number in range(4):
        recording(f"{number}.wav", 10)
    Path("m.csv").write_text("path,label\n" + "".join(f"{number}.wav,{number}\n" for number in range(4)))
    run = convtool("pad-batch", "--manifest", "m.csv", "--split", "0.999,0.001", "-o", "b")
    assert (
        run.err
        == "Warning: no input falls into test: 4 inputs are too few for that share\n4 written, 0 skipped, 0 failed\n"
    )
    assert np.load("b/train/00000.label.npy").tolist() == [0, 1, 2, 3]
    dry = convtool("pad-batch", "--manifest", "m.csv", "--split", "0.5,0.5", "--segment", "5", "--dry-run")
    assert (dry.code, "4 segments of 2 inputs" in dry.out) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("1,2 -o b.npz --hop 3", "--hop needs --segment"),
        ("1,2 -o b.npz --last drop", "--last needs --segment"),
        ("1,2 -o b.npz --segment 3 --max-length 2", "--max-length: with --segment all rows have its length"),
        ("1,2 -o b.npz --segment 3 --multiple-of 2", "--multiple-of: with --segment all rows have its length"),
        ("1,2 -o b.npz --split 0.5,0.5", "--split writes several folders, and -o b.npz is a file; name a folder"),
        ("1,2 -o b --split 0.5,0.5 --plot x.png", "--plot draws one set of batches; leave out --split"),
        ("1,2 -o b --split 0.5,0.6", "'0.5,0.6' is no split: give two or three shares whose sum is 1"),
        ("1,2 -o b --split 1", "'1' is no split"),
        ("1,2 -o b --split 0.5,x", "'0.5,x' is no split"),
        ("1,2 -o b --split 1.5,-0.5", "is no split"),
        ("1,2 -o b --manifest m.csv", "--manifest names the inputs, and so does INPUT; give one of them"),
    ],
)
def test_usage_errors(arguments: str, message: str, convtool: Convtool) -> None:
    run = convtool("pad-batch", *arguments.split())
    assert run.code == 2
    assert message in run.err


def test_a_recording_shorter_than_a_segment_is_left_out(convtool: Convtool) -> None:
    run = convtool("pad-batch", "1,2", "1,2,3,4", "--segment", "3", "--last", "drop", "-o", "b.npz")
    assert (run.code, loaded("b.npz")["batch"].tolist()) == (1, [[1, 2, 3]])
    assert "Error: '1,2': it has 2 samples, fewer than a segment's 3: --last drop leaves none" in run.err


@pytest.mark.parametrize("hop", [40, 20])
def test_batches_of_one_recording_decode_it_once(hop: int, convtool: Convtool, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many threads write them, each would have the recording go back for it."""
    from convtool.jobs.padding import rows, segments

    monkeypatch.setattr(rows, "BLOCK_SAMPLES", 64)
    opened = []
    original = segments.open_reader

    def counting(*arguments: Any) -> Any:
        opened.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(segments, "open_reader", counting)
    samples = recording("long.wav", 40000)
    done = convtool("pad-batch", "long.wav", "-o", "o/", "--segment", 40, "--hop", hop, "--batch-size", 5, "--jobs", 4)
    assert done.code == 0
    assert len(opened) == 1
    for number in range(40000 // hop // 5):
        for row, found in enumerate(np.load(f"o/{number:05d}.npy")[:, 0]):
            start = (5 * number + row) * hop
            np.testing.assert_array_equal(found[: 40000 - start], samples[start : start + 40, 0])
