"""A file as C libraries see it: what fails is kept."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import pytest

from convtool.errors import InputError
from convtool.files.watched import WatchedFile


@pytest.fixture
def descriptor(tmp_path: Path) -> int:
    (tmp_path / "a").write_bytes(bytes(range(100)))
    return os.open(tmp_path / "a", os.O_RDWR)


def test_the_whole_file_and_a_part_of_it(descriptor: int) -> None:
    whole, part = WatchedFile(descriptor), WatchedFile(descriptor, 10, 20)
    assert (whole.read(3), whole.tell(), whole.seek(-1, io.SEEK_END), whole.read(9)) == (b"\0\1\2", 3, 99, b"\x63")
    assert (part.read(3), part.tell(), part.seek(0, io.SEEK_END), part.read(9)) == (b"\x0a\x0b\x0c", 3, 10, b"")
    assert (part.seek(8), part.read(9), part.seek(-4, io.SEEK_CUR), part.seek(-50)) == (8, b"\x12\x13", 6, 0)
    assert (whole.seek(50), whole.write(b"abc"), whole.seek(50), whole.read(4)) == (50, 3, 50, b"abc\x35")
    whole.check_reads()
    whole.check_writes()


def test_failures_are_kept(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    file = WatchedFile(descriptor)
    monkeypatch.setattr("os.preadv", fail)
    assert file.read(5) == b""
    with pytest.raises(InputError, match=r"^can't be read: Input/output error$"):
        file.check_reads()
    file = WatchedFile(descriptor)
    monkeypatch.setattr("os.pwrite", fail)
    assert file.write(b"abc") == 0
    with pytest.raises(OSError, match="Input/output error"):
        file.check_writes()
    file = WatchedFile(descriptor)
    with monkeypatch.context() as patch:
        patch.setattr("os.fstat", fail)
        assert file.seek(0, io.SEEK_END) == 0
    assert file.error is not None
