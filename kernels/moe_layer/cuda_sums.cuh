// How are the results of experts added up: for the way back over a wire, and per token?
#pragma once

#include "kernels/common/cuda/launch.cuh"
#include "kernels/moe_layer/cuda_batch.cuh"
#include "kernels/moe_layer/cuda_rows.cuh"

namespace chokepoint::moe {

template <class Result, class T>
void launch_sums_of(const SumRows& task, void* on) {
  if (task.rows == 0) return;
  constexpr int kVector = kValuesPer16Bytes<T>;
  const bool aligned = rows_are_aligned<T>(task.length);
  const dim3 grid(static_cast<unsigned>(task.rows), blocks_for(task.length, kSumThreads * (aligned ? kVector : 1)));
  launch(aligned ? sum_rows<Result, T, kVector> : sum_rows<Result, T, 1>, grid, dim3(kSumThreads), 0, on, task);
}

inline void launch_sums(const DeviceLayer& layer, const SumRows& task, void* on) {
  if (layer.spec.activation() == Dtype::f32)
    launch_sums_of<float, float>(task, on);
  else if (layer.result_dtype() == Dtype::f32)
    launch_sums_of<float, std::uint16_t>(task, on);
  else
    launch_sums_of<std::uint16_t, std::uint16_t>(task, on);
}

inline SumRows sum_task(const DeviceLayer& layer, const DeviceBatch& batch, const DeviceSums& sums, void* out) {
  return {.rows = sums.rows,
          .length = layer.hidden(),
          .use_begin = sums.use_begin.as<std::int32_t>(),
          .use_row = sums.use_row.as<std::int32_t>(),
          .use_choice = sums.use_choice.as<std::int32_t>(),
          .term_begin = sums.term_begin.as<std::int32_t>(),
          .term_row = sums.term_row.as<std::int32_t>(),
          .weights = batch.weights.as<float>(),
          .results = batch.results.as<void>(),
          .returned = batch.returned.as<void>(),
          .out = out};
}

// Rows that travel.
inline void add_up(const DeviceLayer& layer, const DeviceBatch& batch, const DeviceSums& sums, void* out, void* on) {
  launch_sums(layer, sum_task(layer, batch, sums, out), on);
}

// The output's rows of this micro-batch, shared experts included.
inline void finish_tokens(const DeviceLayer& layer, const DeviceBatch& batch, std::byte* output, void* on) {
  const std::int64_t row_bytes = layer.spec.combine_row_bytes();
  SumRows task = sum_task(layer, batch, batch.to_tokens, output + batch.tokens.begin * row_bytes);
  if (layer.spec.shared_experts > 0) task.shared = batch.shared.as<void>();
  task.mismatches = batch.mismatches.as<unsigned>();
  task.memory_bytes = static_cast<double>(batch.tokens.count() * row_bytes);
  task.pace = layer.pace;
  launch_sums(layer, task, on);
}

}  // namespace chokepoint::moe
