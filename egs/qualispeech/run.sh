#!/usr/bin/env bash
# DistilMOS on WavLM base+ on QualiSpeech; options as in ../../run.sh.
set -euo pipefail
exec "$(dirname "$0")/../../run.sh" --corpus qualispeech --conf conf/distilmos.yaml --upstream wavlm_base_plus --record egs/qualispeech/RESULTS.md "$@"
