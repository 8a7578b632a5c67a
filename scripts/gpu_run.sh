#!/usr/bin/env bash
# In the bundle for a GPU machine (docs/cuda.md): runs it there. Needs bash, coreutils, sed and grep; python3 for the summary.
#
#   run.sh tests [--out FOLDER] [--seconds N]   every CUDA test, then compute-sanitizer on some of them where it is found
#   run.sh bench [--out FOLDER] [--seconds N]   the benchmarks, with torch in turns beside them where a python3 has it
#
# Each ends by itself within N seconds (540) and leaves in FOLDER (./results): machine.txt, tests.tsv, tests.xml (JUnit), bench.jsonl,
# log.txt, and from them results.json and results.md. Exit code 0: all passed; 1: something failed; 77: no GPU.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
stage=${1:-}
shift || true
out=$PWD/results
seconds=540
while (($#)); do
  case $1 in
    --out) out=$2 && shift 2 ;;
    --seconds) seconds=$2 && shift 2 ;;
    *) stage='' && break ;;
  esac
done
[[ $stage == tests || $stage == bench ]] || { sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
now() { date +%s; }
begun=$(now)
export here out work deadline=$((begun + seconds)) TANDEM_SOURCE_DIR=$here/fixtures

left() {  # seconds, at least one
  local rest=$((deadline - $(now)))
  echo $((rest > 1 ? rest : 1))
}

describe_machine() {
  echo "date: $(date -u +%F)"
  echo "revision: $(cat "$here/revision")"
  echo "kernel: $(uname -sr)"
  echo "glibc: $(ldd --version 2>/dev/null | sed -n '1s/.* //p')"
  if command -v nvidia-smi >/dev/null; then
    nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit --format=csv,noheader | sed 's/^/device: /'
  else
    echo "device: nvidia-smi was not found"
  fi
}

# One row of tests.tsv: what, exit code, seconds, tests, failures, skipped.
# run_program NAME REPORT LIMIT COMMAND...
run_program() {
  local name=$1 report=$2 limit=$3 start=$SECONDS rc
  shift 3
  timeout --kill-after 5 "$limit" "$@" >"$work/$name.log" 2>&1
  rc=$?
  local head='' skipped=0
  [[ -s $report ]] && head=$(grep -m1 '<testsuites ' "$report") && skipped=$(grep -c 'result="skipped"' "$report")
  printf '%s\t%d\t%d\t%s\t%s\t%s\n' "$name" "$rc" $((SECONDS - start)) "$(sed -n 's/.* tests="\([0-9]*\)".*/\1/p' <<<"$head")" \
    "$(sed -n 's/.* failures="\([0-9]*\)".*/\1/p' <<<"$head")" "$skipped" >>"$out/tests.tsv"
  { echo "== $name: exit code $rc"; grep -vE '^\[ +(OK|RUN) |^\[-----' "$work/$name.log" | tail -n 60; } >>"$out/log.txt"
  echo "$name: exit code $rc, $((SECONDS - start)) s"
}

run_test() {
  run_program "$1" "$work/$1.xml" "$(left)" "$here/bin/$1" "--gtest_output=xml:$work/$1.xml"
}

# A tool of compute-sanitizer on one program, a minute at most.
sanitize() {
  local tool=${1%%:*} program=${1#*:}
  (($(left) > 15)) || return 0
  run_program "$tool:$program" "$work/$tool-$program.xml" "$(($(left) < 60 ? $(left) : 60))" \
    "$sanitizer" --tool "$tool" --error-exitcode 99 --print-limit 5 "$here/bin/$program" "--gtest_output=xml:$work/$tool-$program.xml"
}

merge_reports() {
  echo '<?xml version="1.0" encoding="UTF-8"?>'
  echo '<testsuites name="bundle">'
  cat "$work"/*.xml 2>/dev/null | grep -vE '^<\?xml|</?testsuites'
  echo '</testsuites>'
}

tests() {
  local programs=("$here"/bin/cuda_*_test)
  printf 'what\texit\tseconds\ttests\tfailures\tskipped\n' >"$out/tests.tsv"
  export -f run_program run_test sanitize left now
  printf '%s\n' "${programs[@]##*/}" | xargs -P 4 -I{} bash -c 'run_test {}'
  sanitizer=$(command -v compute-sanitizer || ls -d /usr/local/cuda*/bin/compute-sanitizer /usr/local/cuda*/compute-sanitizer/compute-sanitizer \
    2>/dev/null | tail -n 1)
  export sanitizer
  if [[ -n $sanitizer ]]; then
    # The tests of kernels: small shapes. Shared memory and barriers are in those of the second list.
    printf 'memcheck:%s\n' "${programs[@]##*/}" | grep -vE '_(conformance|device|exec|library|plan|train)_test$' |
      xargs -P 4 -I{} bash -c 'sanitize {}'
    for tool in racecheck synccheck; do
      printf '%s\n' "${programs[@]##*/}" | grep -E '_(conv|cross_entropy|gemm|normalization|optimizer|reduce|softmax)_test$' | sed "s/^/$tool:/"
    done | xargs -P 4 -I{} bash -c 'sanitize {}'
  else
    echo "compute-sanitizer was not found" | tee -a "$out/log.txt"
  fi
  merge_reports >"$out/tests.xml"
}

python_with_torch() {
  local python
  for python in python3 /opt/*/.venv/bin/python3 /opt/*/bin/python3; do
    "$python" -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null && echo "$python" && return
  done
}

bench() {
  local python step rc
  python=$(python_with_torch)
  : >"$out/bench.jsonl"
  if [[ -n $python ]]; then
    echo "torch: $("$python" -c 'import torch; print(torch.__version__)')" >>"$out/machine.txt"
    timeout "$(left)" "$python" "$here/peers/gpu_compare.py" --bin "$here/bin" --seconds "$(($(left) - 20))" >"$out/bench.jsonl" 2>>"$out/log.txt"
    rc=$?
  else
    echo "no python3 with torch was found: no peer is measured" | tee -a "$out/log.txt"
    timeout "$(left)" "$here/bin/cuda_bench" >"$out/bench.jsonl" 2>>"$out/log.txt"
    rc=$?
    for step in train-mlp train-cnn; do
      ((rc == 0)) || break
      timeout "$(left)" "$here/bin/model_bench" "$step" 1 2 --device cuda:0 >>"$out/bench.jsonl" 2>>"$out/log.txt" || rc=$?
    done
  fi
  printf 'what\texit\tseconds\ttests\tfailures\tskipped\nbench\t%d\t%d\t\t\t\n' "$rc" $(($(now) - begun)) >"$out/tests.tsv"
  ((rc == 0)) || tail -n 20 "$out/log.txt"
}

: >"$out/log.txt"
describe_machine | tee "$out/machine.txt"
if [[ -x $here/bin/tandem ]]; then "$here/bin/tandem" devices 2>&1 | tee -a "$out/log.txt"; fi
"$stage"
command -v python3 >/dev/null && python3 "$here/report.py" "$out"
codes=$(tail -n +2 "$out/tests.tsv" | cut -f 2 | sort -un | tr '\n' ' ')
[[ $codes == '0 ' ]] && exit 0
[[ $codes == '77 ' ]] && { echo "no GPU: nothing was run" >&2; exit 77; }
exit 1
