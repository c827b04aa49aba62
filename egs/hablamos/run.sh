#!/usr/bin/env bash
# DistilMOS on WavLM base+ on HablaMOS; options as in ../../run.sh.
set -euo pipefail
exec "$(dirname "$0")/../../run.sh" --corpus hablamos --conf conf/distilmos.yaml --upstream wavlm_base_plus --record egs/hablamos/RESULTS.md "$@"
