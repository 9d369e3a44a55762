#!/usr/bin/env bash
# Smooth noisy readings over five rows, the ends mirrored, the column names kept; then only the outdoors column.
# Usage: examples/smooth-readings.sh [FOLDER]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-demo}

convtool convolve "$here/readings.csv" -k 1,4,6,4,1 --kernel-norm dc --mode same --padding-mode reflect \
  -o "$out/smooth.csv" --overwrite
convtool convolve "$here/readings.csv" -k 1,-1 --mode valid --columns outdoors -o "$out/change.csv" --overwrite
