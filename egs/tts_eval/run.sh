#!/usr/bin/env bash
# Ranks what TTS, VC, codec and enhancement systems made, without MOS labels.
#
#   ./run.sh --set eval1 ~/espnet/egs2/ljspeech/tts1/exp
#   ./run.sh --set eval1 ~/espnet/egs2/ljspeech/tts1/exp natural=~/espnet/egs2/ljspeech/tts1/dump/raw/eval1/wav.scp
#   ./run.sh vits=out/vits fastspeech2=out/fastspeech2 natural=out/natural --outdir exp/tts_eval/mine
#
# A folder is searched for */wav/wav.scp and enhanced_*/spk1.scp, each a system; name=path is a system of that name: a
# wav.scp, a data directory or a folder of sound files. Started again, it scores what is new or has changed.
set -euo pipefail

# Options: --name value (or --name-with-dashes value)
model=official:wavlm  # what scores: a released model's folder, official:wavlm, hf:owner/repository
set=                  # test sets, parted by blanks; default: all that are found
outdir=exp/tts_eval   # gets data/, scores.jsonl, ranking.json, ranking.md, report.html
device=auto           # auto, cpu, cuda, cuda:1, mps

usage() { sed -n '2,/^usage/{/^usage/q;s/^# \{0,1\}//;/^set -/d;p;}' "$0"; }

systems=()
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --*) name=${1#--}; name=${name//-/_}
             case " model set outdir device " in
                 *" $name "*) ;;
                 *) echo "$0: unknown option $1 ($0 --help lists them)" >&2; exit 2 ;;
             esac
             [ $# -ge 2 ] || { echo "$0: $1 needs a value" >&2; exit 2; }
             printf -v "$name" %s "$2"
             shift 2 ;;
        *) systems+=("$1"); shift ;;
    esac
done
[ ${#systems[@]} -gt 0 ] || { usage >&2; echo "$0: name the systems: folders, or name=path" >&2; exit 2; }

. "$(dirname "$0")/../../path.sh"

run() {  # print a command, then run it
    printf '$' >&2; printf ' %q' "$@" >&2; printf '\n' >&2
    "$@"
}

sets=()
for name in $set; do sets+=(--set "$name"); done
run distilmos corpus gather "${systems[@]}" ${sets[@]+"${sets[@]}"} -o "$outdir/data"
run distilmos score "$outdir/data" --model "$model" --device "$device" -o "$outdir/scores.jsonl" --resume ||
    [ $? -eq 3 ]  # 3: some clips got no score; the ranking counts them
run distilmos rank "$outdir/scores.jsonl" --data "$outdir/data"
