#!/usr/bin/env bash
# Statistics of sliding windows: how loud a guitar is, and how much readings vary.
# Usage: examples/local-variance.sh [FOLDER]
set -euo pipefail

examples=$(cd "$(dirname "$0")" && pwd)
folder=${1:-demo}

# The level in windows of 50 ms, 100 times a second, as a table and as a picture.
convtool local-var "$examples/guitar.wav" -w 50ms --stride 10ms --stat rms,std \
  -o "$folder/levels.csv" --plot "$folder/levels.png" --overwrite

# Mean and standard deviation over five rows, column by column; as many rows as before.
convtool local-var "$examples/readings.csv" -w 5 --stat mean,std --mode same \
  -o "$folder/spread.csv" --overwrite
