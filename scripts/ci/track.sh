#!/usr/bin/env bash
# Did this change make kernels slower? Builds a base commit beside the work tree, runs one suite with both on this machine
# in turn (A B B A ..), compares and gates.
#   scripts/ci/track.sh --base REF [--suite NAME] [--runs N] [--out DIR] [--strict] [-- flags of `chokepoint run`]
# Exit codes are those of `chokepoint compare --gate`: 0 nothing slower, 3 a case is slower or broke, 4 undecided with
# --strict; 1 and 2 when something failed, 77 when nothing of the suite can run here.
# Environment:
#   BUILD_COMMAND   run in each checkout; has to leave the program at $PROGRAM (default: the CMake preset `host`)
#   PROGRAM         path of the built program in a checkout (default build/host/chokepoint)
#   BASE_PROGRAM, NEW_PROGRAM   programs that are built already; nothing is built then
set -euo pipefail

base='' suite=quick runs=3 out=chokepoint-ci strict=()
while [ $# -gt 0 ]; do
  case "$1" in
    --base) base=${2:?--base takes a commit}; shift 2 ;;
    --suite) suite=${2:?--suite takes a name or file}; shift 2 ;;
    --runs) runs=${2:?--runs takes a number}; shift 2 ;;
    --out) out=${2:?--out takes a folder}; shift 2 ;;
    --strict) strict=(--strict); shift ;;
    --) shift; break ;;
    *) echo "error: unknown flag $1" >&2; echo "  fix: see the first lines of $0" >&2; exit 2 ;;
  esac
done
program=${PROGRAM:-build/host/chokepoint}
build_command=${BUILD_COMMAND:-cmake --preset host -DBUILD_TESTING=OFF && cmake --build --preset host --target chokepoint}

fail() { echo "error: $1" >&2; echo "  fix: $2" >&2; exit 2; }
case "$runs" in ''|*[!0-9]*|0) fail "--runs is \"$runs\"" "give a number of at least 1; 3 shows what runs differ by" ;; esac
if [ -e "$out/base" ] || [ -e "$out/new" ]; then
  fail "$out holds an earlier comparison" "remove it, or name another folder with --out"
fi

base_program=${BASE_PROGRAM:-} new_program=${NEW_PROGRAM:-}
if [ -z "$base_program" ] || [ -z "$new_program" ]; then
  [ -n "$base" ] || fail "there is no commit to compare with" "give --base origin/main"
  git rev-parse --verify --quiet "$base^{commit}" >/dev/null ||
    fail "$base is no commit of this checkout" "fetch it: a shallow checkout has one commit only (fetch-depth: 0)"
  root=$(git rev-parse --show-toplevel)
  folder_of_base=$(mktemp -d)
  checkout=$folder_of_base/base
  trap 'git -C "$root" worktree remove --force "$checkout" >/dev/null 2>&1; rm -rf "$folder_of_base"' EXIT
  git -C "$root" worktree add --quiet --detach "$checkout" "$base"
  for folder in "$checkout" "$root"; do
    echo "building $(git -C "$folder" rev-parse --short HEAD) in $folder" >&2
    (cd "$folder" && bash -c "$build_command" >&2) || fail "building in $folder failed" "the output above says why"
  done
  base_program=$checkout/$program new_program=$root/$program
fi
for file in "$base_program" "$new_program"; do
  [ -x "$file" ] || fail "there is no program at $file" "set PROGRAM to where the build leaves it"
done

# One run of one side. A case that fails is a record too, and the comparison judges it.
run_side() {  # side, program, number, flags..
  local side=$1 runner=$2 number=$3 code=0
  shift 3
  echo "run $number of $runs: $side" >&2
  "$runner" run "$suite" --out "$out/$side/$number" "$@" >/dev/null || code=$?
  case "$code" in
    0|1|3) ;;
    77) echo "nothing of suite $suite can run here" >&2; exit 77 ;;
    *) fail "$side: chokepoint run ended with $code" "the output above says why" ;;
  esac
}

mkdir -p "$out"
for number in $(seq "$runs"); do  # drift over the job falls on both sides alike
  if [ $((number % 2)) -eq 1 ]; then
    run_side base "$base_program" "$number" "$@"; run_side new "$new_program" "$number" "$@"
  else
    run_side new "$new_program" "$number" "$@"; run_side base "$base_program" "$number" "$@"
  fi
done

code=0
"$new_program" compare "$out/base" "$out/new" --gate "${strict[@]}" --markdown "$out/summary.md" --junit "$out/junit.xml" || code=$?
if [ -n "${GITHUB_STEP_SUMMARY:-}" ] && [ -s "$out/summary.md" ]; then
  touch "$GITHUB_STEP_SUMMARY"
  if [ $(($(wc -c <"$GITHUB_STEP_SUMMARY") + $(wc -c <"$out/summary.md"))) -le 1048576 ]; then  # GitHub drops more
    cat "$out/summary.md" >>"$GITHUB_STEP_SUMMARY"
  else
    echo "warning: the step's summary has no room for $out/summary.md" >&2
  fi
fi
exit "$code"
