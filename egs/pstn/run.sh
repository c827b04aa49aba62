#!/usr/bin/env bash
# DistilMOS on WavLM base+ on ConferencingSpeech 2022, PSTN; options as in ../../run.sh.
set -euo pipefail
exec "$(dirname "$0")/../../run.sh" --corpus pstn --conf conf/distilmos.yaml --upstream wavlm_base_plus --test_sets dev --record egs/pstn/RESULTS.md "$@"
