// What happens between the two products of an MLP? out[r, i] = silu(in[r, i]) * in[r, width + i], or silu alone.
//
// A thread takes 16 bytes of a row of the narrower type, or one value where rows are not aligned. Bound: memory.
#pragma once

#include <cstdint>

#include "harness/base/dtype.hpp"
#include "kernels/common/cuda/launch.cuh"
#include "kernels/common/cuda/row_values.cuh"

namespace chokepoint {

inline constexpr int kActivateThreads = 256;

struct Activation {
  const void* in = nullptr;  // [rows, width], or [rows, 2 * width] when gated; row-major
  void* out = nullptr;       // [rows, width]
  std::int64_t rows = 0, width = 0;
  bool gated = true;
};

template <class In, class Out, int kCount>
__global__ void __launch_bounds__(kActivateThreads) activate(Activation task) {
  const std::int64_t at = (std::int64_t{blockIdx.x} * kActivateThreads + threadIdx.x) * kCount;
  if (at >= task.rows * task.width) return;
  const std::int64_t row = at / task.width, i = at % task.width;
  const In* in = static_cast<const In*>(task.in) + row * (task.gated ? 2 : 1) * task.width + i;
  float values[kCount];
  load_values<kCount>(in, values);
#pragma unroll
  for (int v = 0; v < kCount; ++v) values[v] = silu(values[v]);
  if (task.gated) {
    float factors[kCount];
    load_values<kCount>(in + task.width, factors);
#pragma unroll
    for (int v = 0; v < kCount; ++v) values[v] *= factors[v];
  }
  store_values<kCount>(static_cast<Out*>(task.out) + at, values);
}

template <class In, class Out>
void launch_activate_of(const Activation& task, void* stream) {
  if (task.rows == 0 || task.width == 0) return;
  constexpr int kVector = kValuesPer16Bytes<Out>;
  static_assert(sizeof(Out) <= sizeof(In), "16 bytes of the narrower type");
  const bool aligned = rows_are_aligned<Out>(task.width);
  const std::int64_t threads = task.rows * task.width / (aligned ? kVector : 1);
  launch(aligned ? activate<In, Out, kVector> : activate<In, Out, 1>,
         dim3(static_cast<unsigned>((threads + kActivateThreads - 1) / kActivateThreads)), dim3(kActivateThreads), 0,
         stream, task);
}

// f32 to f32, f32 to bf16 or bf16 to bf16.
inline void launch_activate(const Activation& task, Dtype in, Dtype out, void* stream) {
  if (out == Dtype::f32)
    launch_activate_of<float, float>(task, stream);
  else if (in == Dtype::f32)
    launch_activate_of<float, std::uint16_t>(task, stream);
  else
    launch_activate_of<std::uint16_t, std::uint16_t>(task, stream);
}

}  // namespace chokepoint
