#!/usr/bin/env bash
# Runs fuzz targets that were built with the preset fuzz: run.sh SECONDS JOBS TARGET…
# Finds are kept under build/fuzz: inputs that reach new code in corpus/, crashes in crashes/.
set -euo pipefail
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")/../.."

seconds=$1 jobs=$2
shift 2
work=build/fuzz
# A leak or a broken promise is a crash; so is an input that takes a second or a gigabyte.
limits=(-timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=64 -max_len=8192)

run_one() {
  local target=$1 dictionary=() status=0
  mkdir -p "$work/corpus/$target" "$work/crashes/$target"
  if [[ -e tests/fuzz/dictionaries/$target.dict ]]; then
    dictionary=("-dict=tests/fuzz/dictionaries/$target.dict")
  fi
  "$work/tests/fuzz/fuzz_$target" "${limits[@]}" "${dictionary[@]}" \
    "-max_total_time=$seconds" -print_final_stats=1 "-artifact_prefix=$work/crashes/$target/" \
    "$work/corpus/$target" "tests/fuzz/corpus/$target" >"$work/$target.log" 2>&1 || status=$?
  echo "$status" >"$work/$target.status"
}

statistic() {
  awk -v name="stat::$2:" '$1 == name { print $2 }' "$work/$1.log"
}

for target; do
  [[ -x $work/tests/fuzz/fuzz_$target ]] || {
    echo "no fuzz target '$target'" >&2
    exit 64
  }
done
running=0
for target; do
  if ((running == jobs)); then
    wait -n
    running=$((running - 1))
  fi
  run_one "$target" &
  running=$((running + 1))
done
wait

failed=0
printf '%-16s %12s %9s %10s %8s\n' target executions exec/s 'new units' crashes
for target; do
  crashed=$(($(<"$work/$target.status") != 0))
  printf '%-16s %12s %9s %10s %8s\n' "$target" "$(statistic "$target" number_of_executed_units)" \
    "$(statistic "$target" average_exec_per_sec)" "$(statistic "$target" new_units_added)" "$crashed"
  if ((crashed)); then
    failed=1
    grep --text -A1 'broken promise\|SUMMARY\|Test unit written' "$work/$target.log" | sed 's/^/  /' ||
      tail -20 "$work/$target.log"
  fi
done
exit "$failed"
