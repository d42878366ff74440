#!/usr/bin/env bash
# Runs every fuzz target for a while: scripts/fuzz.sh SECONDS. What it learned stays in tests/fuzz/corpus; a crash is written to tests/fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:?usage: scripts/fuzz.sh SECONDS}
fuzz=(cargo +nightly fuzz)
targets=$("${fuzz[@]}" list --fuzz-dir tests/fuzz)
[[ -n "$targets" ]] || { echo "no fuzz target found" >&2; exit 1; }
for target in $targets; do
    echo "fuzzing $target for $seconds s"
    corpus=tests/fuzz/corpus/$target
    mkdir -p "$corpus"
    # The example files are where real input begins.
    seeds=()
    [[ $target == config ]] && seeds=(config)
    "${fuzz[@]}" run --fuzz-dir tests/fuzz "$target" "$corpus" "${seeds[@]}" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=4096 -print_final_stats=1
done
