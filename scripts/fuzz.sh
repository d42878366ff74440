#!/usr/bin/env bash
# Runs every fuzz target for a while: scripts/fuzz.sh SECONDS. It begins with tests/fuzz/seeds, what it learns goes to tests/fuzz/corpus, and a crash is
# written to tests/fuzz/artifacts. scripts/fuzz.sh keep adds to the seeds what was learned: the fewest inputs that reach every branch.
set -euo pipefail
cd "$(dirname "$0")/.."

what=${1:?usage: scripts/fuzz.sh SECONDS|keep}
fuzz=(cargo +nightly fuzz)
targets=$("${fuzz[@]}" list --fuzz-dir tests/fuzz)
[[ -n "$targets" ]] || { echo "no fuzz target found" >&2; exit 1; }
# What other toolchains and dependencies have left there is never used again, and never goes by itself.
built=tests/fuzz/target
[[ -d $built && $(du -sm "$built" | cut -f1) -gt 4096 ]] && rm -rf "$built"
# All at once: what does not build is known before anything runs, and everything that runs is of one state.
"${fuzz[@]}" build --fuzz-dir tests/fuzz
host=$(rustc +nightly --version --verbose | sed -n 's/^host: //p')
for target in $targets; do
    corpus=tests/fuzz/corpus/$target
    seeds=tests/fuzz/seeds/$target
    artifacts=tests/fuzz/artifacts/$target
    mkdir -p "$corpus" "$seeds" "$artifacts"
    run=("$built/$host/release/$target" -artifact_prefix="$artifacts/")
    if [[ $what == keep ]]; then
        "${run[@]}" "$seeds" "$corpus" -set_cover_merge=1 -use_counters=0
        continue
    fi
    echo "fuzzing $target for $what s"
    inputs=("$corpus" "$seeds")
    # The example files are where real input begins.
    [[ $target == config ]] && inputs+=(config)
    "${run[@]}" "${inputs[@]}" -max_total_time="$what" -timeout=10 -rss_limit_mb=2048 -max_len=4096 -print_final_stats=1
done
