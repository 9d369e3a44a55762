#!/usr/bin/env bash
# Convolution of a table: noisy readings smoothed, and the change from one to the next.
# Usage: examples/smooth-readings.sh [FOLDER]
set -euo pipefail

examples=$(cd "$(dirname "$0")" && pwd)
folder=${1:-demo}

# A binomial kernel over five rows, divided by its sum; the ends are mirrored, the column names kept.
convtool convolve "$examples/readings.csv" -k 1,4,6,4,1 --kernel-norm dc \
  --mode same --padding-mode reflect -o "$folder/smooth.csv" --overwrite

# The difference of neighbouring rows of one column.
convtool convolve "$examples/readings.csv" -k 1,-1 --mode valid --columns outdoors \
  -o "$folder/change.csv" --overwrite
