"""safetensors: a length, a JSON header, then the values. https://github.com/huggingface/safetensors, "Format"."""

from __future__ import annotations

import json
from collections.abc import Mapping

from convtool.arrays.safetensors.dtypes import CODES
from convtool.arrays.writing import ArrayWriter, Texts


class SafetensorsWriter(ArrayWriter):
    """A ``.safetensors`` file; a text is an entry of its metadata, a list of them as JSON."""

    def _lay_out(self, texts: Mapping[str, Texts]) -> None:
        metadata = {
            name: text if isinstance(text, str) else json.dumps(list(text), ensure_ascii=False)
            for name, text in texts.items()
        }
        header: dict[str, object] = {"__metadata__": metadata} if metadata else {}
        end = 0
        # The widest numbers first, so that every array stands at a multiple of its item size.
        for array in sorted(self._arrays.values(), key=lambda array: -array.little_endian.itemsize):
            self._starts[array.name] = end
            end += array.nbytes
            header[array.name] = {
                "dtype": CODES[array.dtype],
                "shape": array.shape,
                "data_offsets": [self._starts[array.name], end],
            }
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
        text += b" " * (-len(text) % 8)
        head = len(text).to_bytes(8, "little") + text
        self._starts = {name: len(head) + start for name, start in self._starts.items()}
        self._fill(head, len(head) + end)
