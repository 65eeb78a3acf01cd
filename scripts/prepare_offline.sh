#!/usr/bin/env bash
# Collects what scripts/gpu.sh needs on a machine without a network into the ignored folder offline/: the program built
# here, and the shared libraries it was linked with. Needs nvcc here, none there.
#   scripts/prepare_offline.sh [DIR]     DIR: offline (default)
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/setup.sh
install_missing "${build_packages[@]}" binutils
folder=${1:-offline}
if ! command -v nvcc >/dev/null; then
  echo "error: nvcc is not on the PATH" >&2
  echo "  fix: install the CUDA toolkit (12.5 to 13.x), or build with -DENABLE_CUDA=ON where it is and copy offline/" >&2
  exit 2
fi
cmake --preset cuda -DBUILD_TESTING=OFF >/dev/null
cmake --build --preset cuda --target chokepoint hopper_stages >&2
if [ -e "$folder" ] && [ ! -e "$folder/version" ]; then
  echo "error: $folder is there and was not made by this script" >&2
  echo "  fix: name another folder, or remove it" >&2
  exit 2
fi
rm -rf "$folder"
mkdir -p "$folder/lib" "$folder/fallback"
strip -o "$folder/chokepoint" build/cuda/chokepoint
strip -o "$folder/hopper_stages" build/cuda/hopper_stages
# What the other machine need not have: everything that is neither the C library nor the driver's.
ldd build/cuda/chokepoint | awk '$3 ~ /^\// {print $3}' | while read -r library; do
  case "$(basename "$library")" in
    libc.so* | libm.so* | libdl.so* | librt.so* | libpthread.so* | ld-linux*) ;;
    libstdc++.so* | libgcc_s.so*) cp "$library" "$folder/fallback/" ;;  # only where the machine's own are older
    *) cp "$library" "$folder/lib/" ;;
  esac
done
git describe --always --dirty --abbrev=12 >"$folder/version"
size=$(du -sm "$folder" | cut -f1)
echo "$folder: $size MiB, $(cat "$folder/version")" >&2
if [ "$size" -gt 60 ]; then
  echo "error: $folder takes $size MiB, above the 60 that travel" >&2
  echo "  fix: look at what grew: du -a $folder | sort -n" >&2
  exit 1
fi
