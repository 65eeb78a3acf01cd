// How are few query rows multiplied with keys and values where these lie? In place, without packing: each key
// and value is read once, which is all there is to do when memory is the bound.
#pragma once

#include <cstdint>

#include "harness/base/dtype.hpp"

namespace chokepoint::thin {

// Vectors in storage: vector t begins at element at[t] of `data`.
struct Vectors {
  const void* data = nullptr;
  Dtype dtype = Dtype::f32;  // f32 or bf16
  const std::int64_t* at = nullptr;
  std::int64_t count = 0, dim = 0;
};

// scores[r, t] = q[r] . keys[t]. q is f32, rows `ldq` floats apart. A row of scores has room for a multiple
// of 4 keys.
void dot_products(const float* q, std::int64_t ldq, std::int64_t rows, const Vectors& keys, float* scores,
                  std::int64_t ld);

// sums[r] (+)= sum over t of weights[r, t] values[t].
void weighted_sums(const float* weights, std::int64_t ld, std::int64_t rows, const Vectors& values,
                   float* sums, std::int64_t ld_sums, bool accumulate);

}  // namespace chokepoint::thin
