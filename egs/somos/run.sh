#!/usr/bin/env bash
# DistilMOS on WavLM base+ on SOMOS; options as in ../../run.sh.
set -euo pipefail
exec "$(dirname "$0")/../../run.sh" --corpus somos --conf conf/distilmos.yaml --upstream wavlm_base_plus --record egs/somos/RESULTS.md "$@"
