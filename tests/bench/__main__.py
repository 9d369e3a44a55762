"""All benchmarks, or those named: `python -m tests.bench [commands convolution ... batches]`.

Each writes its part of results/, which stands in docs/benchmarks.md after `make docs`.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
PARTS = (
    "commands",
    "long_files",
    "folders",
    "calls",
    "convolution",
    "local_stats",
    "resampling",
    "weights",
    "batches",
    "recurrent",
)


def main(parts: tuple[str, ...]) -> None:
    """Run the parts, printing each as it is done."""
    for part in parts:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            importlib.import_module(f"tests.bench.{part}").main()
        print(f"## {part}\n\n{printed.getvalue()}", flush=True)
        (RESULTS / f"{part}.txt").write_text(printed.getvalue(), encoding="utf-8")


if __name__ == "__main__":
    main(tuple(sys.argv[1:]) or PARTS)
