#include "harness/track/run_noise.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "harness/model/descriptive.hpp"
#include "harness/model/distributions.hpp"

namespace chokepoint {
namespace {

constexpr double kFarthestUnchanged = 10;  // deviations: cases may differ in noise, but not by that
constexpr std::size_t kFewValues = 12;
constexpr double kHeavyTailed = 4;  // variance of all over that of the middle: cases do differ in noise
constexpr double kLeastShareExplained = 0.25;

using Runs = std::vector<RunTimes>;

// By case, one value per run: the deviation from the case's mean, where the run has the case. Two runs at least.
using Deviations = std::map<std::string, std::vector<std::optional<double>>>;

Deviations values_of(const Runs& runs) {
  Deviations values;
  for (std::size_t run = 0; run < runs.size(); ++run)
    for (const auto& [id, log_s] : runs[run].log_s) {
      values[id].resize(runs.size());
      values[id][run] = log_s;
    }
  return values;
}

Deviations deviations_of(const Runs& runs) {
  Deviations result;
  for (auto& [id, values] : values_of(runs)) {
    std::vector<double> present;
    for (const std::optional<double>& value : values)
      if (value) present.push_back(*value);
    if (present.size() < 2) continue;
    const double centre = *mean(present);
    result[id] = values;
    for (std::optional<double>& value : result[id])
      if (value) *value -= centre;
  }
  return result;
}

bool is_in_every_run(const std::vector<std::optional<double>>& values) {
  return std::all_of(values.begin(), values.end(), [](const auto& value) { return value.has_value(); });
}

// What each run adds to all of its cases: the median over the cases that all runs have. Empty with too few of them.
std::vector<double> common_parts(const Deviations& deviations, std::size_t runs) {
  std::vector<std::vector<double>> columns(runs);
  for (const auto& [id, values] : deviations)
    if (is_in_every_run(values))
      for (std::size_t run = 0; run < runs; ++run) columns[run].push_back(*values[run]);
  if (runs < 2 || columns[0].size() < kLeastCasesForCommon) return {};
  std::vector<double> parts;
  for (const std::vector<double>& column : columns) parts.push_back(*median(column));
  const double centre = *mean(parts);
  for (double& part : parts) part -= centre;
  return parts;
}

double sum_of_squares(std::span<const double> values) {
  return std::inner_product(values.begin(), values.end(), values.begin(), 0.0);
}

void add(Variance& total, double squares, double df) {
  if (df <= 0.0) return;
  total.value = (total.value * total.df + squares) / (total.df + df);
  total.df += df;
}

// A case's squares around its own mean once the runs' common parts are taken out.
void add_own(Variance& total, const std::vector<std::optional<double>>& values, const std::vector<double>& parts) {
  std::vector<double> rest;
  for (std::size_t run = 0; run < values.size(); ++run)
    if (values[run]) rest.push_back(*values[run] - (parts.empty() ? 0.0 : parts[run]));
  const double centre = *mean(rest);
  for (double& value : rest) value -= centre;
  add(total, sum_of_squares(rest), static_cast<double>(rest.size()) - 1);
}

Variance fit(const std::map<std::string, Variance>& own) {
  std::vector<Variance> all;
  for (const auto& [id, variance] : own) all.push_back(variance);
  return fit_prior(all);
}

struct Middle {
  double centre = 0.0, variance = 0.0;
};

// Of most of the values, whatever the others are: from the shortest interval that holds half of them (the shorth, of
// which Rousseeuw and Leroy 1988 make a scale); of few values three quarters, since half of them can lie close by
// chance.
Middle middle_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size(), held = n < kFewValues ? n - n / 4 : n / 2 + 1;
  std::size_t best = 0;
  for (std::size_t i = 0; i + held <= n; ++i)
    if (values[i + held - 1] - values[i] < values[best + held - 1] - values[best]) best = i;
  const std::span<const double> inside = std::span(values).subspan(best, held);
  // The largest distance is that of the quantile between the last one inside and the next.
  const double share = (static_cast<double>(held) - 0.5) / static_cast<double>(n);
  const double deviation = (inside.back() - inside.front()) / 2 / normal_quantile((1 + share) / 2);
  return {*median(inside), deviation * deviation};
}

}  // namespace

RunNoise estimate_run_noise(const std::vector<std::vector<RunTimes>>& groups) {
  RunNoise noise;
  bool is_split = true;
  for (const Runs& runs : groups) {
    const Deviations deviations = deviations_of(runs);
    if (deviations.empty()) continue;
    const std::vector<double> parts = common_parts(deviations, runs.size());
    is_split = is_split && !parts.empty();
    add(noise.common, sum_of_squares(parts), static_cast<double>(parts.size()) - 1);
    for (const auto& [id, values] : deviations) add_own(noise.own[id], values, parts);
  }
  // Where runs' parts are still inside the cases' variances, these rise and fall together: a prior would take their
  // likeness for knowledge.
  if (is_split) noise.prior = fit(noise.own);
  return noise;
}

RunNoise joined(const RunNoise& a, const RunNoise& b) {
  RunNoise both = a;
  add(both.common, b.common.value * b.common.df, b.common.df);
  for (const auto& [id, variance] : b.own) add(both.own[id], variance.value * variance.df, variance.df);
  if (a.prior.df > 0.0 && b.prior.df > 0.0)
    both.prior = fit(both.own);
  else
    both.prior = a.prior.df > 0.0 ? a.prior : b.prior;
  return both;
}

std::optional<TwoPartNoise> spread_of(const RunNoise& noise, const std::string& case_id) {
  const auto found = noise.own.find(case_id);
  const Variance own = moderated(noise.prior, found == noise.own.end() ? Variance{} : found->second);
  if (own.df <= 0.0) return std::nullopt;
  TwoPartNoise spread{.own_variance = own.value, .own_df = own.df};
  if (noise.common.df > 0.0) {
    spread.common_variance = noise.common.value;
    spread.common_df = noise.common.df;
  }
  return spread;
}

std::optional<TwoPartNoise> spread_from_other_cases(const std::vector<double>& log_ratios,
                                                    const std::vector<double>& sample_variances, std::size_t which) {
  if (log_ratios.size() < kLeastSharedCases) return std::nullopt;
  std::vector<double> others;
  for (std::size_t i = 0; i < log_ratios.size(); ++i)
    if (i != which) others.push_back(log_ratios[i]);
  const Middle middle = middle_of(others);
  const double farthest = kFarthestUnchanged * kFarthestUnchanged * middle.variance;
  double squares = 0.0, explained = 0.0, count = 0.0;
  for (std::size_t i = 0; i < log_ratios.size(); ++i)
    if (const double distance = log_ratios[i] - middle.centre; i != which && distance * distance <= farthest)
      squares += distance * distance, explained += sample_variances[i], ++count;
  const double sampled = sample_variances[which];
  const double common = std::min(middle.centre * middle.centre, 2 * kAssumedRunDeviation * kAssumedRunDeviation);
  // Less than samples explain: their intervals are wider than they had to be.
  const double own = squares >= explained ? sampled + (squares - explained) / count
                                          : sampled * std::max(kLeastShareExplained, squares / explained);
  const bool is_heavy = squares > kHeavyTailed * count * middle.variance;
  return TwoPartNoise{.common_variance = common,
                      .own_variance = own,
                      .own_df = std::min(is_heavy ? kMostSharedDegrees / 2 : kMostSharedDegrees, count)};
}

}  // namespace chokepoint
