#!/usr/bin/env bash
# onnx2torch runs a CumSum that names no direction backwards: what torch exports as cumsum(x) comes back as the sums from
# the end.
#
# onnx2torch 1.5.15 with torch 2.14.1, onnx 1.23.2, onnxruntime 1.32.0 and numpy 2.4.6, on Linux.
# Expected: an attribute that an ONNX node leaves out has the default of the operator's schema; "reverse" of CumSum is 0, and
#   [1, 2, 3, 4] gives [1, 3, 6, 10].
# Seen: onnx2torch takes 1, and gives [10, 9, 7, 4], at each version of CumSum, 11 and 14, with "exclusive" too. With
#   "reverse" written out, as 0 or as 1, it is right. torch.onnx.export leaves it out, so that a module with
#   torch.cumsum goes there and back and is another one, of the same shapes, without a warning.
# What to do: write the attribute into such nodes before conversion (node.attribute.append(onnx.helper.make_attribute(
#   "reverse", 0))), and compare a converted module's output with onnxruntime's on noise, not on a constant.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    onnx2torch==1.5.15 torch==2.14.1 onnx==1.23.2 onnxruntime==1.32.0 onnxscript numpy==2.4.6
