"""Weight files: named tensors, read without running anything that the file contains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convtool.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def read_tensor(path: str, name: str) -> NDArray[np.float64]:
    """The tensor `name` of the weight file at `path`, in float64.

    Args:
        path: a ``.safetensors``, ``.npz``, or ``.pt`` / ``.pth`` file; the content decides.
        name: the tensor's name as the file spells it.

    Raises:
        InputError: the file can't be read, is of another kind or damaged, or has no such tensor.
    """
    import numpy as np

    tensors = _read_names(path)
    if name not in tensors:
        raise InputError(f"there is no tensor {name!r} in it; there is {_some(list(tensors))}")
    values = tensors[name]()
    if values.dtype.kind not in "fiu" or values.ndim == 0 or values.size == 0:
        raise InputError(f"tensor {name!r} is {values.dtype} of shape {values.shape}; expected taps, real numbers")
    return np.asarray(values, dtype=np.float64)


def _read_names(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            head = file.read(9)
    except OSError as error:
        raise InputError(f"can't be read: {error.strerror}") from error
    if head.startswith(b"PK"):
        from convtool.weights import archive

        return archive.tensors(path)
    if len(head) == 9 and head[8:] == b"{":
        from convtool.weights import safetensors

        return safetensors.tensors(path)
    raise InputError("the content is no weight file; expected .safetensors, .npz or .pt")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return (", ".join(map(repr, names[:8])) or "none") + more
