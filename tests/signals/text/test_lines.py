"""Complete lines, whatever ends them, and what is no text."""

from __future__ import annotations

import io
import os

import pytest

from convtool.errors import InputError
from convtool.files.source import Source
from convtool.signals.text.lines import Lines


def lines_of(data: bytes, chunk: int, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    monkeypatch.setattr("convtool.signals.text.lines.CHUNK", chunk)
    lines = Lines(Source(io.BytesIO(data), seekable=True))
    pieces = []
    while not lines.ended:
        pieces.append(lines.next())
    return pieces


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 100])
@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"a\nbc\n", b"a\nbc\n"),
        (b"a\r\nbc\r\n", b"a\nbc\n"),
        (b"a\rbc\r", b"a\nbc\n"),
        (b"a\rb", b"a\nb\n"),
        (b"a\n\n\nb\n\n\n", b"a\n\n\nb\n"),
        (b"\n\n", b""),
        (b"", b""),
    ],
)
def test_every_end_is_a_newline_and_blank_ones_at_the_end_are_none(
    data: bytes, text: bytes, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = lines_of(data, chunk, monkeypatch)
    assert b"".join(pieces) == text
    assert all(piece.endswith(b"\n") for piece in pieces if piece)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"1\n2\xe9\n", "byte 0xe9 is not UTF-8 text; expected numbers; save it as UTF-8, if it is Latin-1 with iconv"),
        (b"1\n2\0\n", "the content is binary; expected numbers in text"),
        ("1,2\n3,4\n5,6\n7,8\n9,0\n".encode("utf-16-le"), "the content is UTF-16 text: save it as UTF-8"),
        ("1,2\n3,4\n5,6\n7,8\n9,0\n".encode("utf-16-be"), "the content is UTF-16 text: save it as UTF-8"),
    ],
)
def test_what_is_no_text_is_named(data: bytes, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        lines_of(data, 1000, monkeypatch)


def test_a_pipe_pauses_and_a_file_never_does() -> None:
    read, write = os.pipe()
    os.write(write, b"1\n2\n")
    with os.fdopen(read, "rb", buffering=0) as file, os.fdopen(write, "wb", buffering=0) as other:
        lines = Lines(Source(file, seekable=False))
        assert lines.next() == b"1\n2\n"
        assert lines.paused
        other.write(b"3")
        assert not lines.paused
    assert not Lines(Source(io.BytesIO(b"1"), seekable=True)).paused
    nowhere = Source(io.BytesIO(b"1"), seekable=False)
    assert nowhere.read() == b"1"
    assert not Lines(nowhere).paused
