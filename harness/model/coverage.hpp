// How often does an interval that claims 95 % really hold the truth? Replayed on noise whose truth is known.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "harness/model/noise.hpp"
#include "harness/model/statistics.hpp"
#include "harness/model/stopping.hpp"

namespace chokepoint {

struct CoverageReport {
  std::string model;
  std::size_t replicates = 0;
  double coverage = 0.0;       // share of replicates whose interval held the truth; no interval holds nothing
  Interval coverage_interval;  // 95 %, Wilson
  double median_n = 0.0;       // samples taken
  double precise_share = 0.0;  // stopped by "precision"
};

// One replicate: what a procedure concluded from the noise it was given.
struct Trial {
  std::optional<Interval> interval;
  std::size_t n = 0;
  bool precise = false;
};

// Runs `procedure(seed of the replicate)` for each replicate on the pool. The result does not depend on its
// size.
CoverageReport measure_coverage_of(const std::string& name, double truth, std::size_t replicates,
                                   std::uint64_t seed,
                                   const std::function<Trial(std::uint64_t seed)>& procedure);

// The stopping rule on one noise model. Samples are given out as milliseconds, and time is their sum.
CoverageReport measure_coverage(const NoiseModel& model, std::size_t replicates, const SamplingPlan& plan,
                                std::uint64_t seed);

// `estimate_ratio` on A B B A samples, A `ratio` times longer than B. Noise belongs to the moment, not to the
// target: both take turns on one run of `model` times a drift that wanders by several percent.
CoverageReport measure_ratio_coverage(const NoiseModel& model, double ratio, std::size_t blocks,
                                      std::size_t replicates, double confidence, std::uint64_t seed);

}  // namespace chokepoint
