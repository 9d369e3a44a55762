"""Where bytes come from and where they go: sources, first bytes, names, formats, and files that appear whole."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from convtool.errors import InputError, OutputError
from convtool.files import atomic, formats
from convtool.files.atomic import AtomicFile, is_special, write_error, write_file
from convtool.files.names import show
from convtool.files.recognition import HEAD
from convtool.files.source import Source

CONTENT = bytes(range(256)) * 40


@contextmanager
def standard_input(descriptor: int) -> Iterator[None]:
    """`descriptor` in the place of standard input."""
    kept = os.dup(0)
    os.dup2(descriptor, 0)
    try:
        yield
    finally:
        os.dup2(kept, 0)
        os.close(kept)


@contextmanager
def pipe_of(data: bytes) -> Iterator[int]:
    """The reading end of a pipe into which `data` goes."""
    end, start = os.pipe()

    def feed() -> None:
        with open(start, "wb") as file:
            file.write(data)

    thread = threading.Thread(target=feed)
    thread.start()
    yield end
    thread.join()
    os.close(end)


# Sources


@contextmanager
def source_of(kind: str, tmp_path: Path) -> Iterator[Source]:
    """`CONTENT` as it comes from a file, a named pipe, or either as standard input."""
    path = tmp_path / "data"
    if kind in ("file", "redirected"):
        path.write_bytes(CONTENT)
    if kind == "file":
        with closing(Source.of_path(str(path))) as source:
            yield source
    elif kind == "redirected":
        with path.open("rb") as file, standard_input(file.fileno()), closing(Source.of_stdin()) as source:
            yield source
    elif kind == "pipe":
        with pipe_of(CONTENT) as end, standard_input(end), closing(Source.of_stdin()) as source:
            yield source
    else:
        os.mkfifo(path)
        thread = threading.Thread(target=path.write_bytes, args=(CONTENT,))
        thread.start()
        with closing(Source.of_path(str(path))) as source:
            yield source
        thread.join()


KINDS = ["file", "redirected", "pipe", "named pipe"]


@pytest.mark.parametrize("kind", KINDS)
def test_all_bytes_come_once_and_in_order(kind: str, tmp_path: Path) -> None:
    with source_of(kind, tmp_path) as source:
        assert source.head == CONTENT[:HEAD]
        assert source.seekable == (kind in ("file", "redirected"))
        assert source.read(10) == CONTENT[:10]
        assert source.read(10_000) == CONTENT[10:HEAD]
        assert source.read_exactly(3000) == CONTENT[HEAD : HEAD + 3000]
        assert source.read_exactly(1 << 20) == CONTENT[HEAD + 3000 :]
        assert source.read() == source.read_exactly(1) == b""


@pytest.mark.parametrize("kind", KINDS)
def test_a_descriptor_stands_at_the_beginning_of_all_bytes(kind: str, tmp_path: Path) -> None:
    with source_of(kind, tmp_path) as source:
        for _ in range(2):
            assert os.read(source.fileno(), 1 << 20) == CONTENT
        assert source.seekable


def test_text_in_place_has_a_descriptor_too() -> None:
    with closing(Source.of_text("4,1\udce9")) as source:
        assert source.head == b"4,1\xe9"
        assert os.read(source.fileno(), 100) == b"4,1\xe9"


def test_standard_input_redirected_from_a_place_inside_a_file_is_read_from_there(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(CONTENT)
    with (tmp_path / "data").open("rb") as file, standard_input(file.fileno()):
        os.lseek(0, 100, os.SEEK_SET)
        with closing(Source.of_stdin()) as source:
            assert not source.seekable
            assert os.read(source.fileno(), 1 << 20) == CONTENT[100:]


def test_standard_input_stays_open() -> None:
    with pipe_of(CONTENT) as end, standard_input(end):
        Source.of_stdin().close()
        assert os.read(0, 10) == CONTENT[HEAD : HEAD + 10]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "no such file"),
        ("folder", "is a folder; expected a file"),
        ("file/below", "can't be read: Not a directory"),
        ("nul\0byte", "no path holds a NUL byte; lists separated by NUL are read with -0"),
    ],
)
def test_what_can_not_be_opened(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(InputError) as caught:
        Source.of_path(f"{tmp_path}/{name}")
    assert str(caught.value) == message


def test_a_file_one_may_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(InputError, match=r"^permission denied: can't be read$"):
        Source.of_path(str(tmp_path / "a"))


def test_closed_standard_input(tmp_path: Path) -> None:
    with standard_input(os.open(tmp_path, os.O_RDONLY)):
        with pytest.raises(InputError, match=r"^is a folder; expected a file$"):
            Source.of_stdin()
        os.close(0)
        with pytest.raises(InputError, match=r"^can't be read: Bad file descriptor$"):
            Source.of_stdin()


def test_a_read_that_fails() -> None:
    class Broken:
        def read(self, _: int) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    broken: Any = Broken()
    with pytest.raises(InputError, match=r"^can't be read: Input/output error$"):
        Source(broken, seekable=False)


def test_a_name_that_is_not_utf_8(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9"
    with open(path, "wb") as file:
        file.write(b"1")
    with closing(Source.of_path(os.fsdecode(path))) as source:
        assert source.read() == b"1"


def test_lines_that_come_slowly_are_not_waited_for() -> None:
    end, start = os.pipe()
    os.write(start, b"1\n")
    with standard_input(end), closing(Source.of_stdin()) as source:
        assert (source.head, source.kind.name) == (b"1\n", "CSV")
        os.write(start, b"2\n")
        assert (source.read(), source.read()) == (b"1\n", b"2\n")
    os.close(start)
    os.close(end)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_peeked_at_comes_again(kind: str, tmp_path: Path) -> None:
    with source_of(kind, tmp_path) as source:
        assert source.peek(5000, 100) == CONTENT[5000:5100]
        assert source.peek(0, 3) == CONTENT[:3]
        assert source.peek(len(CONTENT) - 1, 9) == CONTENT[-1:]
        assert source.read_exactly(1 << 20) == CONTENT


# Names


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain é 音.wav", "plain é 音.wav"),
        (b"caf\xe9.wav", r"caf\xe9.wav"),
        ("a\nb\r\t", r"a\nb\r\t"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        (Path("a/b"), "a/b"),
    ],
)
def test_names_are_shown_on_one_line(name: Any, shown: str) -> None:
    assert show(name) == shown


@given(st.binary())
def test_no_name_can_drive_a_terminal(name: bytes) -> None:
    assert show(name).isprintable()


# Formats


@pytest.mark.parametrize(
    ("path", "extension", "family"),
    [
        ("a/b.WAV", "wav", "WAV"),
        ("b.tar.opus", "opus", "OGG"),
        ("b.Csv", "csv", "CSV"),
        ("b.txt", "txt", "CSV"),
        ("b.npy", "npy", "NPY"),
        ("b.aifc", "aifc", "AIFF"),
        ("a.wav/b", "", None),
        (".wav", "", None),
        ("b.xyz", "xyz", None),
    ],
)
def test_formats_by_extension(path: str, extension: str, family: str | None) -> None:
    assert formats.extension(path) == extension
    assert formats.family(extension) == family


def test_every_audio_extension_is_a_format_that_can_be_written() -> None:
    assert set(formats.AUDIO.values()) <= set(soundfile.available_formats())
    assert formats.family(None) is None


# Files that appear whole or not at all


@pytest.fixture(params=["unnamed", "named", "without /proc", "without links"])
def temporary(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With files that have no name yet, where there are none, where nothing could name them, and as FAT has it."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    if request.param in ("named", "without links"):
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    if request.param == "without /proc":
        monkeypatch.setattr(atomic, "_DESCRIPTORS", "/none")
    if request.param == "without links":
        monkeypatch.setattr(os, "link", refuse)
    return request.param


class Stopped(BaseException):
    """A signal arrived."""


@pytest.mark.parametrize("old", [None, b"old"])
def test_a_file_is_there_when_it_is_complete(tmp_path: Path, temporary: str, old: bytes | None) -> None:
    path = tmp_path / "a"
    if old is not None:
        path.write_bytes(old)
    output = AtomicFile(str(path), replace=True)
    output.file.write(b"new")
    assert (path.read_bytes() if path.exists() else None) == old
    assert len(list(tmp_path.glob(".convtool-*.part"))) == (temporary != "unnamed")
    output.commit()
    output.discard()
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("old", [None, b"old"])
def test_a_discarded_file_leaves_what_was_there(tmp_path: Path, temporary: str, old: bytes | None) -> None:
    path = tmp_path / "a"
    if old is not None:
        path.write_bytes(old)
    output = AtomicFile(str(path))
    output.file.write(b"new")
    output.discard()
    output.discard()
    assert output.file.closed
    assert [p.read_bytes() for p in tmp_path.iterdir()] == ([] if old is None else [old])


def test_folders_are_made_and_names_need_not_be_utf_8(tmp_path: Path, temporary: str) -> None:
    path = os.fsencode(tmp_path) + b"/a/b/caf\xe9"
    for content in (b"1", b"2"):
        output = AtomicFile(os.fsdecode(path), replace=True)
        output.file.write(content)
        output.commit()
        with open(path, "rb") as file:
            assert file.read() == content


def test_a_name_in_the_current_folder(tmp_path: Path, temporary: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    AtomicFile("a").commit()
    assert os.listdir() == ["a"]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o000, 0o666)])
def test_permissions_follow_the_umask(tmp_path: Path, temporary: str, mask: int, mode: int) -> None:
    kept = os.umask(mask)
    try:
        AtomicFile(str(tmp_path / "a")).commit()
        assert os.umask(mask) == mask
    finally:
        os.umask(kept)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == mode


def test_a_link_is_replaced_not_followed(tmp_path: Path, temporary: str) -> None:
    (tmp_path / "target").write_bytes(b"kept")
    (tmp_path / "link").symlink_to("target")
    AtomicFile(str(tmp_path / "link"), replace=True).commit()
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"kept"


def test_a_place_that_can_not_be_written_to(tmp_path: Path, temporary: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"can't be written to: Not a directory$"):
        AtomicFile(str(tmp_path / "file" / "below" / "a"))


@pytest.mark.parametrize("kind", ["file", "folder", "link to nothing"])
def test_what_has_appeared_meanwhile_is_left(tmp_path: Path, temporary: str, kind: str) -> None:
    path = tmp_path / "a"
    output = AtomicFile(str(path))
    output.file.write(b"new")
    if kind == "file":
        path.write_bytes(b"of another")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("nothing")
    with pytest.raises(OutputError, match="/a: exists since the work on it began, and was left as it is; give"):
        output.commit()
    assert output.file.closed
    assert list(tmp_path.iterdir()) == [path]
    assert kind != "file" or path.read_bytes() == b"of another"


def test_a_temporary_name_that_is_taken_is_left(
    tmp_path: Path, temporary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a file is what a killed run leaves, or another run's."""
    words = iter(["taken", "taken", "free"])
    monkeypatch.setattr(atomic.secrets, "token_hex", lambda _: next(words))
    for name in ("a", ".convtool-taken.part"):
        (tmp_path / name).write_bytes(b"old")
    write_file(str(tmp_path / "a"), b"new", replace=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a": b"new",
        ".convtool-taken.part": b"old",
    }


@pytest.mark.parametrize("moment", ["replace", "link"])
@pytest.mark.parametrize("done", [False, True])
def test_a_signal_while_a_file_is_put_in_place_leaves_it_whole(
    tmp_path: Path, moment: str, done: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python calls a signal's handler when the system call is over, whether it has done its work or not."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    real = getattr(os, moment)

    def stopped(source: str, target: str, **options: Any) -> None:
        if done or target == "a":
            real(source, target, **options)
        raise Stopped

    monkeypatch.setattr(os, moment, stopped)
    output = AtomicFile(str(path), replace=True)
    output.file.write(b"new")
    with pytest.raises(Stopped):
        output.commit()
    output.discard()
    assert path.read_bytes() == (b"new" if done and moment == "replace" else b"old")
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_way_stays_and_nothing_else(tmp_path: Path, temporary: str) -> None:
    (tmp_path / "a").mkdir()
    output = AtomicFile(str(tmp_path / "a"), replace=True)
    with pytest.raises(OutputError, match=r"can't be put in place: Is a directory$"):
        output.commit()
    assert output.file.closed
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_a_slow_pipe_gives_what_it_has_in_whole_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convtool.files.source.PAUSE", 0.01)
    reading, writing = os.pipe()
    os.write(writing, bytes(HEAD))
    with closing(Source(os.fdopen(reading, "rb", buffering=0), seekable=False)) as source:
        assert source.read_ready(HEAD + 100, 3) == bytes(HEAD // 3 * 3)
        os.write(writing, b"abcde"[: 5 - HEAD % 3])
        assert len(source.read_ready(100, 3)) % 3 == 0
        threading.Timer(0.05, lambda: (os.write(writing, b"xyz"), os.close(writing))).start()
        rest = source.read_ready(100, 100)  # nothing is less than a unit but at the end
        assert rest.endswith(b"xyz")
        assert source.read_ready(100, 3) == b""


def test_a_pipe_that_never_pauses_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convtool.files.source._PATIENCE", 0)
    reading, writing = os.pipe()
    os.write(writing, bytes(HEAD + 10))
    with closing(Source(os.fdopen(reading, "rb", buffering=0), seekable=False)) as source:
        assert len(source.read_ready(1 << 20, 1)) == HEAD
        assert len(source.read_ready(1 << 20, 1)) == 10
    os.close(writing)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, r"a\x1b: the disk is full; nothing was left under that name"),
        (errno.EIO, r"a\x1b: can't be written: Input/output error"),
    ],
)
def test_what_is_told_when_the_system_refuses(code: int, message: str) -> None:
    assert str(write_error("a\x1b", OSError(code, os.strerror(code)))) == message


def test_what_a_full_disk_leaves(tmp_path: Path) -> None:
    (tmp_path / "old").touch()
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert str(write_error(None, full)) == "standard output: the disk is full; what it has taken is incomplete"
    assert str(write_error(os.devnull, full)).endswith("the disk is full; what it has taken is incomplete")
    assert str(write_error(str(tmp_path / "old"), full)).endswith("full; the file that was there stays as it was")


def test_a_pipe_is_written_into_and_stays(tmp_path: Path) -> None:
    path = str(tmp_path / "pipe")
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    write_file(path, b"all of it")
    assert os.read(reading, 100) == b"all of it"
    assert is_special(path)
    os.close(reading)


def test_a_small_file_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report"
    write_file(str(path), b"")
    assert path.read_bytes() == b""
    with pytest.raises(OutputError, match="exists since"):
        write_file(str(path), b"new")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic, "write_all", full)
    with pytest.raises(OutputError, match="the disk is full"):
        write_file(str(path), b"new")
    assert path.read_bytes() == b""
    assert os.listdir(tmp_path) == ["report"]
