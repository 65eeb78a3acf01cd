// How does a core normalise one row with its widest vectors? Compiled for every CPU, chosen at run time.
#pragma once

#include <cstdint>

#include "harness/base/dtype.hpp"

namespace chokepoint::rms_norm {

// Arrays of `hidden` values of one dtype, f32 or bf16.
struct Row {
  const void* x = nullptr;
  const void* residual = nullptr;  // may be null: none
  const void* gamma = nullptr;
  void* y = nullptr;
  void* sum = nullptr;  // x + residual; null exactly when residual is
  std::int64_t hidden = 0;
  float epsilon = 0.0F;
  bool bypass = false;  // y and sum go past the caches (non-temporal stores); both are 64-byte aligned then
};

// y = h / sqrt(mean(h^2) + epsilon) * gamma with h = x + residual, in f32; y and sum are rounded once. The
// inputs are read twice, the second time from the core's own caches.
void normalise(const Row& row, Dtype dtype);

}  // namespace chokepoint::rms_norm
