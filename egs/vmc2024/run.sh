#!/usr/bin/env bash
# VoiceMOS 2024: --track 1 (the best systems of BVCC), 2 (singing), 3 (noisy, clean and enhanced speech); other options as in
# ../chain.sh for tracks 1 and 3, which are tested only, and as in ../../run.sh for track 2.
set -euo pipefail
[ "${1-}" = --track ] && [ $# -ge 2 ] || { echo "run.sh: --track 1, 2 or 3 comes first" >&2; exit 2; }
track=$2 here=$(dirname "$0")
shift 2
common=(--conf conf/distilmos.yaml --upstream wavlm_base_plus --record egs/vmc2024/RESULTS.md)
case $track in
    1) exec "$here/../chain.sh" --first bvcc --then vmc2024_track1 "${common[@]}" "$@" ;;
    2) exec "$here/../../run.sh" --corpus vmc2024_track2 "${common[@]}" "$@" ;;
    3) exec "$here/../chain.sh" --first nisqa --then vmc2024_track3 "${common[@]}" "$@" ;;
    *) echo "run.sh: --track is 1, 2 or 3, found '$track'" >&2; exit 2 ;;
esac
