#!/usr/bin/env bash
# AudioMOS 2025 track 3 with SFI-SSL-MOS: trained on BVCC, then fine-tuned on the track, as its authors do (arXiv 2507.14647).
# Options as in ../chain.sh. Of the second step are theirs: one clip a batch, 24 batches a step, 50 epochs at most, rate 1e-4.
set -euo pipefail
exec "$(dirname "$0")/../chain.sh" --first bvcc --then audiomos2025_track3 --conf conf/sfi_ssl_mos.yaml \
    --train_args "batch_size=1 accum_grad=24 max_epoch=50 optim_conf.lr=1e-4 optim_conf.upstream_lr=1e-4" \
    --record egs/audiomos2025_track3/RESULTS.md "$@"
