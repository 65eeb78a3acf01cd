#!/usr/bin/env bash
# Everything a GPU has to say, in one command and in order of worth: checks every kernel, measures what the machine
# delivers and whether caps hold, runs the suites, and leaves the evidence in a folder. Needs no network. Never
# touches clocks, power limits or modes.
#   scripts/gpu.sh [--out DIR] [--budget 8m] [--device cuda:0] [--target ID[,ID]] [--only STAGE,..] [--skip STAGE,..] [--dry-run]
# Stages: doctor bringup verify faults ptx sanitizer calibrate selftest h800 kernels energy link fidelity quick tune. With
# --target the suites h800-vs-h100 and quick play these instead of their own. DIR then holds folders that can be committed
# under results/: <date>_<gpu>_checks, with the summary, and one for each suite.
set -uo pipefail
cd "$(dirname "$0")/.."
source scripts/gpu/program.sh
source scripts/gpu/stages.sh

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
if ! [[ $device =~ ^cuda:(0|[1-9][0-9]*)$ ]]; then
  echo "error: --device is \"$device\"" >&2; echo "  fix: write cuda:0; stages of a CPU are scripts/run.sh and scripts/test.sh" >&2; exit 2
fi
card=$(card_of "${BASH_REMATCH[1]}") || exit 2

# Stage, share of the budget in percent, what it does. What a stage leaves goes to those after it.
plan="doctor 4 machine, instruments, libraries, what the instruments are worth
bringup 3 instructions of Hopper, from one box of memory to whole products; stops at the first that is wrong
verify 13 every kernel against its reference, on odd, tiny, ragged and large shapes
faults 2 a kernel that faults costs its own case
ptx 3 the PTX for other cards, compiled by the driver, on small cases
sanitizer 7 memcheck and racecheck on small cases, where compute-sanitizer is installed
calibrate 9 ceilings, and whether each cap holds
selftest 4 rates that clocks deliver, what a sample costs
h800 16 suite h800-vs-h100: the same silicon behind a narrower link
kernels 14 suite kernels: every kernel as it is, beside the libraries
energy 7 joules per launch, counter and second opinion
link 6 suite link-sweep: slowdown against the rate of the link
fidelity 5 suite fidelity: an H100, played by what is here or real
quick 4 suite quick
tune 3 the fastest tiles and splits of own kernels for the shapes of suite kernels; the choices stay in the folder"
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
play=()
if [ -n "$target" ]; then play=(--target "$target"); fi

# until_s SHARES: seconds from the start at which stages with these shares together have to be through.
until_s() { echo $((budget_s * $1 / total)); }
if [ -n "$dry_run" ]; then
  shares=0
  while read -r stage share text; do
    if ! wanted "$stage"; then continue; fi
    case "$stage" in h800 | quick) text+="${target:+ (--target $target)}" ;; esac
    printf '%-10s %4d s  %s\n' "$stage" $(($(until_s $((shares + share))) - $(until_s "$shares"))) "$text"
    shares=$((shares + share))
  done <<<"$plan"
  printf '%-10s %4d s  card %s\n' together "$budget_s" "$card"
  exit 0
fi

program= build=
find_program
export LD_LIBRARY_PATH="$PWD/offline/lib:${LD_LIBRARY_PATH:-}"
export CHOKEPOINT_CONFIGS=$PWD/configs
export CHOKEPOINT_LIBRARY_PATH=${CHOKEPOINT_LIBRARY_PATH:-$(library_folders)}

gpu_name=$(nvidia-smi --query-gpu=name --format=csv,noheader -i "$card" 2>/dev/null | head -n 1)
gpu=$(tr 'A-Z' 'a-z' <<<"$gpu_name" | grep -oE '(a|b|h|gb|gh|rtx ?|l)[0-9]+' | head -n 1 | tr -d ' ')
gpu=${gpu:-gpu}
out=${out:-out/$(date -u +%Y-%m-%d_%H%M%S)_$gpu}
day=$(date -u +%Y-%m-%d)
checks=$out/${day}_${gpu}_checks
if ! mkdir -p "$checks"; then echo "error: $checks cannot be made" >&2; echo "  fix: name another folder with --out" >&2; exit 2; fi

# What a stage printed is evidence; a suite's evidence is its records, and its table lies beside them.
printed_by() { case "$1" in h800 | kernels | energy | link | fidelity | quick | tune) echo "$out/$1.txt" ;; *) echo "$checks/$1.txt" ;; esac; }

# verdict_of STAGE STATUS: for the table; the first error of a stage that failed stands in it.
verdict_of() {
  local first
  case "$2" in
    0) echo "ok" ;;
    77) echo "nothing could run here: $(cat "$(printed_by "$1")" "$out/$1.log" 2>/dev/null | grep . | tail -n 1 | cut -c1-160)" ;;
    124 | 137 | 143) echo "stopped: its share of $budget was spent" ;;
    *)
      first=$(grep -hm 1 -E '^error: ' "$out/$1.log" "$(printed_by "$1")" 2>/dev/null | head -n 1)
      echo "exit code $2${first:+: $first}; see $(printed_by "$1") and $out/$1.log" ;;
  esac
}

start=$SECONDS
table= shares=0 worst=0
while read -r stage share _ <&3; do
  if ! wanted "$stage"; then continue; fi
  shares=$((shares + share))
  seconds=$(($(until_s "$shares") - (SECONDS - start)))
  if [ "$seconds" -le 1 ]; then
    table+=$(printf '%-10s %5s    %s' "$stage" - "not run: earlier stages left it no time of $budget")$'\n'
    continue
  fi
  echo "== $stage (at most $seconds s)" >&2
  began=$SECONDS
  set -m  # a process group each, so that a stage is ended with all that it started
  ( run_stage "$stage" "$seconds" ) >"$(printed_by "$stage")" 2>"$out/$stage.log" &
  job=$!
  ( sleep "$seconds"; kill -TERM -- "-$job"; sleep 5; kill -KILL -- "-$job" ) >/dev/null 2>&1 &
  watchdog=$!
  set +m
  wait "$job" 2>/dev/null
  status=$?
  kill -TERM -- "-$watchdog" 2>/dev/null
  kill -KILL -- "-$job" 2>/dev/null  # whoever of them would not end
  case "$status" in 0 | 77) ;; *) worst=1 ;; esac
  if [ "$stage" = verify ] && [ -n "$(ls "$out"/verify_*.txt 2>/dev/null)" ]; then cat "$out"/verify_*.txt >"$checks/verify.txt"; fi
  note=$(cat "$out"/{h800-vs-h100,link-sweep,"$stage"}.share 2>/dev/null | tail -n 1)
  rm -f "$out"/*.share
  table+=$(printf '%-10s %5d s  %s' "$stage" $((SECONDS - began)) "$(verdict_of "$stage" "$status")${note:+; $note}")$'\n'
done 3<<<"$plan"

printf 'gpu: %s\nprogram: build %s\n%s: %d s of %s\n%s' "${gpu_name:-unknown}" "$build" "$out" $((SECONDS - start)) "$budget" "$table" |
  tee "$checks/summary.txt"
find "$checks" -name '*.txt' -empty -delete
exit "$worst"
