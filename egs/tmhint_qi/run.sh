#!/usr/bin/env bash
# DistilMOS on WavLM base+ on TMHINT-QI; options as in ../../run.sh.
set -euo pipefail
exec "$(dirname "$0")/../../run.sh" --corpus tmhint_qi --conf conf/distilmos.yaml --upstream wavlm_base_plus --record egs/tmhint_qi/RESULTS.md "$@"
