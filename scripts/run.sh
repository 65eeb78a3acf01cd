#!/usr/bin/env bash
# The main job in one command: installs what is missing, builds, runs the suite `quick` and prints its table.
#   scripts/run.sh [SUITE] [flags of `chokepoint run`]
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/setup.sh
install_missing "${build_packages[@]}"
cmake --preset host -DBUILD_TESTING=OFF >/dev/null
cmake --build --preset host --target chokepoint >&2
if [ $# -eq 0 ]; then set -- quick; fi
exec build/host/chokepoint run "$@"
