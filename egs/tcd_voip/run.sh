#!/usr/bin/env bash
# SA-SSL-MOS trained on NISQA_Corpus, tested on TCD-VoIP; options as in ../chain.sh.
set -euo pipefail
exec "$(dirname "$0")/../chain.sh" --first nisqa --then tcd_voip --conf conf/sa_ssl_mos.yaml --record egs/tcd_voip/RESULTS.md "$@"
