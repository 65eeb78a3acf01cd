#include "harness/model/coverage.hpp"

#include <cmath>
#include <vector>

#include "harness/base/parallel.hpp"
#include "harness/base/random.hpp"

namespace chokepoint {
namespace {

constexpr double kSampleScale_s = 1e-3;  // a sample of 1 stands for a millisecond: short in every plan

}  // namespace

CoverageReport measure_coverage_of(const std::string& name, double truth, std::size_t replicates,
                                   std::uint64_t seed,
                                   const std::function<Trial(std::uint64_t seed)>& procedure) {
  std::vector<Trial> trials(replicates);
  parallel_for(static_cast<std::int64_t>(replicates), 1, [&](std::int64_t begin, std::int64_t end, int) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
      trials[i] = procedure(random_bits(seed, 0, i));
  });
  std::size_t hits = 0, precise = 0;
  std::vector<double> counts;
  for (const Trial& trial : trials) {
    if (trial.interval && trial.interval->contains(truth)) ++hits;
    if (trial.precise) ++precise;
    counts.push_back(static_cast<double>(trial.n));
  }
  const double count = static_cast<double>(replicates);
  return {.model = name,
          .replicates = replicates,
          .coverage = static_cast<double>(hits) / count,
          .coverage_interval = wilson_interval(hits, replicates, 0.95),  // refuses 0 replicates
          .median_n = *median(counts),
          .precise_share = static_cast<double>(precise) / count};
}

CoverageReport measure_coverage(const NoiseModel& model, std::size_t replicates, const SamplingPlan& plan,
                                std::uint64_t seed) {
  const double truth = model.true_median * kSampleScale_s;
  return measure_coverage_of(model.name, truth, replicates, seed, [&](std::uint64_t replicate) {
    StoppingRule rule(plan);
    const std::function<double()> next = model.stream(replicate);
    for (double elapsed_s = 0.0; !rule.done();) {
      const double sample_s = next() * kSampleScale_s;
      elapsed_s += sample_s;
      rule.add(sample_s, elapsed_s);
    }
    const Outcome outcome = rule.outcome();
    return Trial{outcome.estimate.interval, outcome.estimate.n, outcome.stopped_by == "precision"};
  });
}

CoverageReport measure_ratio_coverage(const NoiseModel& model, double ratio, std::size_t blocks,
                                      std::size_t replicates, double confidence, std::uint64_t seed) {
  return measure_coverage_of(model.name, ratio, replicates, seed, [&](std::uint64_t replicate) {
    const std::function<double()> noise = model.stream(replicate);
    std::vector<double> a, b;
    double drift = 0.0;
    for (std::size_t slot = 0; slot < 4 * blocks; ++slot) {
      // A random walk of 0.1 % a step: 4 % after 400 blocks.
      drift += 0.001 * (random_unit(replicate, 1, slot) < 0.5 ? -1.0 : 1.0);
      const bool is_a = slot % 4 == 0 || slot % 4 == 3;
      (is_a ? a : b).push_back(std::exp(drift) * (is_a ? ratio : 1.0) * noise());
    }
    const RatioEstimate estimate = estimate_ratio(a, b, confidence);
    return Trial{estimate.interval, a.size() + b.size(), estimate.interval.has_value()};
  });
}

}  // namespace chokepoint
