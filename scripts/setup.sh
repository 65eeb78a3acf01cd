#!/usr/bin/env bash
# Installs what building and testing chokepoint needs, from Debian's or Ubuntu's packages; does nothing when all is
# there. Sourced by run.sh and test.sh, which pass the packages' names.
set -euo pipefail

# install_missing PACKAGE... : as root, or through sudo.
install_missing() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  if [ ${#missing[@]} -eq 0 ]; then return 0; fi
  if ! command -v apt-get >/dev/null; then
    echo "error: these are missing and this is no Debian or Ubuntu: ${missing[*]}" >&2
    echo "  fix: install them with your package manager, then run this again" >&2
    exit 2
  fi
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "error: these packages are missing and neither root nor sudo is at hand: ${missing[*]}" >&2
      echo "  fix: have them installed: apt-get install ${missing[*]}" >&2
      exit 2
    fi
    as_root=(sudo)
  fi
  echo "installing: ${missing[*]}" >&2
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

build_packages=(g++ cmake ninja-build pkg-config git libfmt-dev nlohmann-json3-dev libcli11-dev libhwy-dev
                libbenchmark-dev libsqlite3-dev libopenblas0-pthread libdnnl2)
test_packages=(libgtest-dev python3 python3-numpy python3-jsonschema)
