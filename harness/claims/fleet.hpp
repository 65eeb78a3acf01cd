// Which way to share a model over a fleet is the cheapest per token, and what does a slower link add to that?
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "harness/claims/fleet_model.hpp"
#include "harness/claims/what_if.hpp"

namespace chokepoint {

// Every combination of these is a plan.
struct FleetSpace {
  std::vector<int> gpus = {2048, 4096, 8192, 16384, 32768, 65536, 131072};
  std::vector<int> tensor_ranks = {1, 2, 4, 8};
  std::vector<int> expert_ranks = {8, 16, 32, 64, 128, 256};
  std::vector<int> pipeline_ranks = {2, 4, 8, 16, 32};
  std::vector<int> micro_batches = {8, 16, 24, 32, 48, 64, 96, 120, 128, 192, 240, 256};
  std::vector<Schedule> schedules = {Schedule::one_f_one_b, Schedule::interleaved, Schedule::zb_h1,
                                     Schedule::dualpipe, Schedule::dualpipev};
  std::vector<int> chunks_per_rank = {2, 4};  // of interleaved

  std::vector<PipelinePlan> pipelines() const;
  std::int64_t plans_per_point() const;  // for one fleet under one set of conditions
};

struct FleetLimits {
  double memory_bytes = 0.9 * 80e9;   // the rest is the libraries' and what fragments
  double sequences_per_step = 15360;  // a larger batch learns less per token
  int gpus_per_node = 8;
};

// What a plan fails, the first in this order.
enum class FleetLimit {
  division,  // tensor times pipeline ranks do not divide the GPUs
  node,      // tensor ranks do not fit on a node
  layers,    // more stages than layers and heads
  schedule,  // cannot run so many micro-batches on so many ranks
  experts,   // expert ranks do not divide the experts, or the GPUs of a stage
  batch,     // more sequences per step than allowed
  memory,
};
inline constexpr int kFleetLimits = 7;

std::string_view to_string(FleetLimit limit);

struct FleetCost {
  FleetPlan plan;
  double step_s = 0.0;
  double gpu_hours_per_trillion_tokens = 0.0;
  double memory_bytes = 0.0;
};

// One fleet under one set of conditions.
struct FleetPoint {
  int gpus = 0;
  std::size_t conditions = 0;                                  // index of what the search was given
  std::optional<FleetCost> best;                               // absent where no plan is within all limits
  std::vector<std::optional<FleetCost>> best_by_tensor_ranks;  // in the order of the space
  std::array<std::int64_t, kFleetLimits> rejected = {};        // by FleetLimit
  std::int64_t within_limits = 0;

  std::int64_t plans() const;
};

// What is trained, and how long its phases take under which conditions (for one tensor and 64 expert ranks).
struct FleetBasis {
  FleetModel model;
  TrainingPhases phases;
  PhaseParts parts;
  Conditions conditions;
  double imbalance = 1.10;  // of experts; a prior
};

FleetBasis dsv3_fleet_basis();

// Points by fleet, then by conditions. The same whatever the number of threads; equally cheap plans are told
// apart by fewer tensor, expert and pipeline ranks. Throws Error{config} where the space is empty.
std::vector<FleetPoint> search_fleet(const FleetSpace& space, const FleetBasis& basis,
                                     const FleetLimits& limits, const std::vector<Conditions>& conditions);

// Seconds per step of one plan, unless it fails a limit.
struct FleetVerdict {
  std::optional<FleetLimit> fails;
  std::optional<FleetCost> cost;
};
FleetVerdict cost_of_plan(const FleetPlan& plan, const FleetBasis& basis, const FleetLimits& limits,
                          const Conditions& conditions);

}  // namespace chokepoint
