"""Where, and with which numbers, a model runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(frozen=True)
class Place:
    """A dtype and a device."""

    dtype: str
    device: str = "cpu"

    def tensor(self, values: NDArray[Any]) -> Tensor:
        """A copy of `values` there."""
        import torch

        return torch.from_numpy(np.array(values, self.dtype)).to(self.device)
