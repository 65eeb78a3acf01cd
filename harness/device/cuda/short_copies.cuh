// Some short copies at once, by one block: device code of short_copies.cu.
#pragma once

#include <cstddef>
#include <cstdint>

#include "harness/device/device.hpp"

namespace chokepoint {

inline constexpr int kShortCopyThreads = 32;
inline constexpr std::size_t kMostShortCopies = 8;  // by one launch

// By value: a parameter of the launch, so that nothing else has to reach the device first.
struct ShortCopies {
  DeviceCopy all[kMostShortCopies];
  std::size_t count = 0;
};

__global__ void short_copies(ShortCopies copies) {
  for (std::size_t c = 0; c < copies.count; ++c) {
    const DeviceCopy& copy = copies.all[c];
    const auto* from = static_cast<const std::uint64_t*>(copy.from);
    auto* to = static_cast<std::uint64_t*>(copy.to);
    for (std::size_t i = threadIdx.x; i < copy.bytes / sizeof(std::uint64_t); i += kShortCopyThreads) to[i] = from[i];
  }
}

}  // namespace chokepoint
