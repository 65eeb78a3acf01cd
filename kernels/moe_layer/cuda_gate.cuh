// Which experts does the gate choose on a GPU, and with what weights? Two kernels: logits, then choices.
//
// gate_logits: tiles of 64 tokens x 64 experts, 256 threads with 4 x 4 sums each in f32 (no tensor cores: ids have
// to agree with those of a gate in double wherever the choice is clear). The next slice of k is loaded into registers
// while this one is multiplied. Few tokens leave few tiles, so k is cut into `splits` ranges, whose sums gate_choose
// adds up in a fixed order. Shared memory 17 KB. Bound: multiply-adds; with few tokens the memory of gate_weight.
//
// gate_choose: one warp per token, scores in shared memory. Choosing the k-th best scans all scores for the best that
// comes after the last winner in the order (value, then smaller index), so nothing is marked as taken. The ids that a
// launch uses are those its exchange was laid out for; where the gate decides, its choice is compared with them as a
// set (their order within a token does not matter to the sum), and tokens that differ are counted.
#pragma once

#include <cstdint>

#include "kernels/common/cuda/charge_share.cuh"
#include "kernels/common/cuda/row_values.cuh"

namespace chokepoint::moe {

inline constexpr int kGateTile = 64, kGateSlice = 32, kGateThreads = 256, kGateMostSplits = 32;

struct GateLogits {
  const void* x = nullptr;            // [tokens, hidden]
  const void* gate_weight = nullptr;  // [experts, hidden], same dtype
  std::int64_t tokens = 0, experts = 0, hidden = 0;
  int splits = 1;
  std::int64_t split_length = 0;  // of k, a multiple of kGateSlice
  float* partial = nullptr;       // [splits, tokens, experts]
  unsigned* mismatches = nullptr;  // set to 0 for gate_choose
  double memory_bytes = 0.0;
  DevicePace pace = {};

  std::int64_t token_tiles() const { return (tokens + kGateTile - 1) / kGateTile; }
  std::int64_t expert_tiles() const { return (experts + kGateTile - 1) / kGateTile; }
};

// Cuts k so that about `blocks` blocks have work.
inline void cut_gate(GateLogits& task, std::int64_t blocks) {
  const std::int64_t tiles = task.token_tiles() * task.expert_tiles();
  const std::int64_t slices = (task.hidden + kGateSlice - 1) / kGateSlice;
  std::int64_t splits = blocks / tiles;
  if (splits > slices / 4) splits = slices / 4;
  if (splits > kGateMostSplits) splits = kGateMostSplits;
  if (splits < 1) splits = 1;
  const std::int64_t slices_per_split = (slices + splits - 1) / splits;
  task.split_length = slices_per_split * kGateSlice;
  task.splits = static_cast<int>((slices + slices_per_split - 1) / slices_per_split);
}

// The 8 values a thread brings in per slice: row `row`, columns [k, k + 8); zeros outside the matrix and the split.
template <class T>
__device__ inline void load_gate_slice(const T* matrix, std::int64_t row, std::int64_t rows, std::int64_t hidden,
                                       std::int64_t k, std::int64_t k_end, float (&values)[8]) {
  const T* from = matrix + row * hidden + k;
  if (row < rows && k + 8 <= k_end && hidden % 8 == 0) return load_values<8>(from, values);
#pragma unroll
  for (int i = 0; i < 8; ++i) values[i] = row < rows && k + i < k_end ? value_of(from[i]) : 0.0F;
}

template <class T>
__global__ void __launch_bounds__(kGateThreads) gate_logits(GateLogits task) {
  __align__(16) __shared__ float x_slice[kGateSlice][kGateTile + 4];
  __align__(16) __shared__ float weight_slice[kGateSlice][kGateTile + 4];
  const int thread = static_cast<int>(threadIdx.x), row = thread % kGateTile, part = thread / kGateTile * 8;
  const int first_token = thread / 16 * 4, first_expert = thread % 16 * 4;
  const std::int64_t token0 = std::int64_t{blockIdx.y} * kGateTile, expert0 = std::int64_t{blockIdx.x} * kGateTile;
  const std::int64_t begin = blockIdx.z * task.split_length;
  const std::int64_t end = min(task.hidden, begin + task.split_length);
  const std::int64_t block = (std::int64_t{blockIdx.z} * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;

  if (block == 0 && thread == 0) *task.mismatches = 0;
  BlockPace<1> pace(task.pace);
  if (thread == 0) {
    const auto pairs = static_cast<double>(min(std::int64_t{kGateTile}, task.tokens - token0)) *
                       static_cast<double>(min(std::int64_t{kGateTile}, task.experts - expert0));
    pace.begin(charge_share(task.memory_bytes, block, std::int64_t{gridDim.x} * gridDim.y * gridDim.z),
               2.0 * pairs * static_cast<double>(end - begin));
  }

  const auto* x = static_cast<const T*>(task.x);
  const auto* weight = static_cast<const T*>(task.gate_weight);
  float sums[4][4] = {}, next_x[8], next_weight[8];
  const auto load = [&](std::int64_t k) {
    load_gate_slice(x, token0 + row, task.tokens, task.hidden, k + part, end, next_x);
    load_gate_slice(weight, expert0 + row, task.experts, task.hidden, k + part, end, next_weight);
  };
  load(begin);
  for (std::int64_t k = begin; k < end; k += kGateSlice) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      x_slice[part + i][row] = next_x[i];
      weight_slice[part + i][row] = next_weight[i];
    }
    __syncthreads();
    if (k + kGateSlice < end) load(k + kGateSlice);
#pragma unroll 8
    for (int i = 0; i < kGateSlice; ++i) {
      const float4 a = *reinterpret_cast<const float4*>(&x_slice[i][first_token]);
      const float4 b = *reinterpret_cast<const float4*>(&weight_slice[i][first_expert]);
      const float of_tokens[4] = {a.x, a.y, a.z, a.w}, of_experts[4] = {b.x, b.y, b.z, b.w};
#pragma unroll
      for (int t = 0; t < 4; ++t)
#pragma unroll
        for (int e = 0; e < 4; ++e) sums[t][e] += of_tokens[t] * of_experts[e];
    }
    __syncthreads();
  }
  float* partial = task.partial + blockIdx.z * task.tokens * task.experts;
  for (int t = 0; t < 4; ++t)
    for (int e = 0; e < 4; ++e) {
      const std::int64_t token = token0 + first_token + t, expert = expert0 + first_expert + e;
      if (token < task.tokens && expert < task.experts) partial[token * task.experts + expert] = sums[t][e];
    }
  if (thread == 0) pace.drain();
}

struct GateChoice {
  const float* partial = nullptr;  // [splits, tokens, experts]
  int splits = 1;
  std::int64_t tokens = 0;
  int experts = 1, top_k = 1, groups = 1, group_limit = 1;
  bool sigmoid = false, renormalise = true;
  float routed_scaling = 1.0F;
  const float* bias = nullptr;        // [experts]; null: none
  const std::int32_t* ids = nullptr;  // [tokens, top_k], what the exchange was laid out for
  bool gate_decides = false;          // then the gate's choice has to be `ids`
  float* weights = nullptr;           // [tokens, top_k], of `ids`
  unsigned* mismatches = nullptr;     // tokens whose choice differs are added
};

// Shared memory of one warp, and how many warps a block has.
inline std::int64_t choice_bytes_per_warp(std::int64_t experts, std::int64_t groups) { return 4 * (experts + groups); }
inline constexpr std::int64_t kMostChoiceBytes = 48 * 1024;
inline int choice_warps(std::int64_t experts, std::int64_t groups) {
  const std::int64_t fit = kMostChoiceBytes / choice_bytes_per_warp(experts, groups);
  return fit < 1 ? 0 : fit > 4 ? 4 : static_cast<int>(fit);
}

// A value and whose it is. Before another: higher, or as high with a smaller index.
struct Ranked {
  float value;
  int index;  // kNobody: nothing found
};
inline constexpr int kNobody = 0x7fffffff;

__device__ inline bool before(const Ranked& a, const Ranked& b) {
  return a.value > b.value || (a.value == b.value && a.index < b.index);
}

__device__ inline Ranked best_of_warp(Ranked mine) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    const Ranked other = {__shfl_xor_sync(0xffffffffU, mine.value, distance),
                          __shfl_xor_sync(0xffffffffU, mine.index, distance)};
    if (before(other, mine)) mine = other;
  }
  return mine;
}

// The best of value_at(0 .. count - 1) that comes after `last`; value_at returns false for what is barred.
template <class ValueAt>
__device__ inline Ranked next_best(int lane, int count, const Ranked& last, const ValueAt& value_at) {
  Ranked best = {-INFINITY, kNobody};
  for (int i = lane; i < count; i += 32) {
    Ranked candidate = {0.0F, i};
    if (!value_at(i, candidate.value)) continue;
    if (before(last, candidate) && before(candidate, best)) best = candidate;
  }
  return best_of_warp(best);
}

inline __device__ Ranked before_all() { return {INFINITY, -1}; }

__device__ inline float sum_of_warp(float value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(0xffffffffU, value, distance);
  return value;
}

// Scores of the token's logits into `scores` [experts].
__device__ inline void score_token(const GateChoice& task, std::int64_t token, int lane, float* scores) {
  float largest = -INFINITY, sum = 0.0F;
  for (int e = lane; e < task.experts; e += 32) {
    float logit = 0.0F;
    for (int s = 0; s < task.splits; ++s) logit += task.partial[(s * task.tokens + token) * task.experts + e];
    scores[e] = task.sigmoid ? 1.0F / (1.0F + expf(-logit)) : logit;
    largest = fmaxf(largest, logit);
  }
  if (task.sigmoid) return;
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2)
    largest = fmaxf(largest, __shfl_xor_sync(0xffffffffU, largest, distance));
  for (int e = lane; e < task.experts; e += 32) sum += scores[e] = expf(scores[e] - largest);
  sum = sum_of_warp(sum);
  for (int e = lane; e < task.experts; e += 32) scores[e] /= sum;
}

// The sum of a group's two highest selection scores, or its only one.
template <class Selection>
__device__ inline float score_group(int lane, int begin, int size, const Selection& selection) {
  float first = -INFINITY, second = -INFINITY;
  const auto join = [&](float other_first, float other_second) {
    second = fmaxf(fminf(first, other_first), fmaxf(second, other_second));
    first = fmaxf(first, other_first);
  };
  for (int i = lane; i < size; i += 32) join(selection(begin + i), -INFINITY);
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    const float other_first = __shfl_xor_sync(0xffffffffU, first, distance);
    const float other_second = __shfl_xor_sync(0xffffffffU, second, distance);
    join(other_first, other_second);
  }
  return size == 1 ? first : first + second;
}

// Whether the token's choice by the gate is, as a set, its ids. `group_scores` [groups] is scratch.
__device__ inline bool chooses_its_ids(const GateChoice& task, std::int64_t token, int lane, const float* scores,
                                       float* group_scores) {
  const int group_size = task.experts / task.groups;
  const auto selection = [&](int e) { return task.bias == nullptr ? scores[e] : scores[e] + task.bias[e]; };
  Ranked worst_group = {-INFINITY, kNobody};  // of those that may be searched
  if (task.group_limit < task.groups) {
    for (int g = 0; g < task.groups; ++g) {
      const float score = score_group(lane, g * group_size, group_size, selection);
      if (lane == 0) group_scores[g] = score;
    }
    __syncwarp();
    worst_group = before_all();
    for (int i = 0; i < task.group_limit; ++i)
      worst_group = next_best(lane, task.groups, worst_group, [&](int g, float& value) {
        value = group_scores[g];
        return true;
      });
  }
  const auto value_at = [&](int e, float& value) {
    value = selection(e);
    if (task.group_limit >= task.groups) return true;
    const int group = e / group_size;
    return !before(worst_group, {group_scores[group], group});
  };
  bool all_found = true;
  Ranked chosen = before_all();
  for (int k = 0; k < task.top_k; ++k) {
    chosen = next_best(lane, task.experts, chosen, value_at);
    bool found = false;
    for (int i = lane; i < task.top_k; i += 32) found |= task.ids[token * task.top_k + i] == chosen.index;
    all_found = __any_sync(0xffffffffU, found) != 0 && all_found;
  }
  return all_found;
}

// Blocks of 32 x choice_warps threads, one token per warp; dynamic shared memory: choice_bytes_per_warp each.
inline __global__ void gate_choose(GateChoice task) {
  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
  const std::int64_t token = std::int64_t{blockIdx.x} * (blockDim.x / 32) + warp;
  if (token >= task.tokens) return;
  float* scores = reinterpret_cast<float*>(dynamic_shared()) + warp * (task.experts + task.groups);
  score_token(task, token, lane, scores);
  __syncwarp();
  if (task.gate_decides && !chooses_its_ids(task, token, lane, scores, scores + task.experts) && lane == 0)
    atomicAdd(task.mismatches, 1U);
  const std::int32_t* ids = task.ids + token * task.top_k;
  float sum = 0.0F;
  for (int i = lane; i < task.top_k; i += 32) sum += scores[ids[i]];
  sum = sum_of_warp(sum);
  for (int i = lane; i < task.top_k; i += 32) {
    float weight = scores[ids[i]];
    // Scores that all underflow to 0 share alike.
    if (task.renormalise) weight = sum > 0.0F ? weight / sum : 1.0F / static_cast<float>(task.top_k);
    task.weights[token * task.top_k + i] = weight * task.routed_scaling;
  }
}

}  // namespace chokepoint::moe
