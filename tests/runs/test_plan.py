"""Where every result goes, and what is refused before any work."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import soundfile

from convtool.errors import UsageError
from convtool.runs.plan import Choice, plan
from convtool.signals.inputs import Input


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def file(path: str, relative: str | None = None) -> Input:
    return Input("file", path, relative or os.path.basename(path))


A, B = file("takes/a.wav"), file("other/b.flac")
WALKED = file("takes/day1/a.wav", "day1/a.wav")
NUMBERS, STDIN = Input("numbers", "4,1,2,5", "numbers"), Input("stdin", "-", "stdin")


@pytest.mark.parametrize(
    ("item", "output", "format", "expected"),
    [
        (A, None, None, None),
        (A, "-", None, None),
        (A, "x.wav", None, "x.wav"),
        (A, "x", "wav", "x"),
        (A, "wet/", None, "wet/a.wav"),
        (A, "there", None, "there/a.wav"),
        (A, "wet/", "flac", "wet/a.flac"),
        (WALKED, "wet/", None, "wet/day1/a.wav"),
        (NUMBERS, "wet/", None, "wet/numbers.csv"),
        (STDIN, "wet/", "wav", "wet/stdin.wav"),
        (A, "wet/{stem}.flac", None, "wet/a.flac"),
        (A, "wet/{parent}/{name}", None, "wet/takes/a.wav"),
        (A, "{stem}.{ext}", None, "a.wav"),
        (A, "{index:03d}-{name}", None, "000-a.wav"),
        (A, "{{{stem}}}.csv", None, "{a}.csv"),
        (WALKED, "wet/{parent}/{name}", None, "wet/day1/a.wav"),
        (file("/rec/../x/a.wav"), "wet/{parent}/{name}", None, "wet/rec/x/a.wav"),
        (file("a.wav"), "wet/{parent}/{name}", None, "wet/a.wav"),
        (Input.of_word("s3://b/x/a.wav"), "wet/{parent}/{name}", None, "wet/b/x/a.wav"),
        (Input.of_word("https://me:key@h/x/a%20b.wav?sig=1"), "wet/{parent}/{name}", None, "wet/x/a b.wav"),
        (NUMBERS, "{parent}/{stem}.csv", None, "numbers.csv"),
    ],
)
def test_where_a_result_goes(item: Input, output: str | None, format: str | None, expected: str | None) -> None:
    Path("there").mkdir()
    (task,) = plan([item], output, format=format)
    assert (task.index, task.input, task.output, task.skip) == (0, item, expected, False)
    assert os.listdir() == ["there"]


def test_tasks_are_in_the_order_of_the_inputs() -> None:
    tasks = plan([B, A], "wet/{index}.csv")
    assert [(t.index, t.input, t.output) for t in tasks] == [(0, B, "wet/0.csv"), (1, A, "wet/1.csv")]


@pytest.mark.parametrize(
    ("inputs", "output", "options", "message"),
    [
        ([A, B], None, {}, r"there are 2 inputs; give a folder .*'wet/{stem}.wav'"),
        ([A, B], "x.wav", {}, r"2 inputs can't go into one file, x.wav"),
        ([A], "x.xyz", {}, r"x.xyz: the extension names no format; give --format, or one of .csv"),
        ([A], "x\x1b.xyz", {}, r"^x\\x1b.xyz: the extension"),
        ([A], "{stem}", {}, r"^a: the extension names no format"),
        ([A], "{take}.wav", {}, r"-o {take}.wav: there is no {take}; a template may hold {stem}, {ext}"),
        ([A], "{}.wav", {}, r"there is no {}"),
        ([A], "{stem.__class__}.wav", {}, r"there is no {stem.__class__}"),
        ([A], "{stem!r}.wav", {}, r"there is no {stem}"),
        ([A], "{stem:d}.wav", {}, r"{stem:d}: Unknown format code"),
        ([A], "{stem.wav", {}, r"-o {stem.wav: .*; a literal brace is written twice"),
        ([A, A], "wet/", {}, r"takes/a.wav and takes/a.wav would both be written to wet/a.wav; .* a template such as"),
        ([A, B], "wet/x.{index:.0s}csv", {}, r"index:.0s"),
        ([A, B], "{stem:.0}x.csv", {}, r"takes/a.wav and other/b.flac would both be written to x.csv"),
        ([A], "r.csv", {"also_written": ["./r.csv"]}, r"and option value ./r.csv would both .* ./r.csv; give one"),
        ([A], "k.csv", {"also_read": ["k.csv"]}, r"the output k.csv is the input k.csv; write elsewhere"),
        ([A], None, {"also_written": ["takes/a.wav"]}, r"the output takes/a.wav is the input takes/a.wav"),
    ],
)
def test_refused(inputs: list[Input], output: str | None, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plan(inputs, output, **options)
    assert os.listdir() == []


@pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"skip_existing": True}])
@pytest.mark.parametrize("output", ["in.csv", "sub/../in.csv", "symbolic.csv", "hard.csv", "dangling.csv"])
def test_an_output_that_is_an_input_is_refused_whatever_the_options(output: str, options: dict[str, bool]) -> None:
    Path("sub").mkdir()
    Path("in.csv").write_text("1\n")
    os.symlink("in.csv", "symbolic.csv")
    os.link("in.csv", "hard.csv")
    os.symlink("missing.csv", "dangling.csv")
    item = file("missing.csv" if output == "dangling.csv" else "in.csv")
    with pytest.raises(UsageError, match=f"the output {output} is the input {item.value}"):
        plan([item], output, **options)


def test_existing_outputs() -> None:
    Path("wet").mkdir()
    soundfile.write("wet/a.wav", [0.5], 8000)
    os.symlink("nowhere", "wet/b.flac")
    with pytest.raises(UsageError, match=r"wet/a.wav exists \(and 1 more\); give --overwrite, --skip-existing or"):
        plan([A, B], "wet/")
    with pytest.raises(UsageError, match=r"wet/a.wav exists; give"):
        plan([A], "wet/")
    assert [task.skip for task in plan([A, B], "wet/", overwrite=True)] == [False, False]
    os.unlink("wet/b.flac")
    assert [task.skip for task in plan([A, B], "wet/", skip_existing=True)] == [True, False]
    os.truncate("wet/a.wav", 20)
    assert [(task.skip, task.incomplete) for task in plan([A, B], "wet/", skip_existing=True)] == [
        (False, "it is cut off"),
        (False, ""),
    ]


def test_a_report_that_exists_is_refused_unless_a_batch_goes_on() -> None:
    Path("report").touch()
    with pytest.raises(UsageError, match="report exists"):
        plan([A], "wet/", also_written=["report"])
    assert plan([A], "wet/", skip_existing=True, also_written=["report"])[0].output == "wet/a.wav"
    assert plan([A], "wet/", overwrite=True, also_written=["report"])[0].output == "wet/a.wav"


def test_results_of_files_of_arrays_become_npy() -> None:
    (task,) = plan([Input("file", "in/x.npz", "x.npz")], "out/")
    assert task.output == "out/x.npy"


def test_an_input_has_a_task_for_each_of_its_choices() -> None:
    """Templates tell them apart; without that they collide, each with its choice in the message."""
    choices = [Choice("kernel", f"irs/{name}.wav", name) for name in ("hall", "room")]
    tasks = plan([A, B], "wet/{kernel}/{index}-{stem}.wav", choices=lambda _: choices)
    assert [task.output for task in tasks] == [
        "wet/hall/0-a.wav",
        "wet/room/1-a.wav",
        "wet/hall/2-b.wav",
        "wet/room/3-b.wav",
    ]
    assert [task.choice for task in tasks] == choices * 2
    with pytest.raises(UsageError, match=r"takes/a.wav with irs/hall.wav and takes/a.wav with irs/room.wav would both"):
        plan([A], "wet/", choices=lambda _: choices)
    with pytest.raises(UsageError, match=r"no \{kernel\}"):
        plan([A], "wet/{kernel}.wav")
