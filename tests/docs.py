"""Writes what the README takes from the program itself: `python -m tests.docs`."""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner

from convtool.cli.main import cli

README = Path(__file__).parent.parent / "README.md"
RESULTS = Path(__file__).parent / "bench" / "results"
_BLOCK = re.compile(r"(<!-- docs: (\w+) ?([\w-]*) -->\n).*?(<!-- /docs -->)", re.DOTALL)


def help_of(command: str) -> str:
    """The help of `command` as a terminal of 100 columns shows it."""
    result = CliRunner().invoke(cli, [command, "--help"], prog_name="convtool", terminal_width=100)
    return f"```text\n{result.output.strip()}\n```\n"


def bench_of(part: str) -> str:
    """What that benchmark printed when it was last run; tables as they are, the rest as text."""
    text = (RESULTS / f"{part}.txt").read_text(encoding="utf-8").strip()
    return f"{text}\n" if "|---|" in text else f"```text\n{text}\n```\n"


def filled(text: str) -> str:
    """`text` with every block between docs markers made anew."""
    makers = {"help": help_of, "bench": bench_of}
    return _BLOCK.sub(lambda m: m[1] + makers[m[2]](m[3]) + m[4], text)


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
