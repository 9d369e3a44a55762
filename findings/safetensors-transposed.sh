#!/usr/bin/env bash
# safetensors.numpy writes a transposed array with its numbers out of place, without a word; safetensors.torch refuses
# such a tensor.
#
# safetensors 0.8.0 with numpy 2.4.6, on Linux.
# Expected: save() of an array that is not in C order writes the numbers that the array shows, as numpy.save does, or
#   raises an error, as safetensors.torch does.
# Seen: the shape is that of the array, the numbers are those of its memory: [[0, 3], [1, 4], [2, 5]], the transpose of
#   [[0, 1, 2], [3, 4, 5]], comes back as [[0, 1], [2, 3], [4, 5]], and an array in Fortran order likewise,
#   which NumPy calls contiguous and dense too. The docstring asks for "contiguous and dense" tensors; nothing looks
#   whether they are.
# What to do: write numpy.ascontiguousarray(array), after every transpose, permutation of axes or reading of a format in
#   Fortran order (MATLAB, .npy with fortran_order); compare by reading back. Such a file can't be told afterwards.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import numpy
from safetensors.numpy import load, load_file, save, save_file

rows = numpy.arange(6, dtype="float32").reshape(2, 3)
arrays = {
    "transposed": rows.T,
    "Fortran order": numpy.asfortranarray(rows),
    "transposed, made contiguous": numpy.ascontiguousarray(rows.T),
}
seen = {}
for name, array in arrays.items():
    save_file({"weight": array}, "weights.safetensors")
    read = load_file("weights.safetensors")["weight"]
    assert (load(save({"weight": array}))["weight"] == read).all()
    assert read.shape == array.shape
    seen[name] = bool((read == array).all())
    print(f"{name}: {array.tolist()} comes back as {read.tolist()}")
    if not seen[name]:
        assert (read == array.ravel(order="K").reshape(array.shape)).all()
assert seen == {"transposed": False, "Fortran order": False, "transposed, made contiguous": True}, seen
print("As described.")
PYTHON
