#!/usr/bin/env bash
# A captured amplifier, then its loudspeaker: a recurrent model and a convolution in one pipe.
# Usage: examples/amp-and-cabinet.sh [FOLDER]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-demo}

convtool lstm "$here/amp.json" "$here/guitar.wav" --prewarm 2048 -o - --format wav --subtype FLOAT |
  convtool convolve -k "$here/cabinet.wav" --kernel-norm l2 -o "$out/amp-and-cabinet.flac" --overwrite
