"""The arrows between the packages, and what a command may load before it has work to do."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import convtool

ROOT = Path(convtool.__file__).parent
LIBRARIES = {"torch", "numpy", "soundfile", "rich", "matplotlib"}
MAY_IMPORT = {
    "cli": {
        "cli",
        "warm",
        "jobs",
        "runs",
        "models",
        "weights",
        "signals",
        "ops",
        "plots",
        "arrays",
        "files",
        "errors",
        "",
    },
    "jobs": {"jobs", "runs", "models", "weights", "signals", "ops", "plots", "arrays", "isolation", "files", "errors"},
    "runs": {"runs", "signals", "isolation", "files", "errors"},
    "models": {"models", "weights", "arrays", "files", "errors"},
    "weights": {"weights", "arrays", "files", "errors"},
    "signals": {"signals", "arrays", "isolation", "files", "errors"},
    "plots": {"plots", "files", "errors"},
    "ops": {"ops", "errors"},
    "arrays": {"arrays", "files", "errors"},
    "isolation": {"errors"},
    "files": {"files", "errors"},
    "errors": set(),
    "__main__": {"cli", "warm"},
    "warm": {"warm"},
    "__init__": set(),
}
MODULES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


def imports(module: Path) -> Iterator[tuple[str, bool]]:
    """The names that a module imports, and whether as soon as it is imported itself."""
    tree = ast.parse((ROOT / module).read_text())
    later = {inner for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) for inner in ast.walk(node)}
    later |= {inner for node in ast.walk(tree) if _is_type_checking(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield str(node.module), node not in later
        elif isinstance(node, ast.Import):
            yield from ((alias.name, node not in later) for alias in node.names)


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def package(module: Path) -> str:
    return module.parts[0].removesuffix(".py")


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_nobody_looks_up(module: Path) -> None:
    used = {(name + ".").split(".")[1] for name, _ in imports(module) if name.partition(".")[0] == "convtool"}
    assert used <= MAY_IMPORT[package(module)]


FORMATS = {"numpy", "safetensors", "torch", "keras", "onnx", "matlab", "model_json"}
"""The formats of `arrays`; `zip`, `hdf5` and the modules beside them serve several."""


@pytest.mark.parametrize("module", [module for module in MODULES if module.parts[0] == "arrays"], ids=str)
def test_formats_of_arrays_never_import_each_other(module: Path) -> None:
    own = module.parts[1].removesuffix(".py")
    if own not in {"opening", "writing"}:
        used = {name.split(".")[2] for name, _ in imports(module) if name.startswith("convtool.arrays.")}
        assert used & FORMATS <= {own} | ({"numpy"} if own == "zip" else set())


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_nothing_private_is_used_from_another_module(module: Path) -> None:
    tree = ast.parse((ROOT / module).read_text())
    found = [
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("convtool")
        for alias in node.names
        if alias.name.startswith("_") and not alias.name.startswith("__")
    ]
    assert found == []


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_who_uses_which_library(module: Path) -> None:
    used = {name.partition(".")[0]: now for name, now in imports(module)}
    if package(module) not in ("ops", "jobs"):
        assert "torch" not in used
    if package(module) != "plots":
        assert "matplotlib" not in used
    if package(module) in ("cli", "runs"):
        assert {name for name, now in used.items() if now} & LIBRARIES == set()
    if package(module) != "ops":
        assert not used.get("torch", False)


_HEADER = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
SAFETENSORS = len(_HEADER).to_bytes(8, "little") + _HEADER + bytes(8)


@pytest.mark.parametrize(
    ("arguments", "code", "unused"),
    [
        ("--help", 0, LIBRARIES),
        ("convolve --help", 0, LIBRARIES),
        ("--version", 0, LIBRARIES),
        ("completion bash", 0, LIBRARIES),
        ("convolve --no-such-option", 2, LIBRARIES),
        ("nothing", 2, LIBRARIES),
        ("convolve 4,1 2,5 -k 1", 2, {"torch", "soundfile", "rich", "matplotlib"}),
        ("convolve 4,1 -k 1 --dry-run", 0, {"torch", "soundfile", "rich", "matplotlib"}),
        ("convolve 4,1 -k h.csv", 1, {"torch", "soundfile", "rich", "matplotlib"}),
        ("convolve 4,1 -k 1", 0, {"soundfile", "rich", "matplotlib"}),
        ("lstm --help", 0, LIBRARIES),
        ("wavenet --help", 0, LIBRARIES),
        ("lstm w.safetensors 4,1 --self-test", 2, LIBRARIES),
        ("lstm w.safetensors 4,1", 1, {"torch", "soundfile", "rich", "matplotlib"}),
        ("inspect-weights --help", 0, LIBRARIES),
        ("inspect-weights w.safetensors", 0, LIBRARIES),
        ("inspect-weights w.safetensors --json", 0, LIBRARIES),
        ("inspect-weights w.safetensors --points 3", 2, LIBRARIES),
        ("inspect-weights w.safetensors --stats", 0, LIBRARIES - {"numpy"}),
        ("inspect-weights w.safetensors --tensor w", 0, LIBRARIES - {"numpy"}),
    ],
)
def test_what_a_command_loads(arguments: str, code: int, unused: set[str], tmp_path: Path) -> None:
    script = (
        "import json, sys\n"
        "from convtool.cli import main\n"
        f"sys.argv = ['convtool', *{arguments.split()}]\n"
        "code = main._run()\n"
        "sys.stderr.write('\\n' + json.dumps([code, list(sys.modules)]))\n"
    )
    (tmp_path / "w.safetensors").write_bytes(SAFETENSORS)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, cwd=tmp_path)
    found, modules = json.loads(done.stderr.decode().splitlines()[-1])
    assert found == code
    assert unused & set(modules) == set()


@pytest.mark.parametrize(
    ("line", "word", "unused"),
    [
        ("convtool con", "convolve", LIBRARIES),
        ("convtool inspect-weights w.safetensors --tensor ", "w", LIBRARIES),
        ("convtool local-var x.csv --columns o", "one", LIBRARIES - {"numpy"}),
        ("convtool convolve x.csv --format flac --subtype PCM_2", "PCM_24", {"torch", "rich", "matplotlib"}),
    ],
)
def test_what_completion_loads(line: str, word: str, unused: set[str], tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(SAFETENSORS)
    (tmp_path / "x.csv").write_text("one,two\n1,2\n")
    script = (
        "import sys; from convtool.cli.main import main\ntry: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        check=True,
        cwd=tmp_path,
        env=os.environ | {"_CONVTOOL_COMPLETE": "bash_complete", "COMP_WORDS": line},
    )
    assert done.stdout.decode().split() == [f"plain,{word}"]
    assert set(done.stderr.decode().split()) & unused == set()
