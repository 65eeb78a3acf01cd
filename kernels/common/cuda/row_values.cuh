// How does a thread take several neighbouring values of a row at once? 16 bytes or one value, as floats.
//
// T is how values are stored: float, or std::uint16_t for the bits of a bf16.
#pragma once

#include <cstdint>

#include "kernels/common/cuda/ptx.cuh"

namespace chokepoint {

template <class T>
inline constexpr int kValuesPer16Bytes = 16 / static_cast<int>(sizeof(T));

// Whether rows of `length` values can be taken 16 bytes at a time, their first row being aligned.
template <class T>
constexpr bool rows_are_aligned(std::int64_t length) {
  return length % kValuesPer16Bytes<T> == 0;
}

__device__ inline float value_of(float stored) { return stored; }
__device__ inline float value_of(std::uint16_t stored) { return bf16_to_float(stored); }

template <class T>
__device__ inline T stored_as(float value);
template <>
__device__ inline float stored_as<float>(float value) {
  return value;
}
template <>
__device__ inline std::uint16_t stored_as<std::uint16_t>(float value) {
  return bf16_from_float_rounded(value);
}

// kCount is 1, or a multiple of what 16 bytes hold; then `from` is aligned to 16 bytes.
template <int kCount, class T>
__device__ inline void load_values(const T* from, float (&values)[kCount]) {
  if constexpr (kCount == 1) {
    values[0] = value_of(*from);
  } else {
    static_assert(kCount % kValuesPer16Bytes<T> == 0, "whole vectors");
#pragma unroll
    for (int v = 0; v < kCount / kValuesPer16Bytes<T>; ++v) {
      const uint4 bits = load_16(from + v * kValuesPer16Bytes<T>);
      const unsigned words[4] = {bits.x, bits.y, bits.z, bits.w};
      float* to = values + v * kValuesPer16Bytes<T>;
#pragma unroll
      for (int w = 0; w < 4; ++w) {
        if constexpr (sizeof(T) == 4) {
          to[w] = __uint_as_float(words[w]);
        } else {
          to[2 * w] = low_bf16_to_float(words[w]);
          to[2 * w + 1] = high_bf16_to_float(words[w]);
        }
      }
    }
  }
}

template <int kCount, class T>
__device__ inline void store_values(T* to, const float (&values)[kCount]) {
  if constexpr (kCount == 1) {
    *to = stored_as<T>(values[0]);
  } else {
    static_assert(kCount % kValuesPer16Bytes<T> == 0, "whole vectors");
#pragma unroll
    for (int v = 0; v < kCount / kValuesPer16Bytes<T>; ++v) {
      const float* from = values + v * kValuesPer16Bytes<T>;
      unsigned words[4];
#pragma unroll
      for (int w = 0; w < 4; ++w) {
        if constexpr (sizeof(T) == 4)
          words[w] = __float_as_uint(from[w]);
        else
          words[w] = pack_bf16(from[2 * w], from[2 * w + 1]);
      }
      store_16(to + v * kValuesPer16Bytes<T>, make_uint4(words[0], words[1], words[2], words[3]));
    }
  }
}

// silu(x) = x / (1 + exp(-x)); for x below -88 the exponential is infinite and the quotient zero, as it should be.
__device__ inline float silu(float x) { return x / (1.0F + expf(-x)); }

}  // namespace chokepoint
