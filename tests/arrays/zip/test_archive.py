"""Zip archives: their directory and their members, whole, in pieces, damaged and lying."""

from __future__ import annotations

import errno
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from convtool.arrays.zip import archive as zips
from convtool.arrays.zip.archive import Archive, Member
from convtool.errors import InputError

DATA = bytes(range(256)) * 20
METHODS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "a.zip")


def write(path: str, *members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)


def craft(path: str, *members: dict[str, Any]) -> None:
    """An archive of members that say of themselves what is asked for, whether it is so or not."""
    body, directory = b"", b""
    for member in members:
        packed: bytes = member.get("packed", DATA)
        name: bytes = member.get("name", b"m")
        method, flags = member.get("method", 0), member.get("flags", 0)
        crc, size = member.get("crc", zlib.crc32(DATA)), member.get("size", len(DATA))
        declared = member.get("declared", len(packed))
        offset = member.get("offset", len(body))
        signature = member.get("signature", b"PK\3\4")
        fields = (20, flags, method, 0, 0, crc, declared, size, len(name))
        body += struct.pack("<4s5H3I2H", signature, *fields, 0) + name + packed
        directory += struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, *fields, 0, 0, 0, 0, 0, offset) + name
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, len(members), len(members), len(directory), len(body), 0)
    Path(path).write_bytes(body + directory + end)


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def only(archive: Archive) -> Member:
    (member,) = archive.members
    return member


def refusal(
    path: str, use: Callable[[Archive], object] = lambda archive: archive.read(only(archive), limit=1 << 20)
) -> str:
    with pytest.raises(InputError) as caught, Archive(path) as archive:
        use(archive)
    return str(caught.value)


@pytest.mark.parametrize("method", METHODS)
def test_members(path: str, method: int) -> None:
    write(path, ("b/", b""), ("b/ä", DATA), ("empty", b""), ("a", b"1"), method=method)
    with Archive(path) as archive:
        assert [(member.name, member.size) for member in archive.members] == [
            ("b/ä", len(DATA)),
            ("empty", 0),
            ("a", 1),
        ]
        assert [archive.read(member, limit=len(DATA)) for member in archive.members] == [DATA, b"", b"1"]
        assert archive.notes == []
        assert archive.find("a") == archive.members[2]
        assert archive.find("b/") is None


def test_no_members(path: str) -> None:
    write(path)
    with Archive(path) as archive:
        assert archive.members == ()


def test_of_several_members_of_one_name_the_last_counts(path: str) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        write(path, ("a", b"old"), ("b", b"b"), ("a", b"new"))
    with Archive(path) as archive:
        assert archive.notes == ["several members of one name, of which the last counts: 'a'"]
        assert {member.name: archive.read(member, limit=9) for member in archive.members} == {"a": b"new", "b": b"b"}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("piece", [1, 7, 4096, len(DATA) - 1, len(DATA), 10**9])
def test_pieces_of_any_size(path: str, method: int, piece: int) -> None:
    write(path, ("m", DATA), method=method)
    with Archive(path) as archive:
        stream = archive.open(only(archive))
        pieces = [stream.read(piece) for _ in range(-(-len(DATA) // piece))]
        assert {len(each) for each in pieces[:-1]} <= {piece}
        assert b"".join(pieces) == DATA
        assert stream.read(piece) == b""


@pytest.mark.parametrize("method", METHODS)
def test_what_is_skipped_is_left_out(path: str, method: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "PIECE_BYTES", 100)
    write(path, ("m", DATA), method=method)
    with Archive(path) as archive:
        stream = archive.open(only(archive))
        stream.skip(0)
        assert stream.read(3) == DATA[:3]
        stream.skip(250)
        assert stream.read(300) == DATA[253:553]
        stream.skip(1 << 62)
        assert stream.read(1) == b""


def test_a_deflated_member_that_begins_with_nothing(path: str) -> None:
    craft(path, {"method": 8, "packed": b"\0\0\0\xff\xff" * 15_000 + deflated(DATA)})
    with Archive(path) as archive:
        assert archive.read(only(archive), limit=len(DATA)) == DATA


def test_threads_read_members_of_one_archive(path: str) -> None:
    contents = [bytes([index]) * 100_000 for index in range(20)]
    write(path, *((str(index), data) for index, data in enumerate(contents)), method=zipfile.ZIP_DEFLATED)
    with Archive(path) as archive, ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda member: archive.read(member, limit=100_000), archive.members)) == contents


@pytest.mark.parametrize(
    ("name", "outside"),
    [
        ("a", False),
        ("a/b..c", False),
        ("../a", True),
        ("a/../../b", True),
        ("/a", True),
        ("..\\a", True),
        ("\\a", True),
    ],
)
def test_names_that_lead_out(name: str, outside: bool) -> None:
    assert Member(name, 0, 0, deflated=False, crc=0, offset=0, flag="").outside == outside


# Refused


@pytest.mark.parametrize("data", [b"", b"PK\3\4", b"nothing", b"PK\5\6" + bytes(17), b"PK\5\6" + b"\xff" * 18])
def test_what_is_no_archive(path: str, data: bytes) -> None:
    Path(path).write_bytes(data)
    assert refusal(path) == "the zip archive is damaged: its directory can't be read"


def test_what_is_not_there(path: str) -> None:
    with pytest.raises(FileNotFoundError):
        Archive(path)


def test_every_cut_is_told(path: str) -> None:
    write(path, ("m", b"some"), ("n", b"more"))
    whole = Path(path).read_bytes()
    for size in range(len(whole)):
        Path(path).write_bytes(whole[:size])
        assert "damaged" in refusal(path)


@pytest.mark.parametrize("name", ["outer", "größe"])
def test_every_cut_is_told_where_an_archive_is_a_member(path: str, name: str) -> None:
    write(path, ("inner", b"some"))
    inner = Path(path).read_bytes()
    write(path, (name, b"more"), ("a.zip", inner), ("last", b"end"))
    whole, told = Path(path).read_bytes(), set()
    for size in range(len(whole)):
        Path(path).write_bytes(whole[:size])
        told.add(refusal(path))
    assert told == {
        "the zip archive is damaged: its directory can't be read",
        f"the zip archive is damaged: it begins with a member that its directory does not have, {name!r}; "
        "the directory is that of an archive within, and its own is cut off",
    }


def test_what_stands_before_an_archive_is_passed(path: str) -> None:
    write(path, ("m", DATA))
    whole = Path(path).read_bytes()
    for before in (b"#!/bin/sh\n", whole):
        Path(path).write_bytes(before + whole)
        with Archive(path) as archive:
            assert archive.read(only(archive), limit=len(DATA)) == DATA


def test_no_more_is_read_than_asked_for(path: str) -> None:
    write(path, ("m", DATA), method=zipfile.ZIP_DEFLATED)
    told = refusal(path, lambda archive: archive.read(only(archive), limit=len(DATA) - 1))
    assert told == f"member 'm' unpacks to {len(DATA)} bytes; the limit is {len(DATA) - 1}"


@pytest.mark.parametrize(
    ("member", "told"),
    [
        ({"crc": 1}, "member 'm' is damaged: its checksum (CRC) does not match"),
        ({"crc": 1, "size": 0, "packed": b""}, "member 'm' is damaged: its checksum (CRC) does not match"),
        ({"method": 8, "packed": b"\xff" * 500}, "member 'm' is damaged: it can't be unpacked"),
        ({"method": 8, "packed": deflated(DATA)[:-9]}, "member 'm' is truncated: "),
        ({"method": 8, "packed": deflated(DATA), "size": 9000}, "member 'm' is truncated: 3880 bytes are missing"),
        ({"method": 8, "packed": deflated(b"more" + DATA)}, "member 'm' is damaged: its checksum (CRC) does not match"),
        ({"method": 8, "packed": deflated(DATA[:9]) + DATA}, "member 'm' is truncated: 5111 bytes are missing"),
        ({"signature": b"PK\0\0"}, "member 'm' has no header where the directory says"),
        ({"flags": 1}, "member 'm' is encrypted"),
        ({"method": 12}, "member 'm' is packed by method 12; expected stored (0) or deflated (8)"),
        ({"declared": 10**6, "size": 10**6}, "member 'm' declares 1000000 bytes from 0 on; the file has "),
        ({"offset": 10**6}, "member 'm' declares 5120 bytes from 1000000 on; the file has "),
        ({"size": 5121}, "member 'm' declares 5121 bytes, which its 5120 packed ones can't give"),
        (
            {"method": 8, "size": 5120 * 1033},
            "member 'm' declares 5288960 bytes, which its 5120 packed ones can't give",
        ),
    ],
)
def test_members_that_are_damaged_or_lie(path: str, member: dict[str, Any], told: str) -> None:
    craft(path, member)
    assert refusal(path, lambda archive: archive.read(only(archive), limit=1 << 30)).startswith(told)


@pytest.mark.parametrize("method", METHODS)
def test_any_damaged_byte_is_told_or_harmless(path: str, method: int) -> None:
    write(path, ("m", DATA[:300]), ("n", bytes(300)), method=method)
    whole = Path(path).read_bytes()
    for at in range(len(whole)):
        Path(path).write_bytes(whole[:at] + bytes([whole[at] ^ 0x5A]) + whole[at + 1 :])
        with suppress(InputError), Archive(path) as archive:
            for member in archive.members:
                assert archive.read(member, limit=1 << 20) in (DATA[:300], bytes(300), b"")


def test_a_checksum_that_the_writer_left_out(path: str) -> None:
    craft(path, {"crc": 0})
    with Archive(path) as archive:
        assert archive.read(only(archive), limit=len(DATA)) == DATA


def test_members_that_overlap(path: str) -> None:
    craft(path, {"name": b"a"}, {"name": b"b", "offset": 40})
    assert refusal(path) == "members 'a' and 'b' of the zip archive overlap"


def test_a_file_that_shrinks_while_it_is_read(path: str) -> None:
    write(path, ("m", DATA))
    with Archive(path) as archive:
        stream = archive.open(only(archive))
        assert stream.read(100) == DATA[:100]
        os.truncate(path, 1000)
        with pytest.raises(InputError, match=r"^member 'm' is truncated: \d+ bytes are missing$"):
            stream.read(len(DATA))


def test_what_the_system_refuses_to_read(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    write(path, ("m", DATA))
    monkeypatch.setattr(os, "pread", fail)
    assert refusal(path) == "member 'm' can't be read: Input/output error"


def test_too_many_members(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "MEMBERS_LIMIT", 2)
    write(path, ("a", b""), ("b", b""))
    with Archive(path) as archive:
        assert len(archive.members) == 2
    write(path, ("a", b""), ("b", b""), ("c", b""))
    assert refusal(path) == "the zip archive has 3 members; the limit is 2"


def test_a_directory_that_is_too_long_is_not_read(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "_DIRECTORY_LIMIT", 100)
    write(path, ("a" * 55, b""))
    assert refusal(path) == "the zip directory declares 101 bytes; the limit is 100"


def test_members_that_unpack_to_far_more_than_they_take(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "VALUES_LIMIT", 1_500_000)
    packed = {"method": 8, "packed": deflated(bytes(10**6)), "crc": zlib.crc32(bytes(10**6)), "size": 10**6}
    craft(path, packed)
    with Archive(path) as archive:
        assert archive.read(only(archive), limit=10**6) == bytes(10**6)
    craft(path, packed, {**packed, "name": b"n"}, {"name": b"plain"})
    with Archive(path) as archive:
        told = "unpacks, with others packed over 100 times, to 2000000 bytes; the limit is 1500000"
        assert [member.flag for member in archive.members] == [told, told, ""]
        with pytest.raises(InputError, match=f"^member 'n' {told}$"):
            archive.open(archive.members[1])


def test_a_member_without_a_name(path: str) -> None:
    craft(path, {"name": b""})
    with Archive(path) as archive:
        assert [member.name for member in archive.members] == [""]


def test_an_archive_within_a_file(path: str) -> None:
    write(path, ("a", DATA))
    inner = Path(path).read_bytes()
    write(path, ("b", DATA[::-1]))
    Path(path).write_bytes(inner + Path(path).read_bytes() + inner[:40])
    with Archive(path, (len(inner), len(inner))) as archive:
        assert [member.name for member in archive.members] == ["b"]
        assert archive.read(archive.members[0], limit=len(DATA)) == DATA[::-1]
    for stretch in ((0, 10), (len(inner), 30), (3, len(inner))):
        with suppress(InputError), Archive(path, stretch) as archive:
            assert archive.members[0].flag or archive.members[0].offset >= stretch[0]
