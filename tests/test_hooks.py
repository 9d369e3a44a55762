"""The hooks for pre-commit: they look at weight files, and refuse what is not finite."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from convtool.arrays.opening import EXTENSIONS
from tests.conftest import Run
from tests.docs import ROOT

# YAML takes a reader of its own; this is a list of mappings of plain words.
HOOKS = [
    dict(line.split(": ", 1) for line in hook.splitlines() if ": " in line)
    for hook in ("\n" + (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    .replace("\n  ", "\n")
    .split("\n- ")[1:]
]


def test_they_differ_in_whose_convtool_runs() -> None:
    """And are those that the reference names."""
    assert [(hook["id"], hook["language"]) for hook in HOOKS] == [
        ("convtool-check-weights", "python"),
        ("convtool-check-weights-system", "system"),
    ]
    own = {"id", "language", "description", "additional_dependencies"}
    first, second = ({key: value for key, value in hook.items() if key not in own} for hook in HOOKS)
    assert first == second
    assert "- id: convtool-check-weights " in (ROOT / "docs" / "scripts.md").read_text(encoding="utf-8")


def test_they_look_at_weight_files() -> None:
    """At every kind but JSON and MATLAB, which are mostly something else."""
    wanted = [each for each in EXTENSIONS if each not in (".json", ".aidax", ".mat")]
    assert [each for each in EXTENSIONS if re.search(HOOKS[0]["files"], f"models/a{each}")] == wanted


def test_they_refuse_what_is_not_finite(
    convtool: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pre-commit runs the entry with the files behind it, and goes by the exit code."""
    monkeypatch.chdir(tmp_path)
    np.save("good.npy", np.ones(3))
    np.save("bad.npy", np.array([1, np.nan]))
    words = HOOKS[0]["entry"].split()
    assert words[0] == "convtool"
    assert convtool(*words[1:], "good.npy").code == 0
    assert convtool(*words[1:], "good.npy", "bad.npy").code == 3
