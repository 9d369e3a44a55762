#!/usr/bin/env bash
# A guitar through a loudspeaker, then in a hall, in one pipe: two convolutions.
# Usage: examples/amp-in-a-room.sh [FOLDER]
set -euo pipefail

examples=$(cd "$(dirname "$0")" && pwd)
folder=${1:-demo}

# --kernel-norm l2 keeps the level of noise as it is; --gain leaves room below full scale for the peaks.
# --mix adds 40 % of the hall to 60 % of the dry sound; --trim-kernel drops its end, 60 dB below its peak.
convtool convolve "$examples/guitar.wav" -k "$examples/cabinet.wav" \
    --kernel-norm l2 --gain -1 -o - --format wav |
  convtool convolve -k "$examples/hall.wav" --mix 0.4 --trim-kernel 60 \
    -o "$folder/amp-in-a-room.flac" --overwrite
