#!/usr/bin/env bash
# SA-SSL-MOS on NISQA Corpus; options as in ../../run.sh.
set -euo pipefail
exec "$(dirname "$0")/../../run.sh" --corpus nisqa --conf conf/sa_ssl_mos.yaml --record egs/nisqa/RESULTS.md "$@"
