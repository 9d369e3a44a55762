"""`--plot` of the commands: that what was done gets into the picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import Run
from tests.helpers import model_files as models

Convtool = Callable[..., Run]


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text("cold,warm\n1,20\n2,30\n3,40\n")


def words(convtool: Convtool, *arguments: object) -> str:
    """What stands in the picture that a command draws."""
    run = convtool(*arguments, "--plot", "p.svg")
    assert run.code == 0, run.err
    return Path("p.svg").read_text(encoding="utf-8")


def test_a_kernel_that_was_changed(convtool: Convtool) -> None:
    options = ("--mix", 0.5, "--gain=-6", "--kernel-norm", "l1", "--trim-kernel", 60, "--correlate")
    shown = words(convtool, "convolve", "x.csv", "-k", "2,1", *options)
    assert "kernel with the dry signal: 2,1" in shown
    assert "trimmed, l1 norm, unflipped, gain −6 dB, mix 0.5" in shown
    assert "cold" in shown


def test_windows_of_columns_by_their_names(convtool: Convtool) -> None:
    shown = words(convtool, "local-var", "x.csv", "-w", 2, "--stat", "mean,std")
    assert shown.count("<!-- cold -->") == shown.count("<!-- warm -->") == 2  # beside its row, and in the legend
    assert "channel 1" not in shown


def test_a_kernel_that_mixes(convtool: Convtool) -> None:
    np.save("k.npy", np.ones((6, 2)))
    shown = words(convtool, "convolve", "x.csv", "-k", "k.npy", "--matrix", "-o", "y.npy")
    assert "1 to 1" in shown
    assert "2 to 1" in shown
    assert "and 4 more" in shown


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--range 0:1", ["dashed: 1 to 40", "dashed: 0 to 1"]),
        ("--range 0:1 --per-channel", ["dashed: their ranges", "dashed: 0 to 1"]),
        ("--range 0:1 --fit x.csv --invert", ["dashed: 0 to 1", "dashed: 1 to 40"]),
        ("--range=-2:3 --method tanh", ["of all samples", "dashed: −2 to 3"]),
    ],
)
def test_rescale_draws_before_and_after(options: str, told: list[str], convtool: Convtool) -> None:
    shown = words(convtool, "rescale", "x.csv", *options.split(), "-o", "y.csv")
    assert [shown.index(text) for text in told] == sorted(shown.index(text) for text in told)
    assert "warm" in shown
    run = convtool("rescale", "--fit", "x.csv", "--range", "0:1", "--save", "s.json", "--plot", "q.svg")
    assert (run.code, Path("q.svg").exists()) == (2, False)


def test_lstm_draws_input_and_output(convtool: Convtool, tmp_path: Path) -> None:
    models.guitarml(tmp_path / "amp.json", *models.modules())
    shown = words(convtool, "lstm", "amp.json", "x.csv", "-o", "y.csv")
    assert "input: x.csv" in shown
    assert shown.count("0 dB: the input's highest") == 2


def test_weights_that_are_no_filters(convtool: Convtool) -> None:
    torch.save({"rec.weight_ih_l0": torch.ones(8, 3), "rec.weight_hh_l0": torch.ones(8, 2)}, "m.pt")
    shown = words(convtool, "inspect-weights", "m.pt", "--tensor", "rec.weight_ih_l0")
    assert "8 × 3 (4H × in)" in shown
    assert all(f"gate {gate}" in shown for gate in "ifgo")
    shown = words(convtool, "inspect-weights", "m.pt", "--tensor", "rec.weight_hh_l0", "--gates", "--overwrite")
    assert "4 gates of 2 × 2 (H × H)" in shown
    np.save("dense.npy", np.ones((3, 2)))
    shown = words(convtool, "inspect-weights", "dense.npy", "--overwrite")
    assert "3 × 2" in shown
    assert "filter" not in shown
