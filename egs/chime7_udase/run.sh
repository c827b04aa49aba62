#!/usr/bin/env bash
# DistilMOS trained on NISQA_Corpus, tested on CHiME-7 UDASE listening test; options as in ../chain.sh.
set -euo pipefail
exec "$(dirname "$0")/../chain.sh" --first nisqa --then chime7_udase --conf conf/distilmos.yaml --upstream wavlm_base_plus --record egs/chime7_udase/RESULTS.md "$@"
