#include "harness/claims/uncertainty.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "harness/base/error.hpp"
#include "harness/base/parallel.hpp"
#include "harness/base/random.hpp"
#include "harness/base/strings.hpp"
#include "harness/model/distributions.hpp"
#include "harness/model/estimate.hpp"

namespace chokepoint {
namespace {

constexpr std::int64_t kGrain = 16;      // draws a worker takes at a time
constexpr std::size_t kBins = 20;        // of the estimate of shares
constexpr std::uint64_t kPointDraw = 0;  // which jitter the points have: that of the first draw

using DrawnValues = std::vector<double>;

DrawnValues checked_assumption(DrawnValues rows, const Prepared& prepared) {
  const std::size_t expected = std::max<std::size_t>(1, prepared.rows.size());
  const bool is_finite = std::all_of(rows.begin(), rows.end(), [](double row) { return std::isfinite(row); });
  if (rows.size() == expected && is_finite) return rows;
  throw Error(Fault::config,
              is_finite ? fmt::format("a derivation gave {} numbers instead of {}", rows.size(), expected)
                        : std::string("a derivation gave a number that is not finite"),
              "check the claim's system and workload for impossible values");
}

DrawnValues values_of(const std::vector<Assumption>& assumptions) {
  DrawnValues values;
  for (const Assumption& assumption : assumptions) values.push_back(assumption.value);
  return values;
}

DrawnValues run(const Prepared& prepared, const Predict& predict, const DrawnValues& values, const DrawPlan& plan,
                std::uint64_t index = kPointDraw) {
  return checked_assumption(predict(Drawn(prepared.assumptions, values, plan.seed, index)), prepared);
}

DrawnValues drawn_values(const std::vector<Assumption>& assumptions, const DrawPlan& plan, std::uint64_t index) {
  DrawnValues values;
  for (const Assumption& assumption : assumptions) {
    const std::uint64_t bits = random_bits(plan.seed, fnv1a(assumption.key), index) >> 11;
    values.push_back(quantile_of(assumption, (static_cast<double>(bits) + 0.5) * 0x1p-53));
  }
  return values;
}

// Per draw: the assumptions and the rows.
struct Draws {
  std::vector<DrawnValues> inputs, rows;
};

Draws draw(const Prepared& prepared, const DrawPlan& plan) {
  Draws draws;
  draws.inputs.resize(static_cast<std::size_t>(plan.draws));
  draws.rows.resize(draws.inputs.size());
  parallel_for(plan.draws, kGrain, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto at = static_cast<std::size_t>(i);
      draws.inputs[at] = drawn_values(prepared.assumptions, plan, static_cast<std::uint64_t>(i));
      draws.rows[at] = run(prepared, prepared.predict, draws.inputs[at], plan, static_cast<std::uint64_t>(i));
    }
  });
  return draws;
}

double percentile(const DrawnValues& sorted, double probability) {
  const double at = probability * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<std::size_t>(at);
  const std::size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (at - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

double variance(const DrawnValues& values) {
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  double sum = 0.0;
  for (double value : values) sum += (value - mean) * (value - mean);
  return sum / static_cast<double>(values.size());
}

// Variance of the means of `results` over bins of equal counts along `order`, over the whole variance (the correlation
// ratio); what bins of pure noise would show is taken off.
double share_along(const std::vector<std::size_t>& order, const DrawnValues& results, double whole) {
  const std::size_t bins = std::min(kBins, order.size() / 10);
  if (bins < 2 || !(whole > 0.0)) return 0.0;
  DrawnValues means;
  for (std::size_t bin = 0; bin < bins; ++bin) {
    const std::size_t begin = bin * order.size() / bins, end = (bin + 1) * order.size() / bins;
    double sum = 0.0;
    for (std::size_t i = begin; i < end; ++i) sum += results[order[i]];
    means.push_back(sum / static_cast<double>(end - begin));
  }
  const double noise = static_cast<double>(bins - 1) / static_cast<double>(order.size());
  return std::clamp((variance(means) / whole - noise) / (1.0 - noise), 0.0, 1.0);
}

std::vector<std::size_t> order_by(const Draws& draws, std::size_t assumption) {
  std::vector<std::size_t> order(draws.inputs.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return draws.inputs[a][assumption] < draws.inputs[b][assumption];
  });
  return order;
}

void add_distribution(std::vector<DrawnSpread>& spreads, const Draws& draws, std::size_t assumptions) {
  std::vector<std::vector<std::size_t>> orders;
  for (std::size_t i = 0; i < assumptions; ++i) orders.push_back(order_by(draws, i));
  for (std::size_t row = 0; row < spreads.size(); ++row) {
    DrawnValues results;
    for (const DrawnValues& rows : draws.rows) results.push_back(rows[row]);
    const double whole = variance(results);
    for (const auto& order : orders) spreads[row].shares.push_back(share_along(order, results, whole));
    std::sort(results.begin(), results.end());
    spreads[row].p5 = percentile(results, 0.05);
    spreads[row].p50 = percentile(results, 0.50);
    spreads[row].p95 = percentile(results, 0.95);
  }
}

void add_tornado(std::vector<DrawnSpread>& spreads, const Prepared& prepared, const DrawPlan& plan) {
  for (std::size_t i = 0; i < prepared.assumptions.size(); ++i) {
    const DrawnValues at_lo = predict_with(prepared, i, prepared.assumptions[i].lo, plan);
    const DrawnValues at_hi = predict_with(prepared, i, prepared.assumptions[i].hi, plan);
    for (std::size_t row = 0; row < spreads.size(); ++row) spreads[row].tornado.push_back({at_lo[row], at_hi[row]});
  }
}

void add_effects(std::vector<DrawnSpread>& spreads, const Prepared& prepared, const DrawPlan& plan) {
  DrawnValues neutral = values_of(prepared.assumptions);
  for (std::size_t i = 0; i < neutral.size(); ++i) neutral[i] = prepared.assumptions[i].neutral.value_or(neutral[i]);
  const DrawnValues base = run(prepared, prepared.predict, neutral, plan);
  for (std::size_t row = 0; row < spreads.size(); ++row) spreads[row].unfitted = base[row];
  for (std::size_t i = 0; i < neutral.size(); ++i) {
    DrawnValues moved = neutral;
    moved[i] = quantile_of(prepared.assumptions[i], 0.5);
    const DrawnValues rows = run(prepared, prepared.predict, moved, plan);
    for (std::size_t row = 0; row < spreads.size(); ++row) spreads[row].effects.push_back(rows[row] / base[row] - 1.0);
  }
}

}  // namespace

double quantile_of(const Assumption& assumption, double probability) {
  if (assumption.lo == assumption.hi) return assumption.lo;
  if (assumption.is_median)
    return value_at({assumption.value, assumption.lo, assumption.hi, "", true}, normal_quantile(probability));
  const double low = std::log(assumption.lo), high = std::log(assumption.hi);
  const double sigma = (high - low) / (2.0 * kSigmasOf90Percent);
  return std::exp((low + high) / 2.0 + sigma * normal_quantile(probability));
}

std::vector<double> predict_at_values(const Prepared& prepared, const Predict& predict, const DrawPlan& plan) {
  return run(prepared, predict, values_of(prepared.assumptions), plan);
}

std::vector<double> predict_with(const Prepared& prepared, std::size_t assumption, double value, const DrawPlan& plan) {
  DrawnValues values = values_of(prepared.assumptions);
  values[assumption] = value;
  return run(prepared, prepared.predict, values, plan);
}

std::vector<DrawnSpread> spread_of(const Prepared& prepared, const DrawPlan& plan) {
  const DrawnValues points = predict_at_values(prepared, prepared.predict, plan);
  std::vector<DrawnSpread> spreads(points.size());
  for (std::size_t row = 0; row < points.size(); ++row) spreads[row].point = points[row];
  add_effects(spreads, prepared, plan);
  add_tornado(spreads, prepared, plan);
  if (prepared.assumptions.empty()) {
    for (DrawnSpread& spread : spreads) spread.p5 = spread.p50 = spread.p95 = spread.point;
    return spreads;
  }
  add_distribution(spreads, draw(prepared, plan), prepared.assumptions.size());
  return spreads;
}

}  // namespace chokepoint
