"""All benchmarks; what they print stands in the README after `make docs`."""

from __future__ import annotations

from pathlib import Path

from tests.bench import commands, convolution

RESULTS = Path(__file__).parent / "results.md"

if __name__ == "__main__":
    lines = commands.main()
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    convolution.main()
