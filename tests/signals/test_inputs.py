"""What the words on the command line stand for: files, folders, patterns, lists, numbers in place."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from convtool.errors import InputError, UsageError
from convtool.signals.inputs import Input, Selection, expand, looks_like_numbers, read_list


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(*paths: str | bytes, content: bytes = b"1\n") -> None:
    for path in map(os.fsencode, paths):
        os.makedirs(os.path.dirname(path) or b".", exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)


def found(*words: str) -> list[tuple[str, str]]:
    """Kind and value of what `words` stand for."""
    return [(item.kind, item.value) for item in expand(words)[0]]


def files(*words: str) -> list[str]:
    return [item.value for item in expand(words)[0]]


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("-", "stdin"),
        ("4,1,2,5", "numbers"),
        ("-4,1", "numbers"),
        ("+.5e3", "numbers"),
        ("1;2;3", "numbers"),
        (" 1 2", "numbers"),
        ("NaN,1", "numbers"),
        ("-inf", "numbers"),
        ("1_000", "numbers"),
        ("0x10", "numbers"),
        ("4,1,x", "numbers"),
        ("1,2,a.wav", "nothing"),
        ("a.wav,b", "file"),
        ("2nd.csv", "file"),
        ("1.wav", "file"),
        ("1/2", "file"),
        ("1\\2", "file"),
        ("nancy", "file"),
        ("[1,2]", "file"),
        ("missing.wav", "file"),
        ("missing*.wav", "file"),
        ("", "file"),
    ],
)
def test_a_word_by_its_look(word: str, kind: str) -> None:
    assert found(word) == [(kind, word)]
    assert looks_like_numbers(word) == (kind == "numbers")


@pytest.mark.parametrize("name", ["4,1,2,5", "5", "[1]", "*", "nan"])
def test_a_file_of_that_name_wins(name: str) -> None:
    make(name, "1")
    assert found(name) == [("file", name)]


def test_a_dangling_link_is_a_file() -> None:
    Path("5").symlink_to("nowhere")
    assert found("5") == [("file", "5")]


def test_the_order_is_that_of_the_words_then_that_of_the_list() -> None:
    make("b.wav", "a.wav")
    inputs, _ = expand(["b.wav", "1,2", "-", "a.wav"], ["x/-", "d/missing"])
    assert inputs == [
        Input("file", "b.wav", "b.wav"),
        Input("numbers", "1,2", "numbers"),
        Input("stdin", "-", "stdin"),
        Input("file", "a.wav", "a.wav"),
        Input("file", "x/-", "-"),
        Input("file", "d/missing", "missing"),
    ]


def test_nothing_is_standard_input() -> None:
    assert expand([]) == ([Input("stdin", "-", "stdin")], [])
    assert expand([], ["a"])[0] == [Input("file", "a", "a")]


def test_standard_input_can_be_read_once() -> None:
    with pytest.raises(UsageError, match=r"^standard input \('-'\) is named twice; it can be read once$"):
        expand(["-", "a", "-"])


@pytest.mark.parametrize(
    ("item", "name"),
    [
        (Input("stdin", "-", "stdin"), "standard input"),
        (Input("numbers", "1,\x1b", "numbers"), r"'1,\x1b'"),
        (Input("file", "d/caf\udce9", "caf\udce9"), r"d/caf\xe9"),
    ],
)
def test_what_a_message_calls_it(item: Input, name: str) -> None:
    assert item.name == name


# Folders


def test_a_folder_is_walked_in_bytewise_order() -> None:
    make("in/b.wav", "in/B.wav", "in/a/z.flac", "in/a.wav", "in/a-b/c.npy", b"in/\xe9.wav", "in/é.wav", "in/a/b/c.mp3")
    inputs, passed = expand(["in/"])
    names = ["B.wav", "a-b/c.npy", "a.wav", "a/b/c.mp3", "a/z.flac", "b.wav", "é.wav", "\udce9.wav"]
    assert [item.relative for item in inputs] == names
    assert [item.value for item in inputs] == ["in/" + name for name in names]
    assert passed == []


def test_hidden_files_and_folders_are_left_out_unless_they_are_named() -> None:
    make("in/a.wav", "in/.b.wav", "in/.hidden/c.wav")
    assert files("in") == ["in/a.wav"]
    assert files("in/.hidden", "in/.b.wav") == ["in/.hidden/c.wav", "in/.b.wav"]


@pytest.mark.parametrize(
    ("content", "taken"),
    [
        (b"RIFF\0\0\0\0WAVE", True),
        (b"\x93NUMPY\1\0", True),
        (b"1,2\n", False),
        (b"\0\1\2", False),
        (b"PK\3\4", False),
        (b"", False),
    ],
)
def test_a_file_without_a_known_extension_is_taken_if_its_bytes_are_a_signal(content: bytes, taken: bool) -> None:
    make("in/notes.md", content=content)
    inputs, passed = expand(["in"])
    assert [item.value for item in inputs] == ["in/notes.md"] * taken
    assert passed == ["in/notes.md"] * (not taken)


def test_links_and_pipes_in_a_folder() -> None:
    make("a.wav", "other/b.wav", "in/c.wav")
    Path("in/link.wav").symlink_to("../a.wav")
    Path("in/dangling.wav").symlink_to("nowhere")
    Path("in/folder").symlink_to("../other")
    os.mkfifo("in/fifo.wav")
    inputs, passed = expand(["in"])
    assert [item.value for item in inputs] == ["in/c.wav", "in/dangling.wav", "in/link.wav"]
    assert passed == ["in/fifo.wav"]


def test_a_folder_one_may_not_look_into_is_an_input_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    make("in/a.wav", "in/closed/b.wav", "in/d.wav")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path == "in/closed":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    inputs, passed = expand(["in", "in/closed"])
    assert [(item.value, item.fault) for item in inputs] == [
        ("in/a.wav", ""),
        ("in/closed", "the folder can't be read: Permission denied"),
        ("in/d.wav", ""),
        ("in/closed", "the folder can't be read: Permission denied"),
    ]
    assert passed == []


def test_a_file_one_may_not_read_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    make("in/a")
    monkeypatch.setattr("builtins.open", refuse)
    assert expand(["in"]) == ([], ["in/a"])


def test_text_beside_audio_is_passed_over() -> None:
    make("in/a.wav", "in/a.txt", "in/levels/b.csv", "in/c.npy")
    assert expand(["in"]) == (
        [Input("file", "in/a.wav", "a.wav"), Input("file", "in/c.npy", "c.npy")],
        ["in/a.txt", "in/levels/b.csv"],
    )
    assert files("in/levels") == ["in/levels/b.csv"]
    assert files("in/a.txt") == ["in/a.txt"]


def test_audio_without_an_extension_counts_as_audio() -> None:
    make("in/a", content=b"RIFF\0\0\0\0WAVE")
    make("in/b.csv")
    assert expand(["in"])[1] == ["in/b.csv"]


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        (["*.wav"], [], ["a.wav", "b/c.wav", "b/d/e.wav"]),
        (["*.txt", "e.*"], [], ["a.txt", "b/d/e.wav", "b/t.txt"]),
        (["*"], [], ["a.txt", "a.wav", "b/c.wav", "b/d/e.wav", "b/t.txt", "notes.md"]),
        (["b"], [], ["b/c.wav", "b/d/e.wav", "b/t.txt"]),
        (["b/d/"], [], ["b/d/e.wav"]),
        (["b/*.wav"], [], ["b/c.wav", "b/d/e.wav"]),
        (["*.WAV"], [], []),
        ([], ["a.*"], ["b/c.wav", "b/d/e.wav"]),
        ([], ["d"], ["a.wav", "b/c.wav"]),
        ([], ["*.wav"], ["a.txt", "b/t.txt"]),
        (["*.wav"], ["b/d", "a*"], ["b/c.wav"]),
    ],
)
def test_patterns_pick_files_of_folders(include: list[str], exclude: list[str], expected: list[str]) -> None:
    make("in/a.wav", "in/a.txt", "in/b/c.wav", "in/b/d/e.wav", "in/b/t.txt", "in/notes.md")
    inputs, passed = expand(["in"], [], Selection(tuple(include), tuple(exclude)))
    assert [item.relative for item in inputs] == expected
    assert set(passed) <= {"in/a.txt", "in/b/t.txt", "in/notes.md"}


def test_what_is_named_itself_needs_no_pattern() -> None:
    make("a.wav", "b.csv")
    assert [item.value for item in expand(["a.wav", "b.csv"], ["c"], Selection(("*.npy",), ("*",)))[0]] == [
        "a.wav",
        "b.csv",
        "c",
    ]


def test_raw_numbers_in_a_folder() -> None:
    make("in/a.pcm", "in/link", content=bytes(8))
    make("in/notes.md")
    Path("in/lost.pcm").symlink_to("nowhere")
    assert expand(["in"])[1] == ["in/a.pcm", "in/link", "in/notes.md"]
    inputs, passed = expand(["in"], [], Selection(raw=True))
    assert [item.relative for item in inputs] == ["a.pcm", "link", "lost.pcm"]
    assert passed == ["in/notes.md"]


# Patterns


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.wav", ["B.wav", "a.wav", "\udce9.wav"]),
        ("[ab].wav", ["a.wav"]),
        ("?.csv", ["-.csv"]),
        ("d/*", ["d/c.wav", "d/e/f.wav"]),
        ("**/*.wav", ["B.wav", "a.wav", "d/c.wav", "d/e/f.wav", "\udce9.wav"]),
    ],
)
def test_patterns(pattern: str, expected: list[str]) -> None:
    make("a.wav", "B.wav", b"\xe9.wav", "-.csv", ".hidden.wav", "d/c.wav", "d/e/f.wav")
    assert files(pattern) == expected


@pytest.mark.parametrize(
    ("pattern", "relative"),
    [
        ("in/*/*.wav", ["x/a.wav", "y/a.wav"]),
        ("in/**/*.wav", ["top.wav", "x/a.wav", "x/deep/b.wav", "y/a.wav"]),
        ("in/**", ["top.wav", "x/a.wav", "x/deep/b.wav", "y/a.wav"]),
        ("in/x*/**", ["x/a.wav", "x/deep/b.wav"]),
        ("i*/x/**/**", ["in/x/a.wav", "in/x/deep/b.wav"]),
        ("in/?", ["x/a.wav", "x/deep/b.wav", "y/a.wav"]),
        ("in/**/", ["top.wav", "x/a.wav", "x/deep/b.wav", "y/a.wav"]),
        ("./in/x/*.wav", ["a.wav"]),
        ("in/*/../top.wav", ["top.wav"]),
        ("in/x/*/../../../in/top.wav", ["top.wav"]),
        ("{here}/*/top.wav", ["in/top.wav"]),
        ("/*{rest}/in/top.wav", ["{rest}/in/top.wav"]),
    ],
)
def test_the_folders_below_the_fixed_part_are_kept(pattern: str, relative: list[str], here: Path) -> None:
    make("in/top.wav", "in/x/a.wav", "in/x/deep/b.wav", "in/y/a.wav", "in/y/notes.txt")
    rest = str(here)[2:]
    inputs, _ = expand([pattern.replace("{here}", str(here)).replace("{rest}", rest)])
    assert [item.relative for item in inputs] == [name.replace("{rest}", str(here)[1:]) for name in relative]
    assert all(os.path.isfile(item.value) for item in inputs)


def test_everything_here() -> None:
    make("a.wav", "b/c.wav", "b/notes.txt")
    assert [item.relative for item in expand(["**"])[0]] == ["a.wav", "b/c.wav"]
    assert expand(["**"])[1] == ["./b/notes.txt"]


def test_a_file_called_minus_in_a_pattern_is_that_file() -> None:
    make("-")
    assert found("?") == [("file", "-")]


# Lists


@pytest.mark.parametrize(
    ("content", "null", "paths"),
    [
        (b"a\nb c\n", False, ["a", "b c"]),
        (b"a\r\n\r\n\nb", False, ["a", "b"]),
        (b" a \n-\n1,2\n", False, [" a ", "-", "1,2"]),
        (b"caf\xe9\n", False, ["caf\udce9"]),
        (b"", False, []),
        (b"a\nb\0c\r\0\0", True, ["a\nb", "c\r"]),
    ],
)
@pytest.mark.parametrize("source", ["list", "-"])
def test_lists(source: str, content: bytes, null: bool, paths: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    make("list", content=content)
    stdin = io.BytesIO(content)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stdin))
    assert read_list(source, null=null) == paths
    assert not stdin.closed


def test_a_line_that_no_path_can_be() -> None:
    inputs, _ = expand([], ["a.wav", "b\0c.wav", "a.npz::b\0c"])
    assert [(item.kind, item.value) for item in inputs] == [
        ("file", "a.wav"),
        ("nothing", "b\0c.wav"),
        ("nothing", "a.npz::b\0c"),
    ]
    assert all("-0" in item.fault for item in inputs[1:])


@pytest.mark.parametrize(
    ("content", "paths"),
    [
        ("utt1 a.wav\nutt2\tmissing.wav \n", ["a.wav", "missing.wav"]),
        ("utt1  my takes/b.wav\n", ["my takes/b.wav"]),
        ("utt1 x.npz::a\n", ["x.npz::a"]),
        ("my takes/b.wav\n", ["my takes/b.wav"]),
        ("utt1 a.wav\nmy takes/b.wav\n", ["utt1 a.wav", "my takes/b.wav"]),
        ("utt1 a.wav\na.wav\n", ["utt1 a.wav", "a.wav"]),
        ("utt1 gone.wav\n", ["utt1 gone.wav"]),
    ],
)
def test_lists_with_a_key_before_each_path(content: str, paths: list[str]) -> None:
    make("a.wav", "my takes/b.wav", "x.npz")
    make("list", content=content.encode())
    assert read_list("list", null=False) == paths


def test_a_list_called_scp_has_keys_though_no_path_leads_anywhere() -> None:
    make("list.scp", content=b"utt1 gone.wav\n")
    assert read_list("list.scp", null=False) == ["gone.wav"]


@pytest.mark.parametrize("line", ["utt1 touch ran; cat a.wav |", "touch ran|", "utt1\ttouch ran | "])
def test_a_command_in_a_list_is_refused_and_not_run(line: str) -> None:
    make("list", content=f"utt0 a.wav\n{line}\n".encode())
    name = line.split()[0]
    with pytest.raises(UsageError, match=rf"^--input-list list: {name} \(path 2\) is the output of a command, since"):
        read_list("list", null=False)
    assert not Path("ran").exists()


def test_a_file_whose_name_ends_in_a_bar_is_a_file() -> None:
    make("a|")
    make("list", content=b"a|\n")
    assert read_list("list", null=False) == ["a|"]
    assert read_list("list", null=True) == ["a|\n"]


def test_a_list_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"^--input-list a\\x1b: no such file$"):
        read_list("a\x1b", null=False)


def test_a_text_that_can_not_be_opened_is_no_prose(monkeypatch: pytest.MonkeyPatch) -> None:
    make("in/x.csv", "in/words.txt", content=b"words\n")
    assert found("in") == [("file", "in/x.csv")]

    def refuse(path: bytes, mode: str) -> None:
        raise PermissionError(path, mode)

    monkeypatch.setattr("builtins.open", refuse)
    assert found("in") == [("file", "in/words.txt"), ("file", "in/x.csv")]
