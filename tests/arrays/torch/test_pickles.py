"""Pickle streams looked at: every opcode gives what it stands for, nothing is imported, nothing blows up."""

from __future__ import annotations

import collections
import gc
import io
import os
import pickle
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from convtool.arrays.torch import pickles
from convtool.arrays.torch.pickle_values import Blob, Call, Pairs, Persistent
from convtool.errors import InputError

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
PLAIN_VALUES = [
    None,
    True,
    False,
    *(0, 1, -1, 255, 256, 65535, 65536, 2**31 - 1, -(2**31), 2**31, 2**63, -(2**100), 2**900),
    *(0.0, -1.5, 1e300, float("inf")),
    *("", "conv.weight", "caf\xe9", "\u20ac\n\\", "\U0001f600", "x" * 300),
    *(b"", b"ab\xff", bytes(100)),
    [],
    [1, [2.5, "a"], []],
    (),
    (1,),
    (1, 2),
    (1, 2, 3),
    (1, 2, 3, 4, ("a",)),
    {},
    {"a": 1, "b": {"c": [1, 2]}},
    {1: "a", None: "b"},
    collections.OrderedDict([("z", 1), ("a", 2)]),
    collections.Counter("abca"),
    [list(range(3000))],
]


def look(data: bytes, *, end: int | None = None) -> pickles.Unpickled:
    return pickles.load(io.BytesIO(data), end=len(data) if end is None else end)


def thawed(value: Any) -> Any:
    """The value that an inert one stands for, where it stands for one of Python's own."""
    if isinstance(value, Pairs):
        return {thawed(key): thawed(item) for key, item in value}
    if isinstance(value, list):
        return [thawed(item) for item in value]
    if isinstance(value, tuple):
        return tuple(thawed(item) for item in value)
    if isinstance(value, Call):
        assert not value.parts
        arguments = thawed(value.arguments)
        return {"_codecs.encode": lambda text, code: text.encode(code), "__builtin__.bytes": bytes}[
            value.function.name
        ](*arguments)
    return value


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("value", PLAIN_VALUES, ids=lambda value: repr(value)[:30])
def test_plain_values_are_themselves(value: Any, protocol: int) -> None:
    found = look(pickle.dumps(value, protocol))
    assert thawed(found.value) == value
    assert set(found.names) <= {"_codecs.encode", "__builtin__.bytes"}
    assert found.persistent == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", [set, frozenset])
def test_sets_are_lists(kind: Any, protocol: int) -> None:
    found = look(pickle.dumps(kind(["a", "b", "c"]), protocol))
    assert type(found.value) is list
    assert sorted(found.value) == ["a", "b", "c"]
    assert found.names == {}


def test_bytes_that_can_be_changed() -> None:
    assert look(pickle.dumps(bytearray(b"abc"), 5)).value == b"abc"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_shared_stays_one_and_what_holds_itself_too(protocol: int) -> None:
    inner = ["a"]
    shared = look(pickle.dumps([inner, inner], protocol)).value
    assert shared[0] is shared[1]
    inner.append(inner)  # type: ignore[arg-type]
    found = look(pickle.dumps(inner, protocol)).value
    assert found[1] is found


def test_defaults_of_a_dict_are_left_out() -> None:
    found = look(pickle.dumps(collections.defaultdict(list, a=[1])))
    assert isinstance(found.value, Pairs)
    assert found.value == [("a", [1])]


def test_a_dict_made_from_pairs_as_python_2_wrote_it() -> None:
    found = look(b"ccollections\nOrderedDict\n(((X\1\0\0\0aK\1l(X\1\0\0\0bK\2lltR.")
    assert isinstance(found.value, Pairs)
    assert found.value == [("a", 1), ("b", 2)]


@pytest.mark.parametrize(
    ("stream", "value"),
    [
        (b"I01\n.", True),
        (b"I00\n.", False),
        (b"I-12\n.", -12),
        (b"L123456789012345678901L\n.", 123456789012345678901),
        (b"F1.5\n.", 1.5),
        (b"S'weight'\n.", "weight"),
        (b"U\3abc.", "abc"),
        (b"T\3\0\0\0ab\xe9.", "ab\xe9"),
        (b"V\\u20ac\xe9\n.", "\u20ac\xe9"),
        (b"(I1\nI2\nl.", [1, 2]),
        (b"(I1\nI2\nd.", [(1, 2)]),
        (b"K\1K\2K\x030\x86.", (1, 2)),
        (b"K\1(K\2K\3\x31.", 1),
        (b"K\1(0.", 1),
        (b"K\x072\x86.", (7, 7)),
        (b"]p7\n0K\1g7\n\x86.", (1, [])),
        (b"K\1r\0\1\0\0K\x020j\0\1\0\0\x86.", (1, 1)),
        (b"\x8b\2\0\0\0\xff\xff.", -1),
        (b"\x8d\2\0\0\0\0\0\0\0ab.", "ab"),
        (b"\x8e\2\0\0\0\0\0\0\0ab.", b"ab"),
    ],
)
def test_opcodes_of_other_writers(stream: bytes, value: Any) -> None:
    found = look(stream).value
    assert found == value
    assert type(found) in (type(value), Pairs)


# Objects


class Point:
    def __init__(self) -> None:
        self.x = 3


class Slotted:
    __slots__ = ("x",)

    def __init__(self) -> None:
        self.x = 3


class Named:
    def __getnewargs_ex__(self) -> tuple[tuple[int, ...], dict[str, int]]:
        return (1,), {"b": 2}


class Row(list[int]):
    pass


class Table(dict[str, int]):
    pass


def only_call(value: Any, *, protocol: int = 4, named: str = "") -> Call:
    found = look(pickle.dumps(value, protocol))
    assert isinstance(found.value, Call)
    assert found.names[f"{__name__}.{named or type(value).__name__}"]
    return found.value


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_an_object_is_the_call_of_its_class_and_its_state(protocol: int) -> None:
    call = only_call(Point(), protocol=protocol)
    assert call.function.name == f"{__name__}.Point"
    assert call.arguments == ()
    assert call.parts == [[("x", 3)]]
    assert type(call.parts[0]) is Pairs
    assert only_call(Slotted(), protocol=protocol).parts == [(None, [("x", 3)])]


def test_arguments_with_names() -> None:
    assert only_call(Named()).arguments == ((1,), [("b", 2)])


def test_items_of_lists_and_dicts_of_a_class() -> None:
    assert only_call(Row([1, 2])).parts == [[1, 2]]
    assert only_call(Table(a=1, b=2)).parts == [[("a", 1), ("b", 2)]]
    assert only_call(Table(a=1)).parts == [[("a", 1)]]
    assert only_call(Row([1])).parts == [[1]]


def test_the_state_of_a_dict_is_left_out() -> None:
    value: Any = collections.OrderedDict(a=1)
    value._metadata = {"version": 1}
    found = look(pickle.dumps(value))
    assert found.value == [("a", 1)]
    assert found.names == {}


def test_references_out_of_the_stream() -> None:
    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            return ("storage", str(0)) if obj == "data" else None

    file = io.BytesIO()
    Pickler(file, 2).dump(["data", "other", "data"])
    found = look(file.getvalue())
    assert [type(item) for item in found.value] == [Persistent, str, Persistent]
    assert found.value[0].identity == ("storage", "0")
    assert found.persistent == [("storage", "0")] * 2
    assert look(b"Pabc\n.").value.identity == "abc"
    assert look(b"K\1q\0Qh\0Q\x86.").persistent == [1], "one that several share is told once"


# Names


@pytest.mark.parametrize(
    ("stream", "names"),
    [
        (b"cos\nsystem\n.", {"os.system": False}),
        (b"cos\nsystem\n)R.", {"os.system": True}),
        (b"cos\nsystem\n(X\1\0\0\0atR.", {"os.system": True}),
        (b"X\2\0\0\0osX\6\0\0\0system\x93)R.", {"os.system": True}),
        (b"(S'a'\nios\nsystem\n.", {"os.system": True}),
        (b"(cos\nsystem\nS'a'\no.", {"os.system": True}),
        (b"cos\nsystem\n)\x81.", {"os.system": True}),
        (b"cos\nsystem\n)}\x92.", {"os.system": True}),
        (b"cos\nenviron\nX\1\0\0\0aK\1s.", {"os.environ": True}),
        (b"csys\npath\nK\1a.", {"sys.path": True}),
        (b"csys\nflags\n}b.", {"sys.flags": True}),
        (b"(cm\nC\nK\1tQ)\x81.", {"m.C": True}),
        (b"K\1Q)R.", {}),
        (
            b"cbuiltins\ngetattr\n(cos\nsystem\nX\1\0\0\0atRX\1\0\0\0b\x85R.",
            {"builtins.getattr": True, "os.system": False},
        ),
        (
            b"\x82\5\x830\0\x840000.",
            {"copyreg.extension.5": False, "copyreg.extension.48": False, "copyreg.extension.808464432": False},
        ),
        (b"cbuiltins\nset\n.", {}),
        (b"caf\xc3\xa9\nx\n.", {"af\xe9.x": False}),
    ],
)
def test_names_are_told_and_whether_they_would_be_called(stream: bytes, names: dict[str, bool]) -> None:
    assert look(stream).names == names


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_is_imported_and_nothing_called(tmp_path: Path, protocol: int, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "left_alone.py").write_text("raise AssertionError('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)

    class Hostile:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "made"),)

    found = look(pickle.dumps([Hostile()], protocol))
    assert found.names == {"posix.mkdir": True}
    assert look(b"cleft_alone\nrun\n)R.").names == {"left_alone.run": True}
    assert "left_alone" not in sys.modules
    assert os.listdir(tmp_path) == ["left_alone.py"]


# Damage and hostility


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_any_cut_is_told(protocol: int) -> None:
    data = pickle.dumps([{"a": (1, 2.5, 2**70)}, "text", b"bytes", Point(), "x" * 300], protocol)
    for size in range(len(data)):
        with pytest.raises(InputError, match=r"^the pickle stream is (damaged|truncated)"):
            look(data[:size])
        with pytest.raises(InputError, match=r"^the pickle stream is (damaged|truncated)"):
            look(data, end=size)


@pytest.mark.parametrize(
    "stream",
    [
        b".",
        b"\xff.",
        b"R.",
        b"K\1a.",
        b"K\1R.",
        b"t.",
        b"1.",
        b"0.",
        b"h\0.",
        b"q\0.",
        b"K\1\x86.",
        b"]K\1K\2s.",
        b"}K\1a.",
        b"}(K\1u.",
        b"(K\1d.",
        b"K\1K\2\x93.",
        b"(o.",
        b"Iabc\n.",
        b"I" + b"9" * 700 + b"\n.",
        b"Fabc\n.",
        b"c\xff\nx\n.",
        b"cabc",
        b"ca\n",
        b"X\1\0\0\0\xff.",
        b"\x97.",
        b"ccollections\nOrderedDict\nNR.",
        b"ccollections\nOrderedDict\n](K\1K\2e\x85R.",
        b"2.",
    ],
)
def test_damaged_streams(stream: bytes) -> None:
    with pytest.raises(InputError, match=r"^the pickle stream is damaged at byte \d+$"):
        look(stream)


@pytest.mark.parametrize(
    "stream",
    [
        b"X\xff\xff\xff\xff.",
        b"\x8d" + b"\xff" * 8 + b".",
        b"\x8e" + b"\xff" * 8 + b".",
        b"\x96\0\0\0\0\0\0\0\x10.",
        b"\x8b\xff\xff\xff\xff.",
        b"\x8aa.",
        b"\x95\0",
        b"G\0",
        b"",
    ],
)
def test_lengths_beyond_the_end(stream: bytes) -> None:
    with pytest.raises(InputError, match=r"^the pickle stream is truncated: byte \d+ asks for \d+ more"):
        look(stream)


def test_a_file_that_is_shorter_than_it_was(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the pickle stream is truncated"):
        look(b"G\0\0", end=100)


def test_long_text_and_bytes_stay_in_the_file() -> None:
    for data in (b"y" * 70000, "y" * 70000):
        stream = pickle.dumps([data, 5], 4)
        blob, five = look(stream).value
        assert isinstance(blob, Blob)
        assert (blob.start, blob.size, five) == (stream.index(b"yy"), 70000, 5)
    assert isinstance(look(pickle.dumps(bytes(200), 4)).value, Blob)
    assert isinstance(look(pickle.dumps(2**3000, 2)).value, Blob)


def test_a_stream_ends_where_it_ends() -> None:
    file = io.BytesIO(b"before" + pickle.dumps(1, 2) + pickle.dumps(["x" * 70000], 4) + b"after")
    file.seek(6)
    assert pickles.load(file, end=80000).value == 1
    assert isinstance(pickles.load(file, end=80000).value[0], Blob)
    assert file.read() == b"after"


def test_depth_and_cycles_need_no_recursion() -> None:
    value = look(b"]" * 50_000 + b"a" * 49_999 + b".").value
    for _ in range(49_999):
        (value,) = value
    assert value == []
    assert type(look(b")" + b"\x85" * 50_000 + b".").value) is tuple
    assert type(look(b"(cm\nC\n" + b")R\x85" * 10 + b"1K\1.").value) is int


def test_too_many_opcodes() -> None:
    with pytest.raises(InputError, match=r"^the pickle stream has more than 10 opcodes, the limit$"):
        pickles.load(io.BytesIO(b"N0" * 10 + b"N."), end=22, opcodes=10)


@pytest.mark.parametrize(
    "stream",
    [
        b"(" + b"]" * 2000 + b"t.",
        b"(" * 2000 + b".",
        b"N" + b"\x94" * 2000 + b".",
        b"(" + b"".join(b"cm\nx%d\n" % index for index in range(2000)) + b"t.",
        b"(]\x94" + b"h\0" * 30000 + b"t.",
        b"cbuiltins\nlist\n\x940](NNNNe\x940" + b"h\0h\1\x85R0" * 2000 + b"N.",
        b"cm\nC\n)R" + b"}b" * 2000 + b".",
        b"]" + b"(NNNNNNNNe" * 2000 + b".",
        b"}" + b"NNs" * 2000 + b".",
        b"NQ" * 2000 + b".",
    ],
    ids=["lists", "marks", "memo", "names", "references", "calls", "states", "items", "pairs", "outside"],
)
def test_too_much_memory(stream: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "_ROOM", 100_000)
    with pytest.raises(InputError, match=r"^the pickle stream builds more than 100000 bytes beside its tensors"):
        look(stream)


@settings(deadline=None)
@given(st.binary(max_size=60))
@example(b"(NNNu.")
def test_no_bytes_lead_to_another_error(data: bytes) -> None:
    with suppress(InputError):
        look(data)


@settings(deadline=None)
@given(st.data(), st.sampled_from(PROTOCOLS))
def test_no_change_of_a_stream_leads_to_another_error(data: Any, protocol: int) -> None:
    stream = bytearray(pickle.dumps([{"a": (1, 2.5)}, Point(), {3}, "text"], protocol))
    for at in data.draw(st.lists(st.integers(0, len(stream) - 1), max_size=4)):
        stream[at] = data.draw(st.integers(0, 255))
    with suppress(InputError):
        look(bytes(stream))


@pytest.mark.parametrize("on", [True, False])
@pytest.mark.parametrize("data", [b"N.", b"N"])
def test_the_search_for_garbage_is_left_as_it_was(data: bytes, on: bool) -> None:
    (gc.enable if on else gc.disable)()
    try:
        with suppress(InputError):
            look(data)
        assert gc.isenabled() is on
    finally:
        gc.enable()
