#!/usr/bin/env bash
# SA-SSL-MOS trained on NISQA_Corpus, tested on URGENT 2024 challenge; options as in ../chain.sh.
set -euo pipefail
exec "$(dirname "$0")/../chain.sh" --first nisqa --then urgent2024 --conf conf/sa_ssl_mos.yaml --record egs/urgent2024/RESULTS.md "$@"
