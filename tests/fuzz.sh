#!/bin/sh
# Fuzzes the parsers of foreign bytes with the nightly toolchain, from the corpora in fuzz/corpus, and prints how many
# inputs each took. What is found is in fuzz/artifacts. Usage: tests/fuzz.sh [EXECUTIONS [TARGET...]]
set -eu
cd "$(dirname "$0")/.."
executions=${1:-10000000}
[ $# -eq 0 ] || shift
command -v cargo-fuzz > /dev/null || cargo install cargo-fuzz --locked --quiet
for target in ${*:-iso19794 iso39794 dg2 multipart}; do
  work=$(mktemp -d "${TMPDIR:-/tmp}/limen-fuzz.XXXXXX")
  cargo +nightly fuzz run --fuzz-dir fuzz --sanitizer none --target-dir target/fuzz "$target" "$work" "fuzz/corpus/$target" -- \
    -runs="$executions" -max_len=4096 -print_final_stats=1 > "$work.log" 2>&1 || { tail -n 40 "$work.log"; exit 1; }
  echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$work.log") executions, 0 failures," \
    "$(sed -n 's/^stat::average_exec_per_sec: *//p' "$work.log") a second"
  rm -rf "$work" "$work.log"
done
