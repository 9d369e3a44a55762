"""What the tensors of a checkpoint are called: the keys that lead to them, without those that only wrap."""

from __future__ import annotations

from collections.abc import Sequence

_WRAPPERS = frozenset(["state_dict", "model_state_dict", "model", "module"])
_WRAPPED_DEEP = 4
_PARALLEL = "module."
"""What ``torch.nn.DataParallel`` puts before every name."""


def unwrap(paths: Sequence[tuple[str, ...]]) -> tuple[list[str], str]:
    """A name for each of `paths`, all different, and what has been left out before those that were wrapped.

    A key is left out where it is the only one that wraps and nothing beside it has a tensor of the same name: a model
    and its moving average stay apart, an optimiser's state keeps its own keys.

    >>> unwrap([("state_dict", "conv.weight"), ("optimizer", "state", "0", "step")])
    (['conv.weight', 'optimizer.state.0.step'], 'state_dict.')
    >>> unwrap([("model", "conv.weight"), ("ema", "conv.weight")])
    (['model.conv.weight', 'ema.conv.weight'], '')
    """
    prefix: tuple[str, ...] = ()
    for _ in range(_WRAPPED_DEEP):
        depth = len(prefix)
        inside = (path for path in paths if path[:depth] == prefix and len(path) > depth + 1)
        wrappers = {path[depth] for path in inside} & _WRAPPERS
        if len(wrappers) != 1 or not _stands_alone(paths, (*prefix, *wrappers)):
            break
        prefix = (*prefix, *wrappers)
    left_out = "".join(f"{key}." for key in prefix)
    full = [".".join(path) for path in paths]
    if full and all(name.startswith(left_out + _PARALLEL) for name in full if name.startswith(left_out)):
        left_out += _PARALLEL
    return _different(_plain(full, left_out)), left_out


def numbered(paths: Sequence[tuple[str, ...]], names: Sequence[str], left_out: str) -> list[str]:
    """Those of `names`, which `unwrap` made of `paths`, that have a number since others have the same keys.

    >>> paths = [("a", "b"), ("a.b",)]
    >>> numbered(paths, *unwrap(paths))
    ['a.b (2)']
    """
    plain = _plain([".".join(path) for path in paths], left_out)
    return [name for name, was in zip(names, plain, strict=True) if name != was]


def _plain(full: Sequence[str], left_out: str) -> list[str]:
    return [name.removeprefix(left_out) or "tensor" for name in full]


def _stands_alone(paths: Sequence[tuple[str, ...]], prefix: tuple[str, ...]) -> bool:
    """Whether no path beside those that begin with `prefix` ends as one of these goes on."""
    inside = {".".join(path[len(prefix) :]) for path in paths if path[: len(prefix)] == prefix}
    outside = (path for path in paths if path[: len(prefix)] != prefix)
    return not any(".".join(path[start:]) in inside for path in outside for start in range(len(path)))


def _different(names: list[str]) -> list[str]:
    times: dict[str, int] = {}
    taken = set(names)
    for index, name in enumerate(names):
        times[name] = times.get(name, 0) + 1
        while times[name] > 1 and names[index] in taken:
            names[index] = f"{name} ({times[name]})"
            times[name] += names[index] in taken
        taken.add(names[index])
    return names
