// How does device code multiply matrices? C[m, n] (+)= A[m, k] x B, one product or one per group of rows.
//
// The same kernels serve every operation: bf16 and fp8 by tensor cores, f32 by plain multiply-adds.
// `cuda_gemm` only enqueues; groups are read from device memory when the kernel runs, so routing may be
// decided there. No CUDA types here: a stream is a cudaStream_t, and pointers are device memory unless said
// otherwise.
#pragma once

#include <cstdint>

#include "harness/base/dtype.hpp"
#include "kernels/pace.hpp"

namespace chokepoint {

enum class GemmLayout {
  nk,
  kn
};  // of B: [n, k] (weights, contiguous along k) or [k, n]; row-major, no padding

struct GemmTask {
  Dtype dtype = Dtype::bf16;  // of A and B: f32, bf16 or fp8_e4m3
  std::int64_t m = 0;  // rows of the product, of all groups together; an upper bound with `group_begin`
  std::int64_t n = 0, k = 0;

  const void* a = nullptr;         // row-major; row r of the product is stored row a_rows[r], or r without
  std::int64_t a_stride = 0;       // elements between stored rows; 0: k
  const float* a_scale = nullptr;  // fp8: [stored rows, ceil(k / 128)]
  const std::int32_t* a_rows = nullptr;  // [m], a gather of data and scales

  const void* b = nullptr;  // [groups, n, k] or [groups, k, n]
  GemmLayout b_layout = GemmLayout::nk;
  const float* b_scale =
      nullptr;  // fp8: per 128 x 128 block, [groups, ceil(rows / 128), ceil(cols / 128)] of b

  // Rows [group_begin[g], group_begin[g + 1]) are multiplied by matrix g; empty groups are fine, rows outside
  // all groups are not touched. [groups + 1]; null: one group of m rows.
  const std::int32_t* group_begin = nullptr;
  std::int64_t groups = 1;          // at most kMostGemmGroups
  std::int64_t rows_per_group = 0;  // what to expect, for the choice of tiles; 0: m / groups

  void* c = nullptr;            // row-major, row r of the product
  Dtype c_dtype = Dtype::bf16;  // bf16 or f32
  std::int64_t c_stride = 0;    // elements between rows; 0: n
  bool accumulate = false;      // adds to what is there

  // Lets products of few tiles be cut along k: gemm_workspace_bytes(task) bytes, ZEROED before the first use;
  // kernels leave the counters in it zeroed. Products that follow each other on one stream may share the
  // largest. Without, or when it is too small, nothing is cut.
  void* workspace = nullptr;
  std::int64_t workspace_bytes = 0;

  // Multiprocessors to be used: those that its stream reaches, fewer where a wire on another stream shares them, since
  // blocks of a product stay until its end and would keep it from starting. 0: all of the device's.
  int multiprocessors = 0;

  // Charges: 2 k FLOP per element of C that is computed, and `memory_bytes` in all, spread evenly over the
  // tiles (nothing where there is no tile). Null clocks charge nothing.
  double memory_bytes = 0.0;
  DevicePace pace = {};
};

inline constexpr std::int64_t kMostGemmGroups = 1024;

// 0 where nothing would be cut. Asks the current device how many multiprocessors it has.
std::int64_t gemm_workspace_bytes(const GemmTask& task);

// Enqueues on `stream`; throws Error{unsupported} for a task it does not know and Error{device} when the
// launch fails. An empty product (m, n or groups 0) enqueues nothing; k = 0 writes zeros (or adds nothing).
void cuda_gemm(const GemmTask& task, void* stream);

}  // namespace chokepoint
