#!/usr/bin/env bash
# DistilMOS on WavLM base+ on SingMOS; options as in ../../run.sh.
set -euo pipefail
exec "$(dirname "$0")/../../run.sh" --corpus singmos --conf conf/distilmos.yaml --upstream wavlm_base_plus --record egs/singmos/RESULTS.md "$@"
