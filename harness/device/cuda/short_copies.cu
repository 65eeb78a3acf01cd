#include "harness/device/cuda/short_copies.cuh"

#include <algorithm>

#include "harness/device/cuda/check.hpp"
#include "harness/device/cuda/short_copies.hpp"

namespace chokepoint {

void copy_shortly(std::span<const DeviceCopy> copies, void* stream) {
  while (!copies.empty()) {
    ShortCopies some;
    some.count = std::min(copies.size(), kMostShortCopies);
    std::copy_n(copies.begin(), some.count, some.all);
    short_copies<<<1, kShortCopyThreads, 0, static_cast<cudaStream_t>(stream)>>>(some);
    check(cudaGetLastError());
    copies = copies.subspan(some.count);
  }
}

}  // namespace chokepoint
