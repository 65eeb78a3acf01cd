// rms_norm on a GPU: one pass over memory, rows kept in registers. Bound: memory.
//
// Threads in whole warps share a row, 32 values each; blocks have at most 256 threads, or one row. 16-byte
// accesses where rows are whole multiples of that; else value by value, 16 of them per thread. Squares are
// added up by shuffles, then through 128 bytes of shared memory. What the registers of 1024 threads do not
// hold (rows beyond 32768 or 16384 values) is read a second time, which is not charged. Registers: at most
// 64.
#pragma once

#include <algorithm>

#include "kernels/common/cuda/charge_share.cuh"
#include "kernels/common/cuda/device_array.hpp"
#include "kernels/common/cuda/launch.cuh"
#include "kernels/common/cuda/row_values.cuh"
#include "kernels/rms_norm/rms_norm.hpp"

namespace chokepoint::rms_norm {

inline constexpr int kWarp = 32, kMostThreads = 1024, kBlockThreads = 256;

// In registers of a thread that takes `count` values at a time.
__host__ __device__ constexpr int kept_values(int count) { return count == 1 ? 16 : 32; }

// Threads along x share a row, rows of a block lie along y.
struct NormPlan {
  unsigned threads = 0, rows = 0;
  std::int64_t blocks = 0;
};

// For threads that keep `kept` values.
inline NormPlan norm_plan(std::int64_t tokens, std::int64_t hidden, int kept) {
  const std::int64_t per_warp = std::int64_t{kWarp} * kept;
  const std::int64_t warps = std::min<std::int64_t>((hidden + per_warp - 1) / per_warp, kMostThreads / kWarp);
  const std::int64_t threads = kWarp * warps, rows = std::max<std::int64_t>(1, kBlockThreads / threads);
  return {static_cast<unsigned>(threads), static_cast<unsigned>(rows), (tokens + rows - 1) / rows};
}

struct Norm {
  const void *x = nullptr, *residual = nullptr, *gamma = nullptr;
  void *y = nullptr, *sum = nullptr;  // residual and sum: null without a residual
  std::int64_t tokens = 0, hidden = 0;
  float epsilon = 0.0F;
  double memory_bytes = 0.0, flop = 0.0;
  DevicePace pace = {};
};

// The sum over all threads of a row, for each of them. Every thread of the block calls it, once.
__device__ inline float sum_over_row(float value) {
  __shared__ float sums_of_warps[kMostThreads / kWarp];
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2)
    value += __shfl_xor_sync(0xffffffffU, value, distance);
  const unsigned warps = blockDim.x / kWarp, first = threadIdx.y * warps;
  if (warps == 1) return value;
  if (threadIdx.x % kWarp == 0) sums_of_warps[first + threadIdx.x / kWarp] = value;
  __syncthreads();
  float sum = 0.0F;
  for (unsigned warp = 0; warp < warps; ++warp) sum += sums_of_warps[first + warp];
  return sum;
}

// One row, kCount values at a time. T is float, or std::uint16_t for bf16.
template <class T, int kCount, bool kResidual>
class NormRow {
 public:
  __device__ NormRow(const Norm& task, std::int64_t row) : task_(task), begin_(row * task.hidden) {}

  // x, or x + residual.
  __device__ void take(unsigned i, float (&values)[kCount]) const {
    load_values<kCount>(static_cast<const T*>(task_.x) + begin_ + i, values);
    if constexpr (kResidual) {
      float others[kCount];
      load_values<kCount>(static_cast<const T*>(task_.residual) + begin_ + i, others);
#pragma unroll
      for (int v = 0; v < kCount; ++v) values[v] += others[v];
    }
  }

  // The sum of squares of what was taken; x + residual is written.
  __device__ float settle(unsigned i, const float (&values)[kCount]) const {
    if constexpr (kResidual) store_values<kCount>(static_cast<T*>(task_.sum) + begin_ + i, values);
    float squares = 0.0F;
#pragma unroll
    for (int v = 0; v < kCount; ++v) squares = fmaf(values[v], values[v], squares);
    return squares;
  }

  __device__ void put(unsigned i, float factor, const float (&values)[kCount]) const {
    float gamma[kCount];
    load_values<kCount>(static_cast<const T*>(task_.gamma) + i, gamma);
#pragma unroll
    for (int v = 0; v < kCount; ++v) gamma[v] *= values[v] * factor;
    store_values<kCount>(static_cast<T*>(task_.y) + begin_ + i, gamma);
  }

 private:
  const Norm& task_;
  std::int64_t begin_;
};

// Grid and block: norm_plan.
template <class T, int kCount, bool kResidual>
__global__ void __launch_bounds__(kMostThreads) normalise(Norm task) {
  constexpr int kPieces = kept_values(kCount) / kCount;
  const bool charges = threadIdx.x == 0 && threadIdx.y == 0;
  const BlockCharge memory(charges ? task.pace.memory : nullptr, task.memory_bytes, blockIdx.x, gridDim.x);
  const BlockCharge compute(charges ? task.pace.compute : nullptr, task.flop, blockIdx.x, gridDim.x);

  const std::int64_t row = std::int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  // Without a row there is nothing to do, but barriers to meet.
  const unsigned hidden = row < task.tokens ? static_cast<unsigned>(task.hidden) : 0;
  const unsigned first = threadIdx.x * kCount, step = blockDim.x * kCount;
  const NormRow<T, kCount, kResidual> norm(task, row);
  float kept[kPieces][kCount], squares = 0.0F;
  // All loads before the first store: for all the compiler knows, that might change what is loaded.
#pragma unroll
  for (int piece = 0; piece < kPieces; ++piece)
    if (first + piece * step < hidden) norm.take(first + piece * step, kept[piece]);
#pragma unroll
  for (int piece = 0; piece < kPieces; ++piece)
    if (first + piece * step < hidden) squares += norm.settle(first + piece * step, kept[piece]);
  for (unsigned i = first + kPieces * step; i < hidden; i += step) {
    float values[kCount];
    norm.take(i, values);
    squares += norm.settle(i, values);
  }

  const float factor = rsqrtf(sum_over_row(squares) / static_cast<float>(task.hidden) + task.epsilon);
#pragma unroll
  for (int piece = 0; piece < kPieces; ++piece)
    if (first + piece * step < hidden) norm.put(first + piece * step, factor, kept[piece]);
  for (unsigned i = first + kPieces * step; i < hidden; i += step) {
    float values[kCount];
    norm.take(i, values);
    norm.put(i, factor, values);
  }
  if (!charges) return;
  memory.wait();
  compute.wait();
}

template <class T, int kCount, bool kResidual>
void launch_counted(const Norm& task, void* stream) {
  const NormPlan plan = norm_plan(task.tokens, task.hidden, kept_values(kCount));
  launch(normalise<T, kCount, kResidual>, dim3(static_cast<unsigned>(plan.blocks)),
         dim3(plan.threads, plan.rows), 0, stream, task);
}

// Arrays are aligned to 16 bytes when rows are whole multiples of that.
template <class T, bool kResidual>
void launch_normalise(const Norm& task, void* stream) {
  if (rows_are_aligned<T>(task.hidden))
    launch_counted<T, kValuesPer16Bytes<T>, kResidual>(task, stream);
  else
    launch_counted<T, 1, kResidual>(task, stream);
}

class CudaSimpleLaunch final : public DeviceLaunch {
 public:
  CudaSimpleLaunch(const RmsNormProblem& problem, Device& device, const Pace& pace)
      : DeviceLaunch(device, Tensor("output", problem.output_dims(), problem.output_dtype())),
        sizes_(problem.sizes()),
        x_(device, problem.x()),
        residual_(device, problem.residual()),
        gamma_(device, problem.gamma()) {
    const Work work = problem.work();
    task_ = {.x = x_.as<void>(),
             .gamma = gamma_.as<void>(),
             .y = output_data<void>(),
             .tokens = sizes_.tokens,
             .hidden = sizes_.hidden,
             .epsilon = static_cast<float>(sizes_.epsilon),
             .memory_bytes = work.memory_bytes,
             .flop = work.flop,
             .pace = device_pace(pace)};
    if (!sizes_.residual) return;
    task_.residual = residual_.as<void>();
    task_.sum = output_data<std::byte>() + problem.sum_row_at(0);
  }

  void run() override {
    if (sizes_.dtype == Dtype::f32)
      sizes_.residual ? launch_normalise<float, true>(task_, stream())
                      : launch_normalise<float, false>(task_, stream());
    else if (sizes_.residual)
      launch_normalise<std::uint16_t, true>(task_, stream());
    else
      launch_normalise<std::uint16_t, false>(task_, stream());
  }

 private:
  RmsNormSizes sizes_;
  DeviceArray x_, residual_, gamma_;
  Norm task_;
};

}  // namespace chokepoint::rms_norm
