#include "harness/report/comparison.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

// What has to be equal for times to be comparable; the target is what differs.
std::string problem_of(const Record& record) {
  const auto of = [](const Json& json, const char* key) {
    const bool has = json.is_object() && json.contains(key);
    return has ? json[key].dump(-1, ' ', false, Json::error_handler_t::replace) : std::string();
  };
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}", record.operation, record.kernel, record.shape.text(),
                     to_string(record.dtype), of(record.device, "kind"), of(record.device, "name"),
                     of(record.provenance, "seed"), of(record.provenance, "input_distribution"));
}

bool has_usable_samples(const Record& record) {
  const std::vector<double>& samples = record.time.samples;
  return !samples.empty() && std::all_of(samples.begin(), samples.end(), [](double s) { return s > 0.0; });
}

bool sampled_in_turn(const Record& a, const Record& b) {
  return !a.interleave_group.empty() && a.interleave_group == b.interleave_group && a.run_id == b.run_id &&
         a.attempt == b.attempt && has_usable_samples(a) && has_usable_samples(b);
}

bool have_the_same_caps(const Record& a, const Record& b) {
  const auto same = [](const CapRecord& x, const CapRecord& y) {
    return x.resource == y.resource && x.requested == y.requested && x.latency_s == y.latency_s &&
           x.mechanism == y.mechanism;
  };
  return !a.caps.empty() && std::equal(a.caps.begin(), a.caps.end(), b.caps.begin(), b.caps.end(), same);
}

Bounded scaled(const Bounded& bounded, double factor) {
  Bounded result{bounded.value * factor, std::nullopt};
  if (bounded.interval) result.interval = Interval{bounded.interval->low * factor, bounded.interval->high * factor};
  return result;
}

// Host seconds of the median. From the samples where there are any, so that the interval has the confidence asked
// for; otherwise as the record has it.
std::optional<Bounded> median_time(const Record& record, double confidence, bool& from_samples) {
  if (has_usable_samples(record)) {
    const MedianEstimate estimate = estimate_median(record.time.samples, confidence);
    return Bounded{estimate.median, estimate.interval};
  }
  if (!record.time.median || *record.time.median <= 0.0) return std::nullopt;
  from_samples = false;
  Bounded result{*record.time.median, std::nullopt};
  if (record.time.ci_low && record.time.ci_high && *record.time.ci_low > 0.0)
    result.interval = Interval{*record.time.ci_low, *record.time.ci_high};
  return result;
}

void compare_in_turn(const Record& a, const Record& b, Comparison& comparison) {
  const RatioEstimate estimate = estimate_ratio(a.time.samples, b.time.samples, comparison.confidence);
  comparison.pairing = Pairing::interleaved;
  comparison.blocks = estimate.blocks;
  comparison.ess = estimate.ess;
  comparison.throughput_ratio = scaled({estimate.ratio, estimate.interval}, b.dilation / a.dilation);
  if (!estimate.interval)
    comparison.remark = fmt::format("{} blocks are too few for an interval", estimate.blocks);
}

// False when there is nothing to divide.
bool compare_apart(const Record& a, const Record& b, Comparison& comparison) {
  bool from_samples = true;
  const double each = (1.0 + comparison.confidence) / 2.0;
  const std::optional<Bounded> time_a = median_time(a, each, from_samples), time_b = median_time(b, each, from_samples);
  if (!time_a || !time_b) return false;
  Bounded ratio{time_a->value / time_b->value, std::nullopt};
  if (time_a->interval && time_b->interval)
    ratio.interval = Interval{time_a->interval->low / time_b->interval->high,
                              time_a->interval->high / time_b->interval->low};
  comparison.pairing = Pairing::apart;
  comparison.throughput_ratio = scaled(ratio, b.dilation / a.dilation);
  comparison.remark = "not sampled in turn: ratio of medians, drift between the two is not cancelled";
  if (!ratio.interval)
    comparison.remark += "; too few samples for an interval";
  else if (!from_samples)
    comparison.remark += "; interval from the worst corners of the two recorded ones";
  return true;
}

void add_prices(const PriceOf& price_of, const Record& a, const Record& b, Comparison& comparison) {
  comparison.price_a = price_of(a.target);
  comparison.price_b = price_of(b.target);
  if (comparison.price_a)
    comparison.break_even_b_usd_per_h = scaled(comparison.throughput_ratio, comparison.price_a->item.usd_per_gpu_h);
  else if (comparison.price_b)
    comparison.break_even_a_usd_per_h =
        scaled(inverse(comparison.throughput_ratio), comparison.price_b->item.usd_per_gpu_h);
  if (comparison.price_a && comparison.price_b)
    comparison.cost_ratio = scaled(inverse(comparison.throughput_ratio), comparison.price_b->item.usd_per_gpu_h /
                                                                            comparison.price_a->item.usd_per_gpu_h);
}

void add_energy(const Record& a, const Record& b, Comparison& comparison) {
  const bool is_comparable = a.energy.power_w && b.energy.power_w && *a.energy.power_w > 0.0 &&
                             *b.energy.power_w > 0.0 && a.energy.basis == b.energy.basis &&
                             a.energy.scope == b.energy.scope;
  if (is_comparable)
    comparison.work_per_joule_ratio = scaled(comparison.throughput_ratio, *a.energy.power_w / *b.energy.power_w);
}

}  // namespace

Bounded inverse(const Bounded& bounded) {
  Bounded result{1.0 / bounded.value, std::nullopt};
  if (bounded.interval && bounded.interval->low > 0.0)
    result.interval = Interval{1.0 / bounded.interval->high, 1.0 / bounded.interval->low};
  return result;
}

Basis weaker(Basis a, Basis b) { return std::max(a, b); }  // declared strongest first

std::vector<Comparison> compare_targets(const std::vector<Record>& records, const PriceOf& price_of,
                                        double confidence) {
  if (!(confidence > 0.0 && confidence < 1.0))
    throw Error(Fault::config, fmt::format("confidence is {}, outside 0 to 1", confidence), "0.95 is usual");
  std::map<std::string, std::vector<std::size_t>> problems;
  std::vector<Comparison> comparisons;
  for (std::size_t b = 0; b < records.size(); ++b) {
    if (records[b].status != Status::ok || !records[b].basis) continue;
    std::vector<std::size_t>& same_problem = problems[problem_of(records[b])];
    for (const std::size_t a : same_problem) {
      if (records[a].target == records[b].target) continue;
      Comparison comparison{.a = a, .b = b, .throughput_ratio = {}, .confidence = confidence};
      comparison.basis = weaker(*records[a].basis, *records[b].basis);
      comparison.same_caps = have_the_same_caps(records[a], records[b]);
      if (sampled_in_turn(records[a], records[b]))
        compare_in_turn(records[a], records[b], comparison);
      else if (!compare_apart(records[a], records[b], comparison))
        continue;
      add_prices(price_of, records[a], records[b], comparison);
      add_energy(records[a], records[b], comparison);
      comparisons.push_back(std::move(comparison));
    }
    same_problem.push_back(b);
  }
  std::stable_sort(comparisons.begin(), comparisons.end(), [](const Comparison& x, const Comparison& y) {
    return x.a < y.a;  // all of one A together
  });
  return comparisons;
}

}  // namespace chokepoint
