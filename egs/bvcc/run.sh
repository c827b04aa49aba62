#!/usr/bin/env bash
# DistilMOS on WavLM base+ on VoiceMOS 2022 main track; options as in ../../run.sh.
set -euo pipefail
exec "$(dirname "$0")/../../run.sh" --corpus bvcc --conf conf/distilmos.yaml --upstream wavlm_base_plus --record egs/bvcc/RESULTS.md "$@"
