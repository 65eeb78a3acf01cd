#!/usr/bin/env bash
# All tests in one command: installs what is missing, builds, runs.
#   scripts/test.sh [PRESET] [flags of ctest]     PRESET: host (default), ci, asan, tsan
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/setup.sh
install_missing "${build_packages[@]}" "${test_packages[@]}"
preset=host
if [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; then preset=$1; shift; fi
cmake --preset "$preset" -DBUILD_TESTING=ON >/dev/null
cmake --build --preset "$preset" >&2
ctest --preset "$preset" "$@"
