#include "harness/report/sweeps.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <utility>

namespace chokepoint {
namespace {

std::optional<double> rate_of(const Record& record, Resource resource) {
  for (const CapRecord& cap : record.caps)
    if (cap.resource == resource) return cap.target_rate;
  return std::nullopt;
}

// Records of one problem: those the first of them is compared with.
std::vector<std::vector<std::size_t>> problems_of(const ReportInput& input) {
  std::map<std::size_t, std::size_t> problem_of;
  std::vector<std::vector<std::size_t>> problems;
  for (const Comparison& comparison : input.comparisons) {
    if (!problem_of.contains(comparison.a)) {
      problem_of[comparison.a] = problems.size();
      problems.push_back({comparison.a});
    }
    if (problem_of.emplace(comparison.b, problem_of[comparison.a]).second)
      problems[problem_of[comparison.a]].push_back(comparison.b);
  }
  for (std::vector<std::size_t>& records : problems) std::sort(records.begin(), records.end());
  return problems;
}

using Pairs = std::map<std::pair<std::size_t, std::size_t>, const Comparison*>;

std::optional<Bounded> slowdown_of(const Pairs& pairs, std::size_t base, std::size_t record) {
  if (base == record) return Bounded{1.0, std::nullopt};
  if (const auto found = pairs.find({record, base}); found != pairs.end()) return found->second->throughput_ratio;
  const auto found = pairs.find({base, record});
  if (found == pairs.end()) return std::nullopt;
  const Bounded& ratio = found->second->throughput_ratio;
  Bounded slowdown{1.0 / ratio.value, std::nullopt};
  if (ratio.interval) slowdown.interval = Interval{1.0 / ratio.interval->high, 1.0 / ratio.interval->low};
  return slowdown;
}

std::optional<double> crossing(const std::vector<SweepPoint>& points,
                               const std::function<double(const Bounded&)>& of) {
  for (std::size_t i = 1; i < points.size(); ++i) {
    const double before = of(points[i - 1].slowdown), after = of(points[i].slowdown);
    if (before >= kKneeSlowdown || after < kKneeSlowdown) continue;
    const double part = (kKneeSlowdown - before) / (after - before);
    return points[i - 1].rate * std::pow(points[i].rate / points[i - 1].rate, part);
  }
  return std::nullopt;
}

std::optional<Knee> knee_of(const std::vector<SweepPoint>& points) {
  const std::optional<double> rate = crossing(points, [](const Bounded& slowdown) { return slowdown.value; });
  if (!rate) return std::nullopt;
  Knee knee{*rate, std::nullopt};
  const auto low = crossing(points, [](const Bounded& s) { return s.interval ? s.interval->high : s.value; });
  const auto high = crossing(points, [](const Bounded& s) { return s.interval ? s.interval->low : s.value; });
  const bool have_intervals = std::all_of(
      points.begin() + 1, points.end(), [](const SweepPoint& point) { return point.slowdown.interval.has_value(); });
  if (have_intervals && low && high) knee.interval = Interval{std::min(*low, *high), std::max(*low, *high)};
  return knee;
}

std::optional<Sweep> sweep_of(const ReportInput& input, const Pairs& pairs, Resource resource,
                              const std::vector<std::size_t>& members) {
  Sweep sweep{.resource = resource, .points = {}, .knee = std::nullopt};
  std::set<double> rates;
  for (const std::size_t record : members) {
    sweep.points.push_back({record, *rate_of(input.set.records[record], resource), {}});
    rates.insert(sweep.points.back().rate);
  }
  if (rates.size() < kLeastSweepPoints) return std::nullopt;
  std::stable_sort(sweep.points.begin(), sweep.points.end(),
                   [](const SweepPoint& x, const SweepPoint& y) { return x.rate > y.rate; });
  for (SweepPoint& point : sweep.points) {
    const std::optional<Bounded> slowdown = slowdown_of(pairs, sweep.points.front().record, point.record);
    if (!slowdown) return std::nullopt;
    point.slowdown = *slowdown;
  }
  sweep.knee = knee_of(sweep.points);
  return sweep;
}

// What else limits these records: only records that share it are on one curve.
std::string others_of(const Record& record, Resource swept) {
  std::string key;
  for (const Resource resource : kResources)
    if (resource != swept)
      if (const std::optional<double> rate = rate_of(record, resource))
        key += std::string(to_string(resource)) + ' ' + std::to_string(*rate) + ' ';
  return key;
}

}  // namespace

std::vector<Sweep> sweeps_of(const ReportInput& input) {
  Pairs pairs;
  for (const Comparison& comparison : input.comparisons) pairs[{comparison.a, comparison.b}] = &comparison;
  std::vector<Sweep> sweeps;
  for (const std::vector<std::size_t>& problem : problems_of(input)) {
    if (problem.size() < kLeastSweepPoints) continue;
    for (const Resource resource : kResources) {
      std::map<std::string, std::vector<std::size_t>> members;
      for (const std::size_t record : problem)
        if (rate_of(input.set.records[record], resource))
          members[others_of(input.set.records[record], resource)].push_back(record);
      for (const auto& [others, records] : members)
        if (std::optional<Sweep> sweep = sweep_of(input, pairs, resource, records)) sweeps.push_back(*sweep);
    }
  }
  return sweeps;
}

}  // namespace chokepoint
