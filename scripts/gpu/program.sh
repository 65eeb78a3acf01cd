# Which program and which card does scripts/gpu.sh measure with? Sourced by it, in the checkout's root.

# state_of PROGRAM: the commit it was built from, as `--version` says; nothing where it does not start or does not say.
state_of() {
  LD_LIBRARY_PATH="$PWD/offline/lib:${LD_LIBRARY_PATH:-}" "$1" --version 2>/dev/null | sed -nE 's/^[^,]*, git ([^ ]+)$/\1/p'
}

# The commit of this checkout: git's word, or that of the folder that came with it. Nothing where neither knows.
state_here() {
  git describe --always --dirty --abbrev=12 2>/dev/null || cat offline/version 2>/dev/null || true
}

# same_state A B: the same commit; uncommitted changes alone (-dirty) are no reason to refuse, since records say so too.
same_state() { [ "${1%-dirty}" = "${2%-dirty}" ]; }

build_here() {
  local generator=()
  if ! command -v ninja >/dev/null; then generator=(-G "Unix Makefiles"); fi
  if [ -d offline/deps ]; then generator+=(-DCMAKE_PREFIX_PATH="$PWD/offline/deps" -DPORTABLE=ON); fi
  cmake --preset cuda -DBUILD_TESTING=OFF "${generator[@]}" >&2 &&
    cmake --build build/cuda -j "$(nproc)" --target chokepoint hopper_stages chokepoint-faulty >&2
}

# find_program: sets `program` and `build`, or ends with one line that says what is stale and what to do.
find_program() {
  local here candidate stale=
  here=$(state_here)
  for candidate in build/cuda/chokepoint offline/chokepoint; do
    if [ ! -x "$candidate" ]; then continue; fi
    build=$(state_of "$candidate")
    if [ -n "$build" ] && { [ -z "$here" ] || same_state "$build" "$here"; }; then
      program=$PWD/$candidate
      if [ -z "$here" ]; then echo "note: neither git nor offline/version says what this checkout is; $candidate is of $build" >&2; fi
      return
    fi
    stale+="${stale:+, }$candidate $([ -n "$build" ] && echo "is of $build" || echo "does not start here or does not say its commit")"
  done
  echo "${stale:-there is no program}${stale:+, and this checkout is $here}: building" >&2
  if ! command -v nvcc >/dev/null || ! build_here; then
    echo "error: ${stale:-neither build/cuda/chokepoint nor offline/chokepoint is there}${stale:+; this checkout is ${here:-unknown}}, and it cannot be built here" >&2
    echo "  fix: run scripts/prepare_offline.sh of this checkout where nvcc and the packages are, and bring offline/ along" >&2
    exit 2
  fi
  program=$PWD/build/cuda/chokepoint
  build=$(state_of "$program")
}

# card_of N: what CUDA_VISIBLE_DEVICES calls cuda:N, an index or a UUID; N itself where that is not set.
card_of() {
  if [ -z "${CUDA_VISIBLE_DEVICES+set}" ]; then echo "$1"; return; fi
  local cards=() i
  IFS=, read -r -a cards <<<"$CUDA_VISIBLE_DEVICES"
  for ((i = 0; i <= $1; ++i)); do
    if ! [[ ${cards[i]:-} =~ ^(0*[0-9]+|GPU-.+|MIG-.+)$ ]]; then  # CUDA sees none behind the first that is neither
      echo "error: CUDA_VISIBLE_DEVICES=$CUDA_VISIBLE_DEVICES shows no cuda:$1" >&2
      echo "  fix: --device counts what CUDA_VISIBLE_DEVICES lists, from cuda:0" >&2
      return 2
    fi
  done
  echo "${cards[$1]}"
}

# Libraries that came with Python packages instead of the toolkit.
library_folders() {
  local folders cuda
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
  echo "${cuda:+$cuda${folders:+:}}$folders"
}
