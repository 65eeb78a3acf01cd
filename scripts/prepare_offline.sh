#!/usr/bin/env bash
# Collects what scripts/gpu.sh needs on a machine without a network into the ignored folder offline/: programs built here
# that carry C++'s library and fmt, the shared libraries they still need, and in deps/ what building them anew takes
# besides CMake and nvcc. Needs nvcc here, none there.
#   scripts/prepare_offline.sh [DIR]     DIR: offline (default)
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/setup.sh
folder=${1:-offline}
most_mib=60
programs=(chokepoint hopper_stages chokepoint-faulty)
dev_packages=(libfmt-dev nlohmann-json3-dev libcli11-dev libhwy-dev libbenchmark-dev libsqlite3-dev)

if [ -e "$folder" ] && [ ! -e "$folder/version" ]; then
  echo "error: $folder is there and was not made by this script" >&2
  echo "  fix: name another folder, or remove it" >&2
  exit 2
fi
install_missing "${build_packages[@]}" binutils
if ! command -v nvcc >/dev/null; then
  echo "error: nvcc is not on the PATH" >&2
  echo "  fix: install the CUDA toolkit (12.5 to 13.x), or build with -DENABLE_CUDA=ON where it is and copy offline/" >&2
  exit 2
fi
cmake --preset cuda -DBUILD_TESTING=OFF -DPORTABLE=ON >/dev/null
cmake --build --preset cuda --target "${programs[@]}" >&2

rm -rf "$folder"
mkdir -p "$folder/lib" "$folder/deps"
for program in "${programs[@]}"; do
  strip -o "$folder/$program" "build/cuda/$program"
  if readelf -V "$folder/$program" | grep -E 'GLIBCXX|CXXABI' >&2; then
    echo "error: $folder/$program needs the libstdc++ of the machine" >&2
    echo "  fix: build with -DPORTABLE=ON; see what it links: readelf -d build/cuda/$program" >&2
    exit 1
  fi
done

# What the other machine need not have: everything that is neither the C library, the compiler's nor the driver's. What
# is left (Highway) asks for a libstdc++ of 2015 or later.
ldd build/cuda/chokepoint | awk '$3 ~ /^\// {print $3}' | while read -r library; do
  case "$(basename "$library")" in
    libc.so* | libm.so* | libdl.so* | librt.so* | libpthread.so* | ld-linux* | libstdc++.so* | libgcc_s.so*) ;;
    *) cp "$library" "$folder/lib/" ;;
  esac
done

# collect FILE..: headers, CMake's files and shared libraries of packages, with the files that links name.
collect() {
  local file
  for file in "$@"; do
    case "$file" in
      /usr/include/*.h | /usr/include/*.hpp | */cmake/*.cmake | *.so | *.so.* | */libbenchmark*.a) ;;
      *) continue ;;
    esac
    mkdir -p "$folder/deps/$(dirname "${file#/usr/}")"
    cp -P "$file" "$folder/deps/${file#/usr/}"
    if [ -L "$file" ]; then collect "$(dirname "$file")/$(readlink "$file")"; fi
  done
}
mapfile -t files < <(dpkg -L "${dev_packages[@]}")
collect "${files[@]}"
cudnn=$(sed -nE 's/^CUDNN_INCLUDE_DIR:PATH=(.*[^D])$/\1/p' build/cuda/CMakeCache.txt)
if [ -n "$cudnn" ] && [ -e "$cudnn/cudnn_graph.h" ]; then cp -L "$cudnn"/cudnn*.h "$folder/deps/include/"; fi

git describe --always --dirty --abbrev=12 >"$folder/version"
size=$(du -sm "$folder" | cut -f1)
echo "$folder: $size MiB, $(cat "$folder/version")" >&2
if [ "$size" -gt "$most_mib" ]; then
  echo "error: $folder takes $size MiB, above the $most_mib that travel" >&2
  echo "  fix: look at what grew: du -a $folder | sort -n" >&2
  exit 1
fi
