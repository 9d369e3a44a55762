"""Makes what README.md and docs/ take from the program itself, and the pictures: `python -m tests.docs`."""

from __future__ import annotations

import inspect
import io
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import soundfile
from PIL import Image

from convtool.cli.main import COMMANDS, cli
from tests.helpers.audio_formats import audio_formats

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PICTURES = ROOT / "examples" / "pictures"
RESULTS = ROOT / "tests" / "bench" / "results"

_BLOCK = re.compile(r"(<!-- docs: (\w+) ?([\w-]*) -->\n).*?(<!-- /docs -->)", re.DOTALL)
_STATED = re.compile(r" *\[default: (.*?)\]")
_NEW_PAGE = """# convtool {0}

<!-- docs: command {0} -->
<!-- /docs -->

## Options

<!-- docs: options {0} -->
<!-- /docs -->
"""


def pages() -> list[Path]:
    """README.md and every page below docs/, one for each command among them."""
    made = {DOCS / "commands" / f"{name}.md" for name in COMMANDS}
    return [README, *sorted(made | set(DOCS.rglob("*.md")))]


def text_of(page: Path) -> str:
    """What stands in `page`; a command without a page gets one of generated parts alone."""
    return page.read_text(encoding="utf-8") if page.exists() else _NEW_PAGE.format(page.stem)


def filled(text: str) -> str:
    """`text` with every block between docs markers made anew."""
    makers = {
        "audio": audio_formats,
        "bench": bench_of,
        "command": head_of,
        "commands": commands,
        "options": options_of,
        "speed": speed,
    }
    return _BLOCK.sub(lambda m: m[1] + makers[m[2]](*m[3].split()) + m[4], text)


def context_of(name: str) -> click.Context:
    """What Click knows of the command `name`."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    parent = click.Context(cli, info_name="convtool", **cli.context_settings)
    return click.Context(command, parent, info_name=name)


def help_parts(name: str) -> tuple[str, list[str]]:
    """What the help of the command `name` says, and its examples."""
    text, _, examples = inspect.cleandoc(context_of(name).command.help or "").partition("\b\nExamples:\n")
    return text.strip(), [line.strip() for line in examples.splitlines() if line.strip()]


def commands() -> str:
    """The commands, each with its line of help and a link to its page."""
    rows = [f"| [`{name}`](commands/{name}.md) | {text.rstrip('.')} |" for name, text in COMMANDS.items()]
    return "\n".join(["| command | what it does |", "|---|---|", *rows, ""])


def head_of(name: str) -> str:
    """The beginning of the page of the command `name`: what its help says, without the options."""
    context = context_of(name)
    text, examples = help_parts(name)
    # Lines that the help sets apart are a table there: they keep their places.
    paragraphs = [
        f"```text\n{paragraph.removeprefix(chr(8)).strip()}\n```" if paragraph.startswith("\b") else _escaped(paragraph)
        for paragraph in text.split("\n\n")
    ]
    usage = f"    convtool {name} {' '.join(context.command.collect_usage_pieces(context))}"
    return "\n\n".join([*paragraphs, usage, "```sh\n" + "\n".join(examples) + "\n```"]) + "\n"


def options_of(name: str) -> str:
    """Every option of the command `name`: first those that are its own, then those that other commands have too."""
    elsewhere = {line for other in COMMANDS if other != name for line in _rows(other)}
    own = [row for row in _rows(name) if row not in elsewhere]
    shared = [row for row in _rows(name) if row in elsewhere]
    head = "| option | meaning | default |\n|---|---|---|\n"
    tables = [head + "\n".join(own) + "\n"] if own else []
    if shared:
        tables.append("As in other commands:\n\n" + head + "\n".join(shared) + "\n")
    return "\n".join(tables)


def _rows(name: str) -> list[str]:
    context = context_of(name)
    return [
        _row(parameter, context)
        for parameter in context.command.get_params(context)
        if isinstance(parameter, click.Option) and not parameter.hidden
    ]


def _row(option: click.Option, context: click.Context) -> str:
    spelled = ", ".join(option.opts)
    if not option.is_flag:
        spelled += f" {option.make_metavar(context)}"
    extra = option.get_help_extra(context)
    text = option.help or ""
    stated = _STATED.search(text)
    default = stated[1] if stated else extra.get("default", "")
    default = "required" if option.required else default
    bounds = f" ({extra['range'].replace('<=', ' ≤ ')})" if "range" in extra else ""
    code = "" if stated or default in ("", "required") else "`"
    return f"| `{_cell(spelled)}` | {_cell(_escaped(_STATED.sub('', text)))}{bounds} | {code}{_cell(default)}{code} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _escaped(text: str) -> str:
    """`text` for Markdown: what it would take for markup stays as it is."""
    return re.sub(r"([*_<>{}\[\]])", r"\\\1", text)


def bench_of(part: str) -> str:
    """What that benchmark printed when it was last run; tables as they are, the rest as text."""
    text = (RESULTS / f"{part}.txt").read_text(encoding="utf-8").strip()
    return f"{text}\n" if "|---|" in text else f"```text\n{text}\n```\n"


def speed() -> str:
    """The machine, and the first table of the benchmark of whole commands."""
    machine, table = bench_of("commands").split("\n\n")[:2]
    return f"{machine}\n\n{table}\n"


CLIPS = 400

PICTURE_COMMANDS = {
    "convolution": "convolve examples/guitar.wav -k examples/cabinet.wav --kernel-norm l2 --gain=-1 -o {folder}/a.wav",
    "windows": "local-var examples/guitar.wav -w 50ms -o {folder}/variance.npy",
    "filters": "inspect-weights examples/gabor.safetensors",
    "response": "inspect-weights examples/bands.npy --response --points 2049 --sample-rate 44100",
    "lengths": "pad-batch {folder}/clips --strategy bucket --batch-size 32 -o {folder}/batches",
}
"""The command that draws each picture; `clips` is the guitar in pieces whose lengths differ as recordings do."""

WIDTH, COLOURS = 800, 128
"""What a picture is brought to for these pages, so that it takes few bytes."""


def pictures() -> Iterator[tuple[Path, bytes]]:
    """Every picture, drawn by the program from the files in examples/."""
    with tempfile.TemporaryDirectory() as folder:
        _make_clips(Path(folder) / "clips")
        for name, command in PICTURE_COMMANDS.items():
            drawn = Path(folder) / f"{name}.png"
            words = shlex.split(f"{command.format(folder=folder)} --plot {drawn}")
            # In the folder of the project, so that names in pictures are short.
            subprocess.run([sys.executable, "-m", "convtool", "-q", *words], cwd=ROOT, check=True)
            yield PICTURES / drawn.name, _reduced(drawn)


def _make_clips(folder: Path) -> None:
    folder.mkdir()
    guitar, rate = soundfile.read(ROOT / "examples" / "guitar.wav", dtype="int16")
    lengths = np.random.default_rng(4).lognormal(np.log(0.5 * rate), 0.5, CLIPS).astype(int)
    for number, length in enumerate(lengths):
        soundfile.write(folder / f"{number:03d}.wav", guitar[:length], rate, subtype="PCM_16")


def _reduced(path: Path) -> bytes:
    with Image.open(path) as image:
        size = (WIDTH, round(image.height * WIDTH / image.width))
        small = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    encoded = io.BytesIO()
    small.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, 2, dither=Image.Dither.NONE).save(encoded, "PNG", optimize=True)
    return encoded.getvalue()


def same_picture(one: bytes, other: bytes) -> bool:
    """Whether two pictures show the same.

    Not byte for byte, since another build of a library may round or compress otherwise: in size, and but for one
    pixel in ten thousand in colour, to an eighth of its range.
    """
    a, b = (np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.int16) for data in (one, other))
    return a.shape == b.shape and bool((np.abs(a - b).max(-1) > 32).mean() < 1e-4)


if __name__ == "__main__":
    for page in pages():
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(filled(text_of(page)), encoding="utf-8")
    PICTURES.mkdir(exist_ok=True)
    for path, data in pictures():
        if not path.exists() or not same_picture(path.read_bytes(), data):
            path.write_bytes(data)
