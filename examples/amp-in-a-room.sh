#!/usr/bin/env bash
# A guitar through a cabinet, then into a hall: two convolutions in one pipe.
# Usage: examples/amp-in-a-room.sh [FOLDER]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-demo}

convtool convolve "$here/guitar.wav" -k "$here/cabinet.wav" --kernel-norm l2 -o - --format wav |
  convtool convolve -k "$here/hall.wav" --mix 0.4 --trim-kernel 60 -o "$out/amp-in-a-room.flac" --overwrite
