#!/usr/bin/env bash
# A submission of all three scenarios, from the first run to the packed tree, with scripted answers in a model's place: what
# a submitter types, in the order in which it is typed.
#
# usage: submission/rehearsal.sh DIR          official settings: all twelve runs at once, eleven minutes
#        submission/rehearsal.sh DIR short    runs of at least 5 s instead of 600 s, and nothing else different
#
# Needs `cargo build --release`; OSSMARK names another binary. Left in DIR: data/, runs/, audit/, tree/ with the submission,
# originals/ with the whole accuracy logs, check.json, Rehearsal.tar.zst, and in log/ what each command said.
set -euo pipefail

mkdir -p "${1:?usage: submission/rehearsal.sh DIR [short]}"
dir=$(cd "$1" && pwd)
ossmark=$(realpath "${OSSMARK:-$(dirname "$0")/../target/release/ossmark}")
cd "$(dirname "$0")/.."
mkdir -p "$dir"/{log,runs,audit,harness}

# A rate that makes 6396 samples last a little more than the minimum duration: at 10.66 a second and above, LoadGen would
# issue them twice. Offline lasts as long as the engine needs: 6396 answers of 2.66 s, so many at a time.
case ${2:-official} in
official) min_duration=600000 rate=10.6 offline_rate=9.6 offline_slots=26 ;;
# A busy machine has to answer in time as well: half a minute each, twelve at once.
short) min_duration=5000 rate=200 offline_rate=200 offline_slots=650 ;;
*) echo "found ${2}, expected short or nothing" >&2 && exit 2 ;;
esac
answers=(--engine echo --echo-ttft-ms 100 --echo-tpot-ms 2)

step() { echo "== $*"; }
background=()
trap '[ ${#background[@]} = 0 ] || kill "${background[@]}" 2>/dev/null || true' EXIT
# start NAME COMMAND...
start() {
    local log="$dir/log/$1.txt"
    shift
    "$@" >"$log" 2>&1 &
    background+=($!)
}

# Questions and answers of the benchmark's shape; demo/ has a tokenizer of gpt-oss's kind.
step data
[ -e "$dir/data" ] || cargo run --quiet --release --example rehearsal_data -- "$dir/data" demo
data=$dir/data

step runs
for scenario in offline server interactive; do
    conf=$dir/$scenario.user.conf
    sed "s/min_duration = 600000/min_duration = $min_duration/" "mlperf_conf/$scenario.user.conf" >"$conf"
    load=(--scenario "$scenario" "${answers[@]}" --target-qps "$rate")
    [ $scenario != offline ] || load=(--scenario offline "${answers[@]}" --target-qps "$offline_rate" --echo-slots "$offline_slots")

    start $scenario-performance "$ossmark" run --mode performance "${load[@]}" --user-conf "$conf" \
        --dataset "$data/performance.parquet" --echo-script "$data/performance_script.parquet" --output "$dir/runs/$scenario-performance"
    start $scenario-accuracy "$ossmark" run --mode accuracy "${load[@]}" --user-conf "$conf" \
        --dataset "$data/accuracy.parquet" --echo-script "$data/accuracy_script.parquet" --output "$dir/runs/$scenario-accuracy"
    start $scenario-test07 "$ossmark" audit test07 --output "$dir/audit/$scenario" --reference "$data/compliance.parquet" --tokenizer demo -- \
        "${load[@]}" --dataset "$data/compliance.parquet" --echo-script "$data/compliance_script.parquet"
    # The ledger of attempts is one file, which both tests add a line to.
    start $scenario-test09 "$ossmark" audit test09 --output "$dir/audit/$scenario" -- "${load[@]}" --user-conf "$conf" \
        --dataset "$data/performance.parquet" --echo-script "$data/performance_script.parquet"
done
for pid in "${background[@]}"; do
    wait "$pid" || { tail -n 20 "$dir"/log/*.txt >&2 && exit 1; }
done
background=()

step scores
for scenario in offline server interactive; do
    accuracy=$dir/runs/$scenario-accuracy
    "$ossmark" score --log "$accuracy/mlperf_log_accuracy.json" --reference "$data/accuracy.parquet" --tokenizer demo \
        --lcb-problems "$data/problems.jsonl" --accuracy-txt "$accuracy/accuracy.txt" --log-hash | tee "$dir/log/$scenario-score.txt" | tail -n 1
done

step submission
cp -r src crates/loadgen/src "$dir/harness/"
cp submission/rehearsal.toml "$dir/submission.toml"
"$ossmark" submission build --rehearsal --description "$dir/submission.toml" --output "$dir/tree"
"$ossmark" submission truncate --input "$dir/tree" --submitter Rehearsal --backup "$dir/originals"
# Exit status 1: the stamp of the rehearsal is an error, whatever else is right.
"$ossmark" submission check --input "$dir/tree" --round v6.1 --submitter Rehearsal --json "$dir/check.json" || [ $? = 1 ]
"$ossmark" submission pack --input "$dir/tree" --submitter Rehearsal --output "$dir/Rehearsal.tar.zst"
"$ossmark" submission pack --verify "$dir/Rehearsal.tar.zst"
