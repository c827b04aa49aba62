#!/usr/bin/env bash
# MTQ-Net on mini: multi-task pseudo-label learning (MPL) beside what the paper compares it with, over several seeds.
#
#   egs/mini/mpl.sh                       MPL and training from scratch, seeds 0 1 2; the tables go into egs/mini/MPL.md
#   egs/mini/mpl.sh --confs all           also direct transfer, MPL with squared errors, MPL from random weights
#   egs/mini/mpl.sh --seeds "0 1 2 3 4"
#
# What is done already is skipped, and what was cut off goes on: each training is one ./run.sh.
set -euo pipefail
seeds="0 1 2"
confs=scratch
while [ $# -gt 0 ]; do
    case $1 in
        --seeds) seeds=$2; shift 2 ;;
        --confs) confs=$2; shift 2 ;;
        *) echo "mpl.sh: unknown option $1; there are --seeds and --confs" >&2; exit 2 ;;
    esac
done
[ "$confs" != all ] || confs="scratch transfer mse cold"

cd "$(dirname "$0")/../.."
base=mtq_net_tiny
runs=()
for seed in $seeds; do
    for name in "" $confs; do
        conf=conf/${name:+ablations/}$base${name:+_$name}.yaml
        ./run.sh --conf "$conf" --seed "$seed" --tag "seed$seed"
        runs+=("exp/mini_$base${name:+_$name}_seed$seed")
    done
done

. ./path.sh
output=egs/mini/MPL.md
distilmos results "${runs[@]}" -o "$output" --command "egs/mini/mpl.sh --seeds \"$seeds\" --confs \"$confs\""
for name in $confs; do
    for set in test test_ood; do
        {
            printf '\n## %s against MPL, %s\n\n```\n' "$name" "$set"
            distilmos compare "exp/mini_${base}_${name}_seed*/$set/scores.jsonl" "exp/mini_${base}_seed*/$set/scores.jsonl" \
                --data "data/mini_pseudo/$set"
            printf '```\n'
        } >> "$output"
    done
done
echo "mpl.sh: $output" >&2
