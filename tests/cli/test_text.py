"""What the options of texts do in commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Convtool = Callable[..., Any]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


PANDAS = ",A,B\n0,0.5,0.25\n1,0.75,0.5\n"


@pytest.mark.parametrize(
    ("text", "words", "output"),
    [
        (PANDAS, "convolve x.csv -k 1", "A,B\n0.5,0.25\n0.75,0.5\n"),
        (PANDAS, "convolve x.csv -k 1 --keep-columns 1", ",A,B\n0,0.5,0.25\n1,0.75,0.5\n"),
        (PANDAS, "convolve x.csv -k 1 --columns 2-3", "A,B\n0.5,0.25\n0.75,0.5\n"),
        ("sep=;\na;b\n1;2\n3;4\n", "convolve x.csv -k 1", "a;b\n1;2\n3;4\n"),
        ("sep=;\na;b\n1;2\n3;4\n", "convolve x.csv -k 1 --format csv", "a,b\n1,2\n3,4\n"),
        ("time,v\n0.00,2\n0.10,4\n", "rescale x.csv --range 0:1 --keep-columns time", "time,v\n0.00,0\n0.10,1\n"),
        ("1|x\n2|3\n4|5\n", "convolve x.csv -k 1 --skip 1 --delimiter | --header no", "2,3\n4,5\n"),
        ("2019,2020\n1,2\n", "convolve x.csv -k 1 --header yes", "2019,2020\n1,2\n"),
        ("& x\n1\n2\n", "convolve x.csv -k 1 --comment &", "1\n2\n"),
        ('"1,234"\n5\n', "convolve x.csv -k 1 --thousands ,", "1234\n5\n"),
        ("1\nNA\n-9\n", "convolve x.csv -k 1 --missing nan --nodata -9", "1\nnan\nnan\n"),
        ("1\n2\n", "convolve x.csv -k 0.333333 --precision 3 --mode same", "0.333\n0.667\n"),
        ("1,2,3,\n4,5\n", "convolve 1,0 -k x.csv", "1,2,3,4,5,0\n"),
    ],
)
def test_texts(text: str, words: str, output: str, convtool: Convtool) -> None:
    Path("x.csv").write_text(text)
    run = convtool(*words.split())
    assert (run.code, run.err, run.out) == (0, "", output)


def test_what_a_kernels_text_says_is_told(convtool: Convtool) -> None:
    Path("ir.txt").write_text("* REW\n-1 // Start time (seconds)\n1\n2\n")
    run = convtool("convolve", "1,0", "-k", "ir.txt", "-v")
    warned, told, *_ = run.err.splitlines()
    assert warned == "Warning: kernel ir.txt: its clock starts at -1 s; its first sample is taken as time 0"
    assert told == "kernel ir.txt: text of 1 column, from line 3 on; comments above the numbers: 1 line"


def test_columns_kept_need_a_row_for_each_of_theirs_and_text(convtool: Convtool) -> None:
    Path("x.csv").write_text("time,v\n0,1\n1,2\n")
    other = convtool("convolve", "x.csv", "-k", "1", "--keep-columns", "time", "-o", "y.npy")
    assert other.err == "Error: x.csv: NPY holds no columns of text; --keep-columns needs an output in text\n"
    assert not Path("y.npy").exists()
    assert other.code == 1


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("convolve x.csv -k 1,1", "--mode full with a kernel of more than one tap"),
        ("convolve x.csv -k 1,1 --mode valid", "--mode valid with a kernel of more than one tap"),
        ("convolve x.csv -k 1 --kernel-delay 1", "--mode full with a kernel of more than one tap"),
        ("convolve x.csv -k 1 --stride 2", "--stride 2"),
        ("local-var x.csv -w 2", "--mode valid with a window of 2"),
        ("local-var x.csv -w 2x1", "--mode valid with a window of 2"),
        ("local-var x.csv -w 1 --stride 3", "--stride 3"),
    ],
)
def test_columns_kept_beside_what_changes_the_rows_are_wrong_usage(words: str, found: str, convtool: Convtool) -> None:
    Path("x.csv").write_text("time,v\n0,1\n1,2\n2,3\n")
    run = convtool(*words.split(), "--keep-columns", "time")
    told = "gives other rows; --keep-columns needs a row of output for each of theirs, such as --mode same gives"
    assert (run.code, run.out) == (2, "")
    assert run.err.endswith(f"Error: {found} {told}\n")


@pytest.mark.parametrize("dry", [["--dry-run"], []])
@pytest.mark.parametrize(
    "words",
    [
        "convolve x.csv -k 1,1,0.001 --trim-kernel 40",
        "convolve x.csv -k 1,1,1 --kernel-delay=-1",
        "local-var x.csv -w 2s --sample-rate 1",
        "local-var x.csv -w 2 --mode same --stride 2s --sample-rate 1",
    ],
)
def test_columns_kept_are_refused_before_any_row_is_written(words: str, dry: list[str], convtool: Convtool) -> None:
    Path("x.csv").write_text("time,v\n0,1\n1,2\n2,3\n")
    run = convtool(*words.split(), "--keep-columns", "time", *dry)
    assert (run.code, run.out) == (1, "")
    assert run.err.startswith("Error: x.csv: the output has not as many rows as the columns kept; --keep-columns needs")


@pytest.mark.parametrize(
    "words",
    [
        "convolve x.csv -k 1,0.001 --trim-kernel 40",
        "convolve x.csv -k 0,1 --kernel-delay=-1",
        "convolve x.csv -k 1,0 --mode causal",
        "local-var x.csv -w 1 --stat mean",
    ],
)
def test_columns_kept_beside_a_row_for_each_of_theirs(words: str, convtool: Convtool) -> None:
    Path("x.csv").write_text("time,v\n0,1\n1,2\n2,3\n")
    run = convtool(*words.split(), "--keep-columns", "time")
    assert (run.code, run.err) == (0, "")
    assert [row.split(",")[1] for row in run.out.splitlines()[1:]] == ["1", "2", "3"]


def test_options_that_contradict_each_other_are_refused(convtool: Convtool) -> None:
    run = convtool("convolve", "1,2", "-k", "1", "--delimiter", ",", "--decimal", ",")
    assert run.code == 2
    assert "--delimiter , is the decimal mark too; choose another with --decimal" in run.err


@pytest.mark.parametrize("option", ["-k", "--bias"])
def test_a_kernel_in_place_is_refused_as_an_input_in_place_is(convtool: Convtool, option: str) -> None:
    kernel = ["-k", "1"] if option == "--bias" else []
    run = convtool("convolve", "0,5", *kernel, option, "1;0.5", "--decimal", ",")
    told = "line 1, column 2: '0.5' is not a number; decimal points need --decimal .\n"
    assert (run.code, run.err, run.out) == (1, f"Error: kernel 1;0.5: {told}", "")
    assert convtool("convolve", "1;0.5", "-k", "1", "--decimal", ",").err == f"Error: '1;0.5': {told}"


@pytest.mark.parametrize("kernel", ["0,5\n0,25\n", "0.5\n0.25\n", "0.5,0.25\n"])
def test_a_kernel_is_written_as_the_input_is_or_with_points(tmp_path: Path, convtool: Convtool, kernel: str) -> None:
    (tmp_path / "x.csv").write_text("1,5\n0\n")
    (tmp_path / "k.csv").write_text(kernel)
    assert convtool("convolve", "x.csv", "-k", "k.csv", "--decimal", ",").out == "0.75\n0.375\n0\n"
    (tmp_path / "bad.csv").write_text("0,5\nx\n")
    assert "line 2, column 1: 'x'" in convtool("convolve", "x.csv", "-k", "bad.csv", "--decimal", ",").err
    assert "line 2, column 1: 'x'" in convtool("convolve", "x.csv", "-k", "bad.csv").err
