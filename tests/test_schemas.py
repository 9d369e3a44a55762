"""docs/schemas/ describes what the program writes, whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import soundfile
from safetensors import safe_open

from convtool.jobs.rescale.params import FITTED, SPREADS, Method
from tests.conftest import Run
from tests.helpers.schema import SCHEMAS, faults


@pytest.fixture(autouse=True)
def takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with inputs of several kinds."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "takes").mkdir()
    for length, name in ((100, "a.wav"), (101, "b.flac")):
        soundfile.write(tmp_path / "takes" / name, np.full(length, 0.6), 8000)
    (tmp_path / "x.csv").write_text("one,two\n1,2\n3,5\n")


def rows_of(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_every_row_of_a_report(convtool: Callable[..., Run]) -> None:
    """Written, clipped, skipped, failed and planned; of several commands."""
    inputs = ("takes", "missing.wav", "x.csv")
    found = []
    for more in ((), ("--skip-existing",), ("--dry-run", "--overwrite")):
        found += rows_of(convtool("convolve", *inputs, "-k", "2", "-o", "wet/", "--json", *more).out)
    found += rows_of(convtool("local-var", "x.csv", "-w", 2, "-o", "var.npy", "--json").out)
    found += rows_of(convtool("pad-batch", "takes", "missing.wav", "-o", "batch.npz", "--json").out)
    found += rows_of(convtool("unpad-batch", "batch.npz", "-o", "back/", "--json").out)
    assert {row["status"] for row in found} == {"written", "skipped", "failed", "planned"}
    assert any(row["clipped"] for row in found)
    assert [fault for row in found for fault in faults("report", row)] == []


def test_manifests(convtool: Callable[..., Run], tmp_path: Path) -> None:
    """Of a folder, of a file, and of a text with names."""
    assert convtool("pad-batch", "takes", "-o", "shards/", "--strategy", "single").code == 0
    assert convtool("pad-batch", "x.csv", "-o", "x.safetensors", "--layout", "NTC").code == 0
    folder = json.loads((tmp_path / "shards" / "manifest.json").read_text())
    with safe_open(tmp_path / "x.safetensors", "numpy") as file:
        single = json.loads(file.metadata()["manifest"])
    assert len(folder["shards"]) == 2
    assert single["rows"][0]["columns"] == ["one", "two"]
    assert faults("manifest", folder) + faults("manifest", single) == []


@pytest.mark.parametrize("method", get_args(Method))
@pytest.mark.parametrize("options", [(), ("--per-channel", "--fit", "x.csv")])
def test_parameters(method: str, options: tuple[str, ...], convtool: Callable[..., Run], tmp_path: Path) -> None:
    """Of each method, with names and without."""
    limits = () if method in SPREADS else ("--range", "0:1")
    options = options if method in FITTED else ()
    done = convtool("rescale", "x.csv", "--method", method, *limits, *options, "--save", "p.json", "-o", "y.csv")
    assert done.code == 0, done.err
    assert faults("parameters", json.loads((tmp_path / "p.json").read_text())) == []


def test_the_check_finds_faults() -> None:
    """Of types, words, limits, keys that are missing and keys that nobody has described."""
    row = {"input": "a", "output": None, "status": "gone", "error": 1, "samples": -1, "seconds": True, "more": 0}
    assert {fault.split()[0] for fault in faults("report", row)} == {
        "/",
        "/status",
        "/error",
        "/samples",
        "/seconds",
        "/more",
    }
    assert faults(
        "parameters", {"method": "clip", "range": [0], "channels": [{"min": 1, "max": "2"}], "version": 2}
    ) == [
        "/version is 2, against const 1",
        "/range is [0], against minItems 2",
        "/channels/0/max is '2', against type 'number'",
    ]
    (fault,) = faults("parameters", {"method": "minmax", "channels": [{"min": 1}]})
    assert fault.startswith("/channels/0 is {'min': 1}, against anyOf")
    assert faults("manifest", []) == ["/ is [], against type 'object'"]


def test_every_schema_is_spoken_of() -> None:
    """The reference links to each file."""
    text = (SCHEMAS.parent / "scripts.md").read_text(encoding="utf-8")
    assert all(f"(schemas/{path.name})" in text for path in SCHEMAS.iterdir())
