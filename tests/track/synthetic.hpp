// Runs of a suite whose truth is known, for tests of comparisons: what a run adds to all of its cases, what it adds to
// each, and the samples of a run around that.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <set>
#include <string>
#include <vector>

#include "harness/base/random.hpp"
#include "harness/track/compare.hpp"

namespace chokepoint::test {

struct Scenario {
  std::size_t cases = 20;
  std::size_t samples = 200;
  double sample_noise = 0.01;        // deviation of one sample's logarithm
  double correlation = 0.0;          // of neighbouring samples (AR(1))
  double common_noise = 0.0;         // deviation of what a run adds to all of its cases
  double own_noise = 0.0;            // deviation of what a run adds to one case, in the middle case ...
  double own_noise_ratio = 1.0;      // ... and the last case's over the first one's
  std::set<std::size_t> slow_cases;  // in the new runs ...
  double slow_down = 1.0;            // ... take so many times as long
};

class Draws {
 public:
  explicit Draws(std::uint64_t seed) : seed_(seed) {}
  double normal() {  // Box and Muller 1958
    const double radius = std::sqrt(-2.0 * std::log(1.0 - random_unit(seed_, 0, index_++)));
    return radius * std::cos(2.0 * std::numbers::pi * random_unit(seed_, 0, index_++));
  }

 private:
  std::uint64_t seed_, index_ = 0;
};

inline Record timed_record(const std::string& run_id, const std::string& case_id, std::vector<double> samples) {
  Record record;
  record.run_id = run_id;
  record.case_id = case_id;
  record.operation = "matmul";
  record.kernel = "cpu_native";
  record.device = {{"kind", "cpu"}, {"name", "test machine"}, {"architecture", "x86_64"}, {"workers", 2}};
  record.target = "host";
  record.basis = Basis::measured;
  record.status = Status::ok;
  record.time.n = static_cast<std::int64_t>(samples.size());
  record.time.samples = std::move(samples);
  record.provenance = {{"seed", 7}, {"input_distribution", "normal"}, {"git", "abc1234"}};
  return record;
}

inline std::string case_name(std::size_t i) { return "matmul/cpu_native/f32/m=" + std::to_string(i) + "@host#00"; }

// `which` tells runs of one seed apart.
inline RunRecords synthetic_run(const Scenario& scenario, bool is_new, std::uint64_t seed, std::uint64_t which) {
  Draws draws(random_bits(seed, 1, which));
  RunRecords run{.id = "run-" + std::to_string(which)};
  const double common = scenario.common_noise * draws.normal();
  for (std::size_t i = 0; i < scenario.cases; ++i) {
    const double place =
        scenario.cases > 1 ? static_cast<double>(i) / static_cast<double>(scenario.cases - 1) - 0.5 : 0.0;
    const double own = scenario.own_noise * std::pow(scenario.own_noise_ratio, place) * draws.normal();
    const double slow = is_new && scenario.slow_cases.contains(i) ? scenario.slow_down : 1.0;
    const double centre = 1e-3 * static_cast<double>(1 + i) * slow * std::exp(common + own);
    std::vector<double> samples;
    double state = draws.normal();
    for (std::size_t k = 0; k < scenario.samples; ++k) {
      samples.push_back(centre * std::exp(scenario.sample_noise * state));
      state =
          scenario.correlation * state + std::sqrt(1 - scenario.correlation * scenario.correlation) * draws.normal();
    }
    run.records.push_back(timed_record(run.id, case_name(i), std::move(samples)));
  }
  return run;
}

inline std::vector<RunRecords> synthetic_side(const Scenario& scenario, bool is_new, std::size_t runs,
                                              std::uint64_t seed) {
  std::vector<RunRecords> side;
  for (std::size_t r = 0; r < runs; ++r)
    side.push_back(synthetic_run(scenario, is_new, seed, 2 * r + (is_new ? 1 : 0)));
  return side;
}

}  // namespace chokepoint::test
