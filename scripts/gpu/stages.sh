# What does each stage of scripts/gpu.sh do? Sourced by it. A stage prints what belongs to the evidence on stdout, talk on
# stderr; 0: all good, 77: nothing could run here, else: what failed is in its files.

# suite NAME SECONDS [flags]: records under results/<date>_<gpu>_<suite>'s name; what the machine delivers is measured
# by the first that needs it.
suite() {
  local name=$1 seconds=$(($2 * 7 / 10)) folder known status=0
  shift 2
  folder=$out/${day}_${gpu}_$name
  known=$(grep -cE '"(f32|bf16|fp8_e4m3)": [0-9]' "$out"/*/environment.json /dev/null 2>/dev/null |
    sort -t: -k2 -nr | head -n 1 | grep -v ':0$' | cut -d: -f1)
  "$program" run "$name" --device "$device" --out "$folder" --budget "${seconds}s" \
    ${known:+--ceilings "$(dirname "$known")"} "$@" || status=$?
  # How much of the time the kernels had: a line of the report, for the summary.
  if [ -f "$folder/records.jsonl" ]; then
    "$program" report "$folder" 2>/dev/null | tr '\n' ' ' | tr -s ' ' |
      sed -nE 's/.*(of which [0-9]+ % under load of the kernels measured).*/\1/p' >"$out/$name.share"
  fi
  return "$status"
}

# Cases of lists side by side, for the references are the host's work; a failure outlasts all else, and 77 is left only
# where no list found anything to run.
verify_lists() {
  local list pid one status=77 pids=()
  for list in tests/device/*.txt; do
    "$program" verify_all "$list" --device "$device" >"$out/verify_$(basename "$list")" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do
    one=0
    wait "$pid" || one=$?
    case "$one" in
      0) if [ "$status" -eq 77 ]; then status=0; fi ;;
      77) ;;
      *) status=$one ;;
    esac
  done
  return "$status"
}

# named LIST: gives the answers of a worker (verdict, tab, text) the names of their cases, as verify_all prints them.
named() {
  awk 'NR == FNR { sub(/#.*/, ""); $1 = $1; if ($0 != "") names[++count] = $0; next }
       /^[A-Za-z]+\t/ { split($0, part, "\t"); printf "%-8s %s: %s\n", part[1], names[++answers], part[2]; fflush(); next }
       { print; fflush() }' "$1" -
}

# sanitize TOOL CHECK SECONDS: small cases under compute-sanitizer, which slows a kernel a hundredfold.
sanitize() {
  local status
  echo "compute-sanitizer --tool $2, verify_all over tests/device/sanitizer.list"
  timeout --kill-after=5 "$3" "$1" --tool "$2" --error-exitcode 9 "$program" verify_all --worker --device "$device" \
    <tests/device/sanitizer.list | named tests/device/sanitizer.list | tee "$out/$2.txt"
  status=${PIPESTATUS[0]}
  if [ "$status" -eq 124 ]; then echo "cut off after $3 s"; fi
  if [ "$status" -eq 0 ] && grep -qE '^(WRONG|FAILED)' "$out/$2.txt"; then status=1; fi
  echo
  return "$status"
}

run_stage() {  # run_stage NAME SECONDS
  local seconds=$2 status=0
  case "$1" in
    doctor)
      "$program" doctor && "$program" list kernels || status=$?
      "$program" doctor --probe "$device" || status=$?
      return "$status" ;;
    bringup)
      local stages
      stages=$(dirname "$program")/hopper_stages
      if [ ! -x "$stages" ]; then echo "$stages was not built: skipped" >&2; return 77; fi
      CUDA_VISIBLE_DEVICES=$card "$stages" || status=$?
      if [ "$status" -eq 77 ]; then echo "$stages found no GPU to run on" >&2; fi
      return "$status" ;;
    verify)
      verify_lists || status=$?
      cat "$out"/verify_*.txt
      return "$status" ;;
    faults)
      local faulty
      faulty=$(dirname "$program")/chokepoint-faulty
      if [ ! -x "$faulty" ]; then echo "$faulty was not built: skipped" >&2; return 77; fi
      echo "tests/cli/device_test.py: a kernel that writes to address 16, between two that work"
      python3 -B tests/cli/device_test.py "$faulty" "$device" ;;
    ptx)  # Hopper's own kernels have no PTX, and libraries bring code of their own
      grep -E '^[a-z_]+ cuda_simple ' tests/device/sanitizer.list >"$out/ptx.list"
      echo "CUDA_FORCE_PTX_JIT=1, verify_all over the cases of cuda_simple in tests/device/sanitizer.list: code for sm_80 compiled by the driver"
      CUDA_FORCE_PTX_JIT=1 "$program" verify_all "$out/ptx.list" --device "$device" ;;
    sanitizer)
      local tool check one
      tool=$(command -v compute-sanitizer || ls /usr/local/cuda*/bin/compute-sanitizer 2>/dev/null | tail -n 1)
      if [ -z "$tool" ]; then echo "compute-sanitizer is not installed: skipped" >&2; return 77; fi
      for check in memcheck racecheck; do
        one=0
        sanitize "$tool" "$check" $((seconds / 2 > 6 ? seconds / 2 - 6 : 1)) || one=$?
        if [ "$one" -ne 0 ]; then status=$one; fi
      done
      return "$status" ;;
    calibrate) "$program" calibrate --device "$device" ;;
    selftest) "$program" selftest --device "$device" ;;
    h800) suite h800-vs-h100 "$seconds" "${play[@]}" ;;
    kernels) suite kernels "$seconds" ;;
    fidelity) suite fidelity "$seconds" ;;
    link) suite link-sweep "$seconds" ;;
    energy) suite energy "$seconds" --energy quick ;;
    quick) suite quick "$seconds" "${play[@]}" ;;
    tune)  # they bind nobody: whoever trusts them copies them into configs/tuning
      "$program" tune kernels --device "$device" --filter '*/hopper/*' --budget "$((seconds * 7 / 10))s" \
        --out "$out/${day}_${gpu}_tune" --into "$out/tuning" ;;
  esac
}
