#!/usr/bin/env bash
# AudioMOS 2025 track 3 with SA-SSL-MOS: trained on NISQA, then for 4 epochs on the track, as its authors do (arXiv 2602.14785).
# Options as in ../chain.sh.
set -euo pipefail
exec "$(dirname "$0")/../chain.sh" --first nisqa --then audiomos2025_track3 --conf conf/sa_ssl_mos.yaml \
    --train_args "max_epoch=4" --record egs/audiomos2025_track3/RESULTS.md "$@"
