#!/usr/bin/env bash
# A guitar through a captured amplifier and its loudspeaker, in one pipe: a WaveNet, then a convolution.
# Usage: examples/preamp-and-cabinet.sh [FOLDER]
set -euo pipefail

examples=$(cd "$(dirname "$0")" && pwd)
folder=${1:-demo}

# For every recording, amplifier and cabinet of three folders it is two loops around this pipe.
convtool wavenet "$examples/preamp.nam" "$examples/guitar.wav" -o - --format wav --subtype FLOAT |
  convtool convolve -k "$examples/cabinet.wav" --kernel-norm l2 --gain -4 \
    -o "$folder/preamp-and-cabinet.flac" --subtype PCM_16 --overwrite
