"""What a job chooses, told before its end."""

from __future__ import annotations

from convtool.runs.announcing import announced, announced_to, is_announced


def test_it_is_told_behind_the_first_block() -> None:
    told: list[str] = []
    with announced_to(told.append):
        assert is_announced()
        blocks = announced(iter([1, 2]), lambda: f"chosen {len(told)}")
    assert not is_announced()
    assert next(blocks) == 1
    assert told == []
    assert next(blocks) == 2
    assert told == ["chosen 0"]
    assert list(blocks) == []
    assert told == ["chosen 0"]


def test_who_is_told_goes_on_being_so_within() -> None:
    told: list[str] = []
    with announced_to(told.append):
        with announced_to(None):
            assert list(announced(iter([1]), lambda: "chosen")) == [1]
        assert is_announced()
    assert told == ["chosen"]


def test_with_nobody_to_tell_blocks_pass() -> None:
    blocks = iter([1])
    assert announced(blocks, lambda: "chosen") is blocks
