#!/usr/bin/env bash
# Everything a GPU has to say, in one command and in order of worth: checks every kernel, measures what the machine
# delivers and whether caps hold, runs the suites, and leaves the evidence in a folder. Needs no network. Never
# touches clocks, power limits or modes.
#   scripts/gpu.sh [--out DIR] [--budget 8m] [--device cuda:0] [--target ID[,ID]] [--only STAGE,..] [--skip STAGE,..] [--dry-run]
# Stages: doctor bringup verify calibrate h800 kernels fidelity link energy quick tune sanitizer. With --target the suites h800-vs-h100 and quick
# play these instead of their own.
set -uo pipefail
cd "$(dirname "$0")/.."

out= budget=8m device=cuda:0 target= only= skip= dry_run=
while [ $# -gt 0 ]; do
  case "$1" in
    --out | --budget | --device | --target | --only | --skip)
      if [ $# -lt 2 ]; then echo "error: $1 needs a value" >&2; exit 2; fi
      declare "${1#--}=$2"; shift 2 ;;
    --dry-run) dry_run=1; shift ;;
    *) echo "error: unknown flag $1" >&2; echo "  fix: see the first lines of $0" >&2; exit 2 ;;
  esac
done
if ! [[ $budget =~ ^([1-9][0-9]*)(m|s)$ ]]; then
  echo "error: --budget is \"$budget\"" >&2; echo "  fix: write 8m or 480s" >&2; exit 2
fi
budget_s=${BASH_REMATCH[1]}
if [ "${BASH_REMATCH[2]}" = m ]; then budget_s=$((budget_s * 60)); fi

# Stage, share of the budget in percent, what it does. Shares that a stage leaves go to those after it.
plan="doctor 2 machine, instruments, libraries
bringup 3 instructions of Hopper, from one box of memory to whole products; stops at the first that is wrong
verify 16 every kernel against its reference, on odd, tiny, ragged and large shapes
calibrate 14 ceilings, whether each cap holds, what a sample costs
h800 20 suite h800-vs-h100: the same silicon behind a narrower link
kernels 18 suite kernels: every kernel as it is, beside the libraries
fidelity 7 suite fidelity: an H100, played by what is here or real
link 8 suite link-sweep: slowdown against the rate of the link
energy 9 joules per launch, counter and second opinion
quick 6 suite quick
tune 7 the fastest tiles and splits of own kernels for the shapes of suite kernels; the choices stay in the folder
sanitizer 5 memcheck and racecheck on small cases, where compute-sanitizer is installed"
wanted() {
  if [ -n "$only" ]; then case ",$only," in *",$1,"*) return 0 ;; *) return 1 ;; esac; fi
  case ",$skip," in *",$1,"*) return 1 ;; esac
}
known=" $(awk '{printf "%s ", $1}' <<<"$plan")"
for stage in ${only//,/ } ${skip//,/ }; do
  case "$known" in *" $stage "*) ;; *) echo "error: no stage \"$stage\"" >&2; echo "  fix: stages are:$known" >&2; exit 2 ;; esac
done
total=0
while read -r stage share _; do if wanted "$stage"; then total=$((total + share)); fi; done <<<"$plan"
if [ "$total" -eq 0 ]; then echo "error: every stage is skipped" >&2; echo "  fix: name one with --only" >&2; exit 2; fi
if [ -n "$dry_run" ]; then
  while read -r stage share text; do
    if wanted "$stage"; then printf '%-10s %4d s  %s\n' "$stage" $((budget_s * share / total)) "$text"; fi
  done <<<"$plan"
  exit 0
fi

# The program: built here, or brought along.
program=
for candidate in build/cuda/chokepoint offline/chokepoint; do
  if [ -x "$candidate" ] && LD_LIBRARY_PATH="offline/lib:${LD_LIBRARY_PATH:-}" "$candidate" --version >/dev/null 2>&1; then
    program=$PWD/$candidate
    break
  fi
  if [ -x "$candidate" ] && [ -d offline/fallback ] &&
    LD_LIBRARY_PATH="offline/lib:offline/fallback:${LD_LIBRARY_PATH:-}" "$candidate" --version >/dev/null 2>&1; then
    program=$PWD/$candidate
    export LD_LIBRARY_PATH="$PWD/offline/fallback:${LD_LIBRARY_PATH:-}"
    break
  fi
done
if [ -z "$program" ]; then
  echo "no program that starts here: building" >&2
  if ! { cmake --preset cuda -DBUILD_TESTING=OFF >/dev/null && cmake --build --preset cuda --target chokepoint hopper_stages >&2; }; then
    echo "error: neither build/cuda/chokepoint nor offline/chokepoint starts here, and building failed" >&2
    echo "  fix: run scripts/prepare_offline.sh where nvcc and the packages are, and bring offline/ along" >&2
    exit 2
  fi
  program=$PWD/build/cuda/chokepoint
fi
export LD_LIBRARY_PATH="$PWD/offline/lib:${LD_LIBRARY_PATH:-}"
export CHOKEPOINT_CONFIGS=$PWD/configs
# Libraries that came with Python packages instead of the toolkit.
if [ -z "${CHOKEPOINT_LIBRARY_PATH:-}" ]; then
  folders=$(python3 - <<'P' 2>/dev/null
import glob, os, site, sys
found = []
for root in {*site.getsitepackages(), *sys.path}:
    for name in ("libcublasLt.so.*", "libcudnn.so.*", "libcudnn_graph.so.*", "libnccl.so.*"):
        found += [os.path.dirname(path) for path in glob.glob(f"{root}/nvidia/**/{name}", recursive=True)]
print(":".join(dict.fromkeys(found)))
P
  )
  cuda=$(ls -d /usr/local/cuda*/lib64 2>/dev/null | tail -n 1)
  export CHOKEPOINT_LIBRARY_PATH="${cuda:+$cuda${folders:+:}}$folders"
fi

gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader -i "${device#cuda:}" 2>/dev/null | head -n 1 | tr 'A-Z' 'a-z' |
  grep -oE '(a|b|h|gb|gh|rtx ?|l)[0-9]+' | head -n 1 | tr -d ' ')
gpu=${gpu:-gpu}
out=${out:-out/$(date -u +%Y-%m-%d_%H%M%S)_$gpu}
mkdir -p "$out"
day=$(date -u +%Y-%m-%d)
play=()
if [ -n "$target" ]; then play=(--target "$target"); fi

# suite NAME SECONDS [flags]: records under results/<date>_<gpu>_<suite>'s name; what the machine delivers is measured
# by the first that needs it.
suite() {
  local name=$1 seconds=$2 known
  shift 2
  known=$(grep -cE '"(f32|bf16|fp8_e4m3)": [0-9]' "$out"/*/environment.json /dev/null 2>/dev/null |
    sort -t: -k2 -nr | head -n 1 | grep -v ':0$' | cut -d: -f1)
  "$program" run "$name" --device "$device" --out "$out/${day}_${gpu}_$name" --budget "${seconds}s" \
    ${known:+--ceilings "$(dirname "$known")"} "$@"
}

run_stage() {  # run_stage NAME SECONDS
  local seconds=$2
  case "$1" in
    doctor) "$program" doctor && "$program" list kernels ;;
    bringup)
      local stages
      stages=$(dirname "$program")/hopper_stages
      if [ ! -x "$stages" ]; then echo "$stages was not built: skipped"; return 77; fi
      CUDA_VISIBLE_DEVICES=${device#cuda:} timeout "$((seconds + 60))" "$stages" ;;
    verify)
      local lists=(tests/device/*.txt) status=77 one list pids=()
      for list in "${lists[@]}"; do  # side by side: the references are the host's work
        "$program" verify_all "$list" --device "$device" >"$out/verify_$(basename "$list")" 2>&1 &
        pids+=($!)
      done
      for pid in "${pids[@]}"; do  # a failure outlasts all else; 77 only where no list found anything to run
        one=0
        wait "$pid" || one=$?
        case "$one" in
          0) if [ "$status" -eq 77 ]; then status=0; fi ;;
          77) ;;
          *) status=$one ;;
        esac
      done
      cat "$out"/verify_*.txt | grep -vE '^ok ' 
      return "$status" ;;
    calibrate)
      local status=0
      "$program" calibrate --device "$device" || status=$?
      "$program" selftest --device "$device" || status=$?
      return "$status" ;;
    h800) suite h800-vs-h100 $((seconds * 7 / 10)) "${play[@]}" ;;
    kernels) suite kernels $((seconds * 7 / 10)) ;;
    fidelity) suite fidelity $((seconds * 7 / 10)) ;;
    link) suite link-sweep $((seconds * 7 / 10)) ;;
    energy) suite energy $((seconds * 7 / 10)) --energy quick ;;
    quick) suite quick $((seconds * 7 / 10)) "${play[@]}" ;;
    tune)  # they bind nobody: whoever trusts them copies them into configs/tuning
      "$program" tune kernels --device "$device" --filter '*/hopper/*' --budget "$((seconds * 7 / 10))s" \
        --out "$out/${day}_${gpu}_tune" --into "$out/tuning" ;;
    sanitizer)
      local tool
      tool=$(command -v compute-sanitizer || ls /usr/local/cuda*/bin/compute-sanitizer 2>/dev/null | tail -n 1)
      if [ -z "$tool" ]; then echo "compute-sanitizer is not installed: skipped"; return 77; fi
      local check
      for check in memcheck racecheck; do
        timeout $((seconds / 2 + 1)) "$tool" --tool "$check" --error-exitcode 9 "$program" verify_all --worker --device "$device" \
          <tests/device/sanitizer.list | tee /dev/stderr | grep -qE '^(WRONG|FAILED)' && return 1
        if [ "${PIPESTATUS[0]}" -ne 0 ]; then return 9; fi
      done ;;
  esac
}

start=$SECONDS
table=
left_share=$total
worst=0
while read -r stage share _ <&3; do
  if ! wanted "$stage"; then continue; fi
  left_s=$((budget_s - (SECONDS - start)))
  seconds=$((left_s > 0 ? left_s * share / left_share : 0))
  left_share=$((left_share - share))
  if [ "$left_s" -le 5 ]; then
    table+=$(printf '%-10s %5s    %s' "$stage" - "not run: the budget of $budget was spent")$'\n'
    continue
  fi
  echo "== $stage (about $seconds s)" >&2
  began=$SECONDS
  export -f run_stage suite
  export program device out day gpu
  set -m  # a process group each, so that a stage is ended with all that it started
  ( run_stage "$stage" "$seconds" ) >"$out/$stage.txt" 2>"$out/$stage.log" &
  job=$!
  ( sleep "$left_s"; kill -TERM -- "-$job" ) >/dev/null 2>&1 &
  watchdog=$!
  set +m
  wait "$job" 2>/dev/null
  status=$?
  kill -TERM -- "-$watchdog" 2>/dev/null
  case "$status" in
    0) verdict=ok ;;
    77) verdict="nothing could run here" ;;
    *) verdict="exit code $status: see $out/$stage.txt and .log"; worst=1 ;;
  esac
  table+=$(printf '%-10s %5d s  %s' "$stage" $((SECONDS - began)) "$verdict")$'\n'
done 3<<<"$plan"

printf '\n%s: %s, %d s\n%s' "$out" "$gpu" $((SECONDS - start)) "$table" | tee "$out/summary.txt"
exit "$worst"
