#!/usr/bin/env bash
# VoiceMOS 2023, three tracks without training labels: DistilMOS trained on BVCC and tested on each; options as in ../chain.sh.
set -euo pipefail
exec "$(dirname "$0")/../chain.sh" --first bvcc --then "vmc2023_track1 vmc2023_track2 vmc2023_track3" \
    --conf conf/distilmos.yaml --upstream wavlm_base_plus --record egs/vmc2023/RESULTS.md "$@"
