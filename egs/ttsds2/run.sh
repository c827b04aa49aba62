#!/usr/bin/env bash
# DistilMOS trained on BVCC, tested on TTSDS2 listening test; options as in ../chain.sh.
set -euo pipefail
exec "$(dirname "$0")/../chain.sh" --first bvcc --then ttsds2 --conf conf/distilmos.yaml --upstream wavlm_base_plus --record egs/ttsds2/RESULTS.md "$@"
