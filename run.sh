#!/usr/bin/env bash
# The recipe: from a corpus to a trained, scored, evaluated and released MOS predictor.
#
#   ./run.sh                                  the whole recipe on the mini corpus, which it makes itself
#   ./run.sh --stage 5                        inference, evaluation and what follows
#   ./run.sh --stage 4 --stop_stage 4 --tag seed1 --seed 1
#   ./run.sh --conf conf/ssl_mos_tiny.yaml    another system
#   ./run.sh --corpus bvcc --data_root /data/BVCC --conf conf/distilmos.yaml --upstream wavlm_base_plus
#
# Each stage is one `distilmos` command, printed before it runs. A stage whose output is complete and current is skipped;
# one that was cut off goes on where it was.
set -euo pipefail

# Options: --name value (or --name-with-dashes value)
stage=0                       # first stage
stop_stage=8                  # last stage
corpus=mini                   # `distilmos corpus list` names them; bvcc+somos pools several, name=folder is one that is there already
test_corpora=                 # further ones to test on only, out of domain, "nisqa+chime7_udase"
scales=                       # of pooled corpora whose labels are to be mapped to the first one's scale, "name=low,high ...", or to
                              # "common=low,high"
conf=conf/distilmos_tiny.yaml # the system and its training
upstream=                     # s3prl upstream instead of the conf's
ckpt=                         # its checkpoint, for upstreams that need one
data_root=                    # where the corpus was downloaded to (mini needs none); of pooled ones "bvcc=folder somos=folder"
corpus_args=                  # options of the corpus's importer, "variant=full seed=1"; its module and docs/corpora.md list them;
                              # of pooled ones "somos.variant=full"
datadir=                      # data directories; default data/<corpus>
expdir=                       # experiment directory; default exp/<corpus>_<conf>[_<upstream>][_<tag>]
tag=                          # distinguishes experiments
test_sets=                    # default: every test* under datadir
trainer=lightning             # lightning, or espnet for ESPnet's own trainer
ngpu=                         # GPUs a node; default: all there are; 0 is the CPU
nnodes=1                      # nodes
nj=$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)  # parallel processes on this machine
seed=                         # instead of the conf's
sfidir=                       # SFI upstream; default <expdir>/sfi; may be shared by experiments
distil_data=                  # data directory that it is distilled on, 48 kHz at best; default <datadir>/train
tokendir=                     # code books and tokens; default <expdir>/tokens; may be shared by experiments
pretrained=                   # experiment to start from, exp/<name>: its weights, listeners and token heads apart, and its SFI upstream;
                              # a corpus that has no training set is scored with its model (or any model that has a name)
train_args=                   # further settings of the conf, "key=value section.key=value"
against=                      # other experiments, for the best-score ratio and difference in RESULTS.md
record=                       # put the results into this file too: egs/<corpus>/RESULTS.md

usage() { sed -n '2,/^usage/{/^usage/q;s/^# \{0,1\}//;/^set /d;p;}' "$0"; }

invocation=./run.sh
again=  # with --stage, inference and evaluation are done again even where they are complete
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --*) name=${1#--}; name=${name//-/_}
             case " stage stop_stage corpus test_corpora scales against conf upstream ckpt data_root corpus_args datadir expdir tag test_sets trainer ngpu nnodes nj seed sfidir distil_data tokendir pretrained train_args record " in
                 *" $name "*) ;;
                 *) echo "run.sh: unknown option $1 (./run.sh --help lists them)" >&2; exit 2 ;;
             esac
             [ $# -ge 2 ] || { echo "run.sh: $1 needs a value" >&2; exit 2; }
             case $name in
                 train_args) train_args+=" $2" ;;  # a recipe's own settings stay, later ones win
                 *) printf -v "$name" %s "$2" ;;
             esac
             case $name in stage) again=yes ;; stop_stage) ;; *) invocation+=" --$name $(printf %q "$2")" ;; esac
             shift 2 ;;
        *) echo "run.sh: '$1' is not an option (./run.sh --help lists them)" >&2; exit 2 ;;
    esac
done
for name in stage stop_stage nnodes nj; do
    case ${!name} in '' | *[!0-9]*) echo "run.sh: --$name needs a number, found '${!name}'" >&2; exit 2 ;; esac
done
[ "$stage" -le "$stop_stage" ] || { echo "run.sh: --stage $stage comes after --stop_stage $stop_stage" >&2; exit 2; }
case $trainer in lightning | espnet) ;; *) echo "run.sh: --trainer is lightning or espnet, found '$trainer'" >&2; exit 2 ;; esac

cd "$(dirname "$0")"
[ -f "$conf" ] || { echo "run.sh: no such configuration: $conf (there are: $(echo conf/*.yaml))" >&2; exit 2; }

name=$(basename "$conf" .yaml)
pooled=  # several corpora, or one that is tested on others
case $corpus in *+* | *=*) pooled=yes ;; *) [ -z "$test_corpora" ] || pooled=yes ;; esac
corpora=  # the names, without the folders of those that are there already
for member in ${corpus//+/ }; do corpora+="+${member%%=*}"; done
corpora=${corpora#+}
case $corpora in *+*) ;; *) corpora+=${pooled:+_pooled} ;; esac  # apart from the corpus itself
value_of() {  # value_of <name> <items>: the value of name=value among items
    local item
    for item in $2; do [ "${item%%=*}" != "$1" ] || echo "${item#*=}"; done
}
: "${datadir:=data/$corpora}"
: "${expdir:=exp/${corpora}_$name${upstream:+_$upstream}${tag:+_$tag}}"
: "${sfidir:=$([ -n "$pretrained" ] && [ -d "$pretrained/sfi" ] && echo "$pretrained" || echo "$expdir")/sfi}"
: "${tokendir:=$expdir/tokens}"
settings=()
[ -n "$upstream" ] && settings+=(--set "upstream=$upstream")
[ -n "$ckpt" ] && settings+=(--set "upstream_conf.ckpt=$ckpt")
[ -n "$pretrained" ] && settings+=(--set "init_param=[\"$pretrained/model:::listener_embedding,domain_embedding,predictors\"]")
first=$(sed -n 's/^train_first: *\([^ #]*\).*/\1/p' "$conf")  # the conf of a teacher, or of the first step of two
first_dir=$(dirname "$expdir")/${corpora}_$(basename "$first" .yaml)${upstream:+_$upstream}
[ -n "$first" ] && settings+=(--set "first_model=$first_dir/model")
labelled=$datadir  # data directories with the labels; the conf may want some that models give
grep -q '^pseudo_conf:' "$conf" && labelled=${datadir}_pseudo${upstream:+_$upstream}
for item in $train_args; do settings+=(--set "$item"); done

begun=$SECONDS
run() {  # print a command, then run it
    printf '$' >&2; printf ' %q' "$@" >&2; printf '\n' >&2
    "$@"
}
begin() {  # begin <number> <title>: is this stage to run?
    [ "$stage" -le "$1" ] && [ "$1" -le "$stop_stage" ] || return 1
    stage_begun=$SECONDS
    printf '\n[%s] stage %s: %s\n' "$(date '+%H:%M:%S')" "$1" "$2" >&2
}
finish() { echo "stage $1 done in $((SECONDS - stage_begun)) s: $2" >&2; }

environment_begun=$SECONDS
. ./path.sh
if begin 0 "environment"; then
    stage_begun=$environment_begun
    run distilmos doctor
    finish 0 "$(command -v distilmos)"
fi

if begin 1 "data of $corpus"; then
    prepare() {  # prepare <corpus> <folder> <data root> <options>
        local item choices=()
        for item in $4; do choices+=(--option "$item"); done
        run distilmos corpus prepare "$1" "$2" --nj "$nj" ${3:+--data-root "$3"} ${choices[@]+"${choices[@]}"}
    }
    if [ -z "$pooled" ]; then
        prepare "$corpus" "$datadir" "$data_root" "$corpus_args"
    else
        pool=() test=
        for member in ${corpus//+/ } --test ${test_corpora//+/ }; do
            case $member in
                --test) test=--test; continue ;;
                *=*) ;;
                *) choices=  # those of this corpus
                   for item in $corpus_args; do [ "${item%%.*}" != "$member" ] || choices+=" ${item#*.}"; done
                   prepare "$member" "data/$member" "$(value_of "$member" "$data_root")" "$choices"
                   member=$member=data/$member ;;
            esac
            pool+=($test "$member")
        done
        for item in $scales; do pool+=(--scale "$item"); done
        run distilmos corpus pool "${pool[@]}" -o "$datadir"
    fi
    finish 1 "$datadir"
fi

model=$expdir/model
if [ -d "$datadir" ] && [ ! -f "$datadir/train/wav.scp" ] && [ ! -d "$model" ]; then  # a test set only
    if [ -z "$pretrained" ]; then
        echo "run.sh: $datadir has no training set; give --pretrained, an experiment or a model to score it with" >&2
        exit 2
    fi
    model=$pretrained
    if [ -d "$pretrained/model" ]; then model=$pretrained/model; fi
fi
trains() { [ "$model" = "$expdir/model" ]; }  # is there something to train on?

if trains && begin 2 "upstream and code books"; then
    if [ -z "$pretrained" ] || [ "$sfidir" != "$pretrained/sfi" ]; then
        run distilmos upstream sfi --conf "$conf" ${settings[@]+"${settings[@]}"} -o "$sfidir"
        run distilmos upstream distil "${distil_data:-$datadir/train}" --conf "$conf" ${settings[@]+"${settings[@]}"} -o "$sfidir"
    fi
    run distilmos tokens learn "$datadir/train" --conf "$conf" ${settings[@]+"${settings[@]}"} -o "$tokendir"
    finish 2 "$tokendir"
fi
if [ -f "$sfidir/distilled/upstream.yaml" ]; then  # what stage 2 made of the upstream takes its place
    settings+=(--set "upstream=$sfidir/distilled" --set upstream_conf.ckpt=null)
fi

if trains && begin 3 "tokens and pseudo labels"; then
    if [ -n "$first" ]; then
        run ./run.sh --conf "$first" --expdir "$first_dir" --stage 2 --stop_stage 4 --corpus "$corpus" --datadir "$datadir" \
            --upstream "$upstream" --ckpt "$ckpt" --trainer "$trainer" --ngpu "$ngpu" --nnodes "$nnodes" --nj "$nj"
    fi
    if [ "$labelled" != "$datadir" ]; then
        run distilmos pseudo-label "$datadir" --conf "$conf" ${settings[@]+"${settings[@]}"} -o "$labelled"
    fi
    run distilmos tokens extract "$datadir/train" --conf "$conf" ${settings[@]+"${settings[@]}"} -o "$tokendir"
    finish 3 "$tokendir"
fi

if trains && begin 4 "training of $name"; then
    launch=(distilmos)
    if [ "$trainer" = espnet ] && [ "${ngpu:-1}" -gt 1 ]; then  # Fabric starts its processes itself
        launch=(torchrun --standalone --nproc_per_node "$ngpu" "$(command -v distilmos)")
    fi
    run "${launch[@]}" train "$labelled/train" "$labelled/dev" --conf "$conf" ${settings[@]+"${settings[@]}"} \
        ${seed:+--set "seed=$seed"} --tokens "$tokendir" --expdir "$expdir" ${ngpu:+--ngpu "$ngpu"} --nnodes "$nnodes" \
        --trainer "$trainer"
    finish 4 "$expdir/model"
fi

if [ -z "$test_sets" ] && [ -d "$datadir" ]; then
    test_sets=$(cd "$datadir" && for set in test*/; do [ -f "$set/wav.scp" ] && printf '%s ' "${set%/}"; done || true)
fi
if begin 5 "inference"; then
    for set in $test_sets; do
        run distilmos score "$datadir/$set" --model "$model" -o "$expdir/$set/scores.jsonl" $([ "$again" ] || echo --resume) || {
            code=$?  # 3: some clips got no score; they are listed, and the evaluation counts them
            [ $code -eq 3 ] || exit $code
        }
    done
    finish 5 "$(for set in $test_sets; do printf '%s ' "$expdir/$set/scores.jsonl"; done)"
fi

if begin 6 "evaluation"; then
    for set in $test_sets; do
        labels=$labelled/$set
        [ -d "$labels" ] || labels=$datadir/$set  # a teacher labels what is trained on, not the tests
        run distilmos evaluate "$expdir/$set/scores.jsonl" --data "$labels" ${again:+--force}
    done
    others=()
    for other in $against; do others+=(--against "$other"); done
    run distilmos results "$expdir" --command "$invocation" ${record:+--record "$record" --corpus "$corpus"} ${others[@]+"${others[@]}"}
    finish 6 "$expdir/RESULTS.md $(for set in $test_sets; do printf '%s ' "$expdir/$set/report.html"; done)"
fi

if begin 7 "challenge submission"; then
    answers=$([ -z "$test_sets" ] || run distilmos submit stage "$expdir" "$datadir" $test_sets)
    finish 7 "${answers:-nothing}"
fi

if trains && begin 8 "model release"; then
    run distilmos release "$expdir"
    finish 8 "$expdir/model"
fi

echo >&2
echo "run.sh: done in $((SECONDS - begun)) s" >&2
[ -f "$expdir/RESULTS.md" ] && [ "$stop_stage" -ge 6 ] && sed -n '/^## Environment/q;/^[|#*]/p' "$expdir/RESULTS.md" >&2 || true
