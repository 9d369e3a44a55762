#!/usr/bin/env bash
# How loud a guitar is, 100 times a second, drawn too; then how much readings differ over five rows, column by column.
# Usage: examples/local-variance.sh [FOLDER]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-demo}

convtool local-var "$here/guitar.wav" -w 50ms --stride 10ms --stat rms,std -o "$out/levels.csv" \
  --plot "$out/levels.png" --overwrite
convtool local-var "$here/readings.csv" -w 5 --stat mean,std --mode same -o "$out/spread.csv" --overwrite
