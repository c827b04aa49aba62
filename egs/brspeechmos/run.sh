#!/usr/bin/env bash
# DistilMOS trained on BVCC, tested on BRSpeechMOS; options as in ../chain.sh.
set -euo pipefail
exec "$(dirname "$0")/../chain.sh" --first bvcc --then brspeechmos --conf conf/distilmos.yaml --upstream wavlm_base_plus --record egs/brspeechmos/RESULTS.md "$@"
