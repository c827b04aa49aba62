#!/usr/bin/env bash
# Two experiments in a row, as one command: training on one corpus, then fine-tuning on others, or testing on those that are a
# test set only. It is ../run.sh twice or more; what is complete and current is skipped, so it can be started again.
#
#   egs/chain.sh --first bvcc --first_root /data/BVCC --then audiomos2025_track3 --data_root /data/track3 \
#       --conf conf/sfi_ssl_mos.yaml --train_args "max_epoch=50 accum_grad=24"
#
# Options: --name value (or --name-with-dashes value). Any other option is one of ../run.sh, for the corpora of --then.
set -euo pipefail

first=       # corpus to train on first
first_root=  # where it was downloaded to
first_conf=  # its configuration; default that of --conf
first_args=  # further settings of it, as --train_args
first_corpus_args=  # options of its importer, as --corpus_args
then=        # corpora after that, parted by blanks
conf=conf/distilmos.yaml
upstream=    # upstream of both, as of ../run.sh

usage() { sed -n '2,/^usage/{/^usage/q;s/^# \{0,1\}//;/^set /d;p;}' "$0"; }

both=() rest=()
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --*) ;;
        *) echo "chain.sh: '$1' is not an option (egs/chain.sh --help lists them)" >&2; exit 2 ;;
    esac
    [ $# -ge 2 ] || { echo "chain.sh: $1 needs a value" >&2; exit 2; }
    name=${1#--}; name=${name//-/_}
    case $name in
        first | first_root | first_conf | first_args | first_corpus_args | then | conf) printf -v "$name" %s "$2" ;;
        upstream) upstream=$2; both+=(--upstream "$2") ;;
        ckpt | ngpu | nnodes | nj | seed | trainer) both+=("--$name" "$2") ;;
        *) rest+=("--$name" "$2") ;;
    esac
    shift 2
done
[ "$first" ] && [ "$then" ] || { echo "chain.sh: --first and --then name the corpora" >&2; exit 2; }
: "${first_conf:=$conf}"

run=$(dirname "$0")/../run.sh
pretrained=exp/${first}_$(basename "$first_conf" .yaml)${upstream:+_$upstream}
"$run" --corpus "$first" ${first_root:+--data_root "$first_root"} --conf "$first_conf" --expdir "$pretrained" \
    ${first_corpus_args:+--corpus_args "$first_corpus_args"} ${first_args:+--train_args "$first_args"} --stop_stage 4 ${both[@]+"${both[@]}"}
for corpus in $then; do
    "$run" --corpus "$corpus" --conf "$conf" --pretrained "$pretrained" --expdir "exp/${corpus}_after_$(basename "$pretrained")" \
        ${both[@]+"${both[@]}"} ${rest[@]+"${rest[@]}"}
done
