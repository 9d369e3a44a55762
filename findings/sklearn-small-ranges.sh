#!/usr/bin/env bash
# scikit-learn's MinMaxScaler takes a float32 column whose range is below 1.2e-6 for a constant, however small its
# numbers are, and leaves it unscaled.
#
# scikit-learn 1.9.1 with numpy 2.4.6, on Linux.
# Expected: 1e-9, 2e-9, 3e-9 are scaled to 0, 0.5, 1: their range is twice their smallest number.
# Seen: in float32 they become 0, 1e-9, 2e-9, without a warning, and so do metres, farads or strains of that size in any
#   column whose range is below 10 times the dtype's epsilon, which is 1.2e-6 for float32; MaxAbsScaler leaves such a
#   column as it is. The limit doesn't look at the size of the numbers. RobustScaler compares with float64's epsilon, and
#   StandardScaler scales at every size. In float64 the limit is 2.2e-15.
# What to do: fit in float64, or multiply into larger units first; look at data_range_ after fitting.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check scikit-learn==1.9.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import warnings

import numpy
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

warnings.simplefilter("error")
SCALED = {
    MinMaxScaler: [0, 0.5, 1],
    MaxAbsScaler: [1 / 3, 2 / 3, 1],
    RobustScaler: [-1, 0, 1],
    StandardScaler: [-(1.5**0.5), 0, 1.5**0.5],
}
seen = {}
for dtype in ("float32", "float64"):
    for size in (1e-3, 1e-7, 1e-9, 1e-12, 1e-16):
        column = (numpy.array([[1], [2], [3]]) * size).astype(dtype)
        for scaler, scaled in SCALED.items():
            output = scaler().fit_transform(column).ravel()
            seen[scaler.__name__, dtype, size] = numpy.allclose(output, scaled, rtol=1e-5, atol=1e-6)
        print(dtype, column.ravel(), "by MinMaxScaler:", MinMaxScaler().fit_transform(column).ravel())
unscaled = {key for key, scaled in seen.items() if not scaled}
assert unscaled == {
    *((name, "float32", size) for name in ("MinMaxScaler", "MaxAbsScaler") for size in (1e-7, 1e-9, 1e-12, 1e-16)),
    *((name, "float64", 1e-16) for name in ("MinMaxScaler", "MaxAbsScaler", "RobustScaler")),
    ("RobustScaler", "float32", 1e-16),
}, unscaled
tiny = numpy.array([[1], [2], [3]], "float32") * numpy.float32(1e-9)
assert numpy.allclose(MinMaxScaler().fit_transform(tiny), tiny - tiny[0], rtol=1e-6, atol=0)
assert (MaxAbsScaler().fit_transform(tiny) == tiny).all()
wide = tiny + numpy.array([[0], [0], [1.3e-6]], "float32")
assert numpy.isclose(MinMaxScaler().fit_transform(wide).max(), 1)
print("As described.")
PYTHON
