#!/usr/bin/env bash
# DistilMOS on WavLM base+ on ConferencingSpeech 2022, Tencent; options as in ../../run.sh.
set -euo pipefail
exec "$(dirname "$0")/../../run.sh" --corpus tencent --conf conf/distilmos.yaml --upstream wavlm_base_plus --test_sets dev --record egs/tencent/RESULTS.md "$@"
