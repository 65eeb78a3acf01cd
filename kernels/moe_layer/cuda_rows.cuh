// What happens to rows between gate, wires and matrix products on a GPU? Quantised, activated, gathered and
// added up.
//
// All of it is bound by memory. Rows whose length is a multiple of 16 bytes are read and written in pieces of 16
// bytes (codes: 8), others value by value. T is float, or std::uint16_t for bf16.
#pragma once

#include <cstdint>

#include "kernels/common/cuda/charge_share.cuh"
#include "kernels/common/cuda/row_values.cuh"
#include "kernels/common/gemm_quantise.hpp"

namespace chokepoint::moe {

// ---- fp8 rows ----

// As quantise.hpp has it.
inline constexpr float kDeviceSmallestAmax = 1e-4F, kDeviceLargestCode = 448.0F;
inline constexpr int kScaleLength = static_cast<int>(gemm::kScaleBlock);
// 16 threads share a block of 128 values, 8 each.
inline constexpr int kQuantiseLanes = 16, kQuantiseValues = 8, kQuantiseThreads = 256;
static_assert(kQuantiseLanes * kQuantiseValues == kScaleLength, "a scale block per 16 threads");

struct Quantise {
  const void* in = nullptr;  // [rows, length]; with kActivate float [rows, 2 * length]: what is quantised is then
                             // silu(in[r, i]) * in[r, length + i]
  std::uint8_t* codes = nullptr;  // [rows, length]
  float* scales = nullptr;        // [rows, ceil(length / 128)]
  std::int64_t rows = 0, length = 0;

  __host__ __device__ std::int64_t blocks_per_row() const { return (length + kScaleLength - 1) / kScaleLength; }
  std::int64_t threads() const { return rows * blocks_per_row() * kQuantiseLanes; }
};

template <class T, bool kActivate>
__device__ inline void load_unquantised(const Quantise& task, std::int64_t row, std::int64_t i,
                                        float (&values)[kQuantiseValues]) {
  const T* in = static_cast<const T*>(task.in) + row * (kActivate ? 2 : 1) * task.length + i;
  if (task.length % kQuantiseValues == 0 && i < task.length) {
    load_values<kQuantiseValues>(in, values);
    if constexpr (kActivate) {
      float factors[kQuantiseValues];
      load_values<kQuantiseValues>(in + task.length, factors);
#pragma unroll
      for (int v = 0; v < kQuantiseValues; ++v) values[v] = silu(values[v]) * factors[v];
    }
    return;
  }
#pragma unroll
  for (int v = 0; v < kQuantiseValues; ++v) {
    values[v] = i + v < task.length ? value_of(in[v]) : 0.0F;
    if constexpr (kActivate)
      if (i + v < task.length) values[v] = silu(values[v]) * value_of(in[task.length + v]);
  }
}

template <class T, bool kActivate>
__global__ void __launch_bounds__(kQuantiseThreads) quantise_rows(Quantise task) {
  const std::int64_t thread = std::int64_t{blockIdx.x} * kQuantiseThreads + threadIdx.x;
  const std::int64_t blocks = task.blocks_per_row(), block = thread / kQuantiseLanes;
  const bool inside = block < task.rows * blocks;
  const std::int64_t row = block / blocks;
  const std::int64_t i = block % blocks * kScaleLength + thread % kQuantiseLanes * kQuantiseValues;
  float values[kQuantiseValues] = {};
  if (inside) load_unquantised<T, kActivate>(task, row, i, values);
  float largest = kDeviceSmallestAmax;
#pragma unroll
  for (int v = 0; v < kQuantiseValues; ++v) largest = fmaxf(largest, fabsf(values[v]));
#pragma unroll
  for (int distance = kQuantiseLanes / 2; distance > 0; distance /= 2)
    largest = fmaxf(largest, __shfl_xor_sync(0xffffffffU, largest, distance));
  if (!inside || i >= task.length) return;
  const float scale = largest / kDeviceLargestCode;
  if (thread % kQuantiseLanes == 0) task.scales[block] = scale;
  std::uint8_t* codes = task.codes + row * task.length + i;
  if (task.length % kQuantiseValues != 0) {
    for (int v = 0; v < kQuantiseValues && i + v < task.length; ++v) codes[v] = e4m3_from_float(values[v] / scale);
    return;
  }
  unsigned words[2] = {0, 0};
#pragma unroll
  for (int v = 0; v < kQuantiseValues; v += 2)
    words[v / 4] |= static_cast<unsigned>(pack_e4m3(values[v] / scale, values[v + 1] / scale)) << (v % 4 * 8);
  *reinterpret_cast<uint2*>(codes) = make_uint2(words[0], words[1]);
}

// ---- Gathered rows ----

inline constexpr int kGatherThreads = 128;

// to[r] = from[from_rows[r]], both dense.
struct GatherRows {
  const void* from = nullptr;
  const std::int32_t* from_rows = nullptr;
  void* to = nullptr;
  std::int64_t rows = 0, row_bytes = 0;
};

// Grid: rows x blocks of kGatherThreads pieces. Rows are whole pieces, and aligned to them.
template <class Piece>
__global__ void __launch_bounds__(kGatherThreads) gather_rows(GatherRows task) {
  const std::int64_t pieces = task.row_bytes / static_cast<std::int64_t>(sizeof(Piece));
  const std::int64_t row = blockIdx.x, i = std::int64_t{blockIdx.y} * kGatherThreads + threadIdx.x;
  if (i >= pieces) return;
  static_cast<Piece*>(task.to)[row * pieces + i] =
      static_cast<const Piece*>(task.from)[task.from_rows[row] * pieces + i];
}

// ---- Sums of rows ----

inline constexpr int kSumThreads = 128;

// out[r] = sum of weights[use_choice[u]] * results[use_row[u]] for u in [use_begin[r], use_begin[r + 1])
//        + sum of returned[term_row[t]] for t in [term_begin[r], term_begin[r + 1])
//        + shared[r], where there is one.
// Summed in f32. Rows are `length` long and dense; `results` and `shared` are of type Result, the others of type T.
struct SumRows {
  std::int64_t rows = 0, length = 0;
  const std::int32_t *use_begin = nullptr, *use_row = nullptr, *use_choice = nullptr;
  const std::int32_t *term_begin = nullptr, *term_row = nullptr;
  const float* weights = nullptr;
  const void *results = nullptr, *returned = nullptr, *shared = nullptr;
  void* out = nullptr;
  const unsigned* mismatches = nullptr;  // not 0: rows become NaN, as the exchange carried other tokens; null: none
  double memory_bytes = 0.0;
  DevicePace pace = {};
};

template <class T, int kCount>
__device__ inline void add_row(const void* rows, std::int64_t row, std::int64_t length, std::int64_t i, float factor,
                               float (&sum)[kCount]) {
  float values[kCount];
  load_values<kCount>(static_cast<const T*>(rows) + row * length + i, values);
#pragma unroll
  for (int v = 0; v < kCount; ++v) sum[v] += factor * values[v];
}

// Grid: rows x pieces of kSumThreads * kCount values.
template <class Result, class T, int kCount>
__global__ void __launch_bounds__(kSumThreads) sum_rows(SumRows task) {
  const std::int64_t row = blockIdx.x, block = std::int64_t{blockIdx.y} * gridDim.x + blockIdx.x;
  const bool charges = threadIdx.x == 0;
  const BlockCharge charge(charges ? task.pace.memory : nullptr, task.memory_bytes, block,
                           std::int64_t{gridDim.x} * gridDim.y);
  const std::int64_t i = (std::int64_t{blockIdx.y} * kSumThreads + threadIdx.x) * kCount;
  if (i < task.length) {
    float sum[kCount] = {};
    for (std::int32_t u = task.use_begin[row]; u < task.use_begin[row + 1]; ++u)
      add_row<Result, kCount>(task.results, task.use_row[u], task.length, i, task.weights[task.use_choice[u]], sum);
    for (std::int32_t t = task.term_begin[row]; t < task.term_begin[row + 1]; ++t)
      add_row<T, kCount>(task.returned, task.term_row[t], task.length, i, 1.0F, sum);
    if (task.shared != nullptr) add_row<Result, kCount>(task.shared, row, task.length, i, 1.0F, sum);
    if (task.mismatches != nullptr && *task.mismatches != 0) {
#pragma unroll
      for (int v = 0; v < kCount; ++v) sum[v] = NAN;
    }
    store_values<kCount>(static_cast<T*>(task.out) + row * task.length + i, sum);
  }
  if (charges) charge.wait();
}

}  // namespace chokepoint::moe
