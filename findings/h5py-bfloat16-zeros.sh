#!/usr/bin/env bash
# h5py makes a dataset of bfloat16 into one of opaque bytes, and ones that are written to it become zeros.
#
# h5py 3.16.0 (HDF5 2.0.0) with ml_dtypes 0.6.0 and numpy 2.4.6, on Linux.
# Expected: a dtype that h5py can't store as numbers is refused, as float8_e5m2 is; or a dataset created with it takes
#   numbers.
# Seen: create_dataset(..., dtype=ml_dtypes.bfloat16) gives a dataset of dtype V2, HDF5's opaque type. An array of float64
#   or float32 assigned to it stores the first two bytes of each number, its lowest bits, without an error: zeros for 1
#   or 0.5, noise for 0.1. (A bare 1.0 is refused.) An array of bfloat16 keeps its bytes and comes back as V2; nothing in
#   the file says what they are. So do float8_e4m3fn and int4.
# What to do: store bfloat16 as float32, which holds it exactly, or as uint16 with an attribute that names it; read V2
#   with .view(ml_dtypes.bfloat16).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check h5py==3.16.0 ml_dtypes==0.6.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import h5py
import ml_dtypes
import numpy

assert h5py.version.hdf5_version == "2.0.0", h5py.version.hdf5_version
numbers = numpy.array([1, -2, 0.5, 3], "float64")
with h5py.File("weights.h5", "w") as file:
    weight = file.create_dataset("weight", 4, ml_dtypes.bfloat16)
    weight[:] = numbers
    print("created for bfloat16:", weight.dtype, "and float64 numbers in it:", weight[:].tobytes())
    assert weight.dtype == "V2"
    assert weight.id.get_type().get_class() == h5py.h5t.OPAQUE
    assert weight[:].tobytes() == bytes(8)
    weight[:] = numbers.astype("float32")
    assert weight[:].tobytes() == bytes(8)
    weight[:] = numpy.full(4, 0.1)
    print("0.1 in it:", weight[:].view(ml_dtypes.bfloat16))
    assert weight[:].tobytes() == numpy.float64(0.1).tobytes()[:2] * 4
    weight[:] = numbers.astype(ml_dtypes.bfloat16)
    assert weight[:].view(ml_dtypes.bfloat16).tolist() == numbers.tolist()
    for name in ("bfloat16", "float8_e4m3fn", "int4"):
        kept = numpy.arange(4).astype(getattr(ml_dtypes, name))
        file[name] = kept
        print(name, "is stored as", file[name].dtype)
        assert file[name].dtype == f"V{kept.itemsize}"
        assert file[name][:].view(kept.dtype).tolist() == kept.tolist()
        assert not file[name].attrs
    try:
        file["float8_e5m2"] = numpy.zeros(4, ml_dtypes.float8_e5m2)
    except TypeError as error:
        print("float8_e5m2:", error)
    else:
        raise AssertionError("float8_e5m2 is taken")
print("As described.")
PYTHON
