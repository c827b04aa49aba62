#!/usr/bin/env bash
# VoiceMOS 2022, out-of-domain track: DistilMOS trained on the main track's BVCC, then fine-tuned; options as in ../chain.sh.
set -euo pipefail
exec "$(dirname "$0")/../chain.sh" --first bvcc --then bc19 --conf conf/distilmos.yaml --upstream wavlm_base_plus \
    --train_args "loss_conf.token_weight=0 optim_conf.lr=1e-4 optim_conf.upstream_lr=1e-5 batch_size=8" \
    --record egs/vmc2022_ood/RESULTS.md "$@"
