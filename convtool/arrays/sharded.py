"""Models in several files beside an index, which says in which file each tensor is: of safetensors and of torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from convtool.arrays.description import TensorInfo, WeightFile, by_reason, some
from convtool.errors import InputError
from convtool.files.json import read_json

if TYPE_CHECKING:
    from numpy.typing import NDArray


class ShardedReader(WeightFile):
    """The model of the index at `path`, in the index's order; its shards are opened with `open_shard`.

    A tensor that its shard lacks is listed with a flag, in shape ``(0,)``, and is damage as a shard is that is missing.

    Raises:
        InputError: the index can't be read, or maps something else than names of tensors to names of files.
        OSError: the index can't be opened.
    """

    def __init__(self, path: str, open_shard: Callable[[str], WeightFile]) -> None:
        index = read_json(path)
        weights, metadata = index.get("weight_map"), index.get("metadata")
        if not isinstance(weights, dict) or not all(isinstance(shard, str) for shard in weights.values()):
            raise InputError("the index has no 'weight_map' from names of tensors to names of files")
        self.metadata = {key: str(value) for key, value in metadata.items()} if isinstance(metadata, dict) else {}
        folder = os.path.dirname(path)
        self._shards = {shard: _shard(shard, folder, open_shard) for shard in dict.fromkeys(weights.values())}
        self._homes = weights
        files = [file for file in self._shards.values() if isinstance(file, WeightFile)]
        kinds = {file.format for file in files}
        self.format = kinds.pop() if len(kinds) == 1 else "torch" if ".bin." in path else "safetensors"
        self.threadsafe = all(file.threadsafe for file in files)
        self._there = {
            (tensor.name, shard): tensor
            for shard, file in self._shards.items()
            if isinstance(file, WeightFile)
            for tensor in file.tensors
        }
        self.damage = [
            f"shard {shard!r:.200}: {file}" for shard, file in self._shards.items() if isinstance(file, InputError)
        ]
        left = dict(self._there)
        self.tensors = tuple(left.pop(home) if home in left else self._missing(*home) for home in weights.items())
        self.damage += by_reason(tensor for tensor in self.tensors if self._lacks(tensor))
        self.notes = [f"not in the index, left out: {some(name for name, _ in left)}"] if left else []
        self.layout = "torch" if files and {file.layout for file in files} == {"torch"} else ""

    def _lacks(self, tensor: TensorInfo) -> bool:
        """Whether its shard is there, and not the tensor in it."""
        shard = self._homes[tensor.name]
        return isinstance(self._shards[shard], WeightFile) and (tensor.name, shard) not in self._there

    def _missing(self, name: str, shard: str) -> TensorInfo:
        file = self._shards[shard]
        reason = str(file) if isinstance(file, InputError) else "it has no such tensor"
        return TensorInfo(name, (0,), "unknown", 0, flag=f"shard {shard!r:.200}: {reason}", readable=False)

    def pieces(self, tensor: TensorInfo) -> Iterator[NDArray[Any]]:
        yield from self._home(tensor).pieces(tensor)

    def shares(self, tensor: TensorInfo) -> Iterator[Iterator[NDArray[Any]]]:
        yield from self._home(tensor).shares(tensor)

    def calls(self) -> list[str]:
        """Those of all shards."""
        files = (file for file in self._shards.values() if isinstance(file, WeightFile))
        return list(dict.fromkeys(name for file in files for name in file.calls()))

    def _home(self, tensor: TensorInfo) -> WeightFile:
        file = self._shards[self._homes[tensor.name]]
        if isinstance(file, InputError) or (tensor.name, self._homes[tensor.name]) not in self._there:
            raise InputError(f"tensor {tensor.name!r:.200}: {tensor.flag}")
        return file

    def close(self) -> None:
        """Close the shards."""
        for file in self._shards.values():
            if isinstance(file, WeightFile):
                file.close()


def _shard(name: str, folder: str, open_shard: Callable[[str], WeightFile]) -> WeightFile | InputError:
    """The file `name` in `folder`, or why there is none that can be read."""
    if os.path.basename(name) != name or name in ("", ".", ".."):
        return InputError("it lies outside of the index's folder; not read")
    try:
        return open_shard(os.path.join(folder, name))
    except InputError as error:
        return error
