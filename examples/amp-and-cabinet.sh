#!/usr/bin/env bash
# A guitar through an amplifier and its loudspeaker, in one pipe: a recurrent model, then a convolution.
# Usage: examples/amp-and-cabinet.sh [FOLDER]
set -euo pipefail

examples=$(cd "$(dirname "$0")" && pwd)
folder=${1:-demo}

# --prewarm lets the model settle on silence first; FLOAT keeps what is above full scale between the two commands.
# --gain brings the result back below full scale.
convtool lstm "$examples/amp.json" "$examples/guitar.wav" \
    --prewarm 2048 -o - --format wav --subtype FLOAT |
  convtool convolve -k "$examples/cabinet.wav" --kernel-norm l2 --gain -4 \
    -o "$folder/amp-and-cabinet.flac" --subtype PCM_16 --overwrite
