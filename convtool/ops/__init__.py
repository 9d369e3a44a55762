"""The mathematics: plain functions on tensors, and their block-wise cores.

Torch is imported on first use, as some modules work without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convtool.ops.public import *  # noqa: F403
    from convtool.ops.public import __all__ as __all__
else:

    def __getattr__(name: str) -> object:
        from importlib import import_module

        public = import_module("convtool.ops.public")
        if name == "__all__" or name in public.__all__:
            return getattr(public, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        from importlib import import_module

        return import_module("convtool.ops.public").__all__
