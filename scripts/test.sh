#!/usr/bin/env bash
# All tests in one command: installs what is missing, builds, runs.
#   scripts/test.sh [PRESET] [flags of ctest]     PRESET: host (default), cuda, ci, asan, tsan
# ci builds the CUDA side too where nvcc is, into the same tree: what is plain C++ is compiled once.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/setup.sh
install_missing "${build_packages[@]}" "${test_packages[@]}"
preset=host
if [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; then preset=$1; shift; fi
cuda=()
if [ "$preset" = ci ] && command -v nvcc >/dev/null; then cuda=(-DENABLE_CUDA=ON); fi
cmake --preset "$preset" -DBUILD_TESTING=ON "${cuda[@]}" >/dev/null
cmake --build --preset "$preset" | tee "build/$preset/compile.log" >&2
ctest --preset "$preset" "$@"
