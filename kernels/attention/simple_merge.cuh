// How do the splits of the keys become one output? Means weighted by the sums of weights that each split saw.
// A block per row; what it reads is an intermediate and charged to nobody.
#pragma once

#include "kernels/attention/simple_block.cuh"

namespace chokepoint {

constexpr int kMergeThreads = 128;

template <class T>
__global__ void __launch_bounds__(kMergeThreads) merge_splits(SimpleArguments<T> a) {
  const long long row = blockIdx.x;
  const float* const logs = a.partial_log + row * a.splits;
  float most = -INFINITY, total = 0.0F;
  for (int split = 0; split < a.splits; ++split) most = fmaxf(most, logs[split]);
  for (int split = 0; split < a.splits; ++split) total += exp2_approx(logs[split] - most);
  for (int column = static_cast<int>(threadIdx.x); column < a.v_dim; column += kMergeThreads) {
    float mean = 0.0F;
    for (int split = 0; split < a.splits; ++split) {
      const float weight = exp2_approx(logs[split] - most);
      // A split without keys left its part unwritten.
      if (weight > 0.0F) mean = fmaf(weight, a.partial[(row * a.splits + split) * a.v_dim + column], mean);
    }
    store_one(a.output + row * a.v_dim + column, mean / total);
  }
}

}  // namespace chokepoint
