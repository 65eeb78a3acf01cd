// How long does a layer pair take, when one micro-batch's forward pass runs beside another's backward pass
// and the transfers of each hide under the compute of the other?
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "harness/claims/phases.hpp"

namespace chokepoint {

// Parts of a layer pair, each stream in the order it issues them: compute first, transfers after.
enum class PairTask {
  attention_weight,  // of the layer pair before
  attention_forward,
  mlp_backward,
  mlp_weight,
  mlp_forward,
  attention_backward,
  combine_backward,
  dispatch_forward,
  dispatch_backward,
  combine_forward,
};
inline constexpr int kPairTasks = 10;

std::string_view to_string(PairTask task);
bool is_transfer(PairTask task);

struct PairTaskTimes {
  std::int64_t start_ns = 0, end_ns = 0;
};

// One layer pair of an endless row of equal ones.
struct PairSchedule {
  std::int64_t compute_ns = 0;   // what the compute stream is busy
  std::int64_t transfer_ns = 0;  // what the transfer stream is busy, waits for other ranks included
  std::int64_t period_ns = 0;    // from one layer pair to the next
  std::array<PairTaskTimes, kPairTasks>
      tasks;  // by PairTask; 0 is when the compute stream takes up this pair
  // How long what a transfer brings lies there before the compute stream takes it. No promise that this one
  // may grow so much alone: transfers wait for each other too.
  std::array<std::int64_t, kPairTasks> slack_ns = {};  // 0 for compute

  std::int64_t exposed_ns() const { return period_ns - compute_ns; }
};

// Both streams take their tasks in order, each as early as what it needs is there.
PairSchedule schedule_pair(const ExpertLayerTimes& layer);

}  // namespace chokepoint
