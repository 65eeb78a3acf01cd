// How many clock cycles does a step of a product take on Hopper? What plans compare tiles by; all estimates are to be
// replaced by measurements.
#pragma once

#include <algorithm>

#include "kernels/common/cuda/hopper/product.hpp"

namespace chokepoint::hopper {

// Per clock. Tensor cores, bf16: 989 TFLOP/s of an H100 SXM5 (datasheet) / 132 multiprocessors / 1.83 GHz. L2:
// DeepGEMM's figures (csrc/jit_kernels/heuristics/sm90.hpp@54e2261): 64 B for a multiprocessor, about 6.15 KB for all.
// Memory: 3.35 TB/s (datasheet) at 1.7 GHz.
inline constexpr double kMultiplyAdds = 2048.0, kL2Bytes = 64.0, kL2BytesOfAll = 6150.0, kMemoryBytes = 1970.0;
// Until a block's first product, and for a tile's sums to leave.
inline constexpr double kFillCycles = 1500.0, kTileCycles = 600.0;

// A step of 128 bytes along k, of tiles that load `loaded_bytes` for it.
inline double step_cycles(const ProductTile& tile, double loaded_bytes, int multiprocessors) {
  const double tensor = static_cast<double>(tile.block_m) * tile.block_n * kProductDepth / kMultiplyAdds;
  return std::max(tensor, loaded_bytes / std::min(kL2Bytes, kL2BytesOfAll / multiprocessors));
}

// What is hidden behind the slower of the two is never hidden quite.
inline double both_cycles(double at_work, double memory) {
  return std::max(at_work, memory) + 0.1 * std::min(at_work, memory);
}

}  // namespace chokepoint::hopper
