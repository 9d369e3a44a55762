"""What convtool runs on here: the versions of Python and the libraries, and the devices that torch can use."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from convtool.files.names import counted
from convtool.jobs.backend import load_torch
from convtool.runs.local import cores

_PACKAGES = (
    "torch",
    "numpy",
    "soundfile",
    "click",
    "rich",
    "h5py",
    "matplotlib",
    "pillow",
    "av",
    "fsspec",
    "distributed",
)


def versions() -> Iterator[str]:
    """A line for each: what it is, and its version; packages that are not installed are left out."""
    yield f"Python {platform.python_version()} on {platform.platform()}"
    for package in _PACKAGES:
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            continue
    import soundfile

    yield f"libsndfile {soundfile.__libsndfile_version__}"
    yield f"devices: {', '.join(_devices())}"


def _devices() -> Iterator[str]:
    torch = load_torch()
    yield f"cpu ({counted(cores(), 'core')})"
    for number in range(torch.cuda.device_count()):
        yield f"cuda:{number} ({torch.cuda.get_device_name(number)})"
    if torch.backends.mps.is_available():
        yield "mps"
