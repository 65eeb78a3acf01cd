#include "harness/model/estimate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "harness/base/error.hpp"
#include "harness/base/random.hpp"
#include "harness/base/strings.hpp"
#include "harness/model/config_files.hpp"
#include "harness/model/distributions.hpp"

namespace chokepoint {
namespace {

constexpr double kZ95 = 1.6448536269514722;  // 95th percentile of the standard normal distribution

// Sorted `samples`, linearly between neighbours.
double quantile(const std::vector<double>& samples, double probability) {
  const double at = probability * static_cast<double>(samples.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, samples.size() - 1);
  return samples[below] + (at - static_cast<double>(below)) * (samples[above] - samples[below]);
}

double parse_part(std::string_view part, std::string_view text, std::string_view what) {
  double value = 0.0;
  const auto [end, fault] = std::from_chars(part.data(), part.data() + part.size(), value);
  if (fault != std::errc{} || end != part.data() + part.size() || !std::isfinite(value) || value < 0.0)
    throw Error(Fault::config, fmt::format("{}: \"{}\" is not a range of numbers from 0 up", what, text),
                "write it like 2, 1..3 or 1..2..3");
  return value;
}

std::vector<double> parse_parts(std::string_view text, std::string_view what) {
  std::vector<double> parts;
  for (std::string_view rest = text;;) {
    const std::size_t gap = rest.find("..");
    parts.push_back(parse_part(rest.substr(0, gap), text, what));
    if (gap == std::string_view::npos) return parts;
    rest.remove_prefix(gap + 2);
  }
}

}  // namespace

Estimate exactly(double value, std::string source) { return {value, value, value, std::move(source), true}; }

Estimate from_interval(double mid, double low, double high, double confidence, std::string source) {
  const double shrink = kZ95 / normal_quantile(0.5 + confidence / 2);
  return {mid, mid * std::pow(low / mid, shrink), mid * std::pow(high / mid, shrink), std::move(source),
          true};
}

Estimate decode_estimate(Fields fields) {
  Estimate estimate;
  estimate.mid = fields.number("mid");
  const std::optional<double> low = fields.maybe_number("low"), high = fields.maybe_number("high");
  if (low.has_value() != high.has_value())
    fields.reject(low ? "low" : "high", "stands alone", "give both low and high, or neither");
  estimate.low = low.value_or(estimate.mid);
  estimate.high = high.value_or(estimate.mid);
  if (estimate.low < 0.0)
    fields.reject(low ? "low" : "mid", fmt::format("is {}, below 0", estimate.low), "correct it");
  if (estimate.low > estimate.mid || estimate.mid > estimate.high)
    fields.reject("mid",
                  fmt::format("is {}, outside low {} to high {}", estimate.mid, estimate.low, estimate.high),
                  "order them: low <= mid <= high");
  estimate.source = telling_text(fields, "source");
  estimate.verified = fields.maybe_boolean("verified").value_or(true);
  fields.finish();
  return estimate;
}

Estimate parse_estimate(std::string_view text, std::string_view what) {
  const std::vector<double> parts = parse_parts(text, what);
  const double low = parts.front(), high = parts.back();
  const double mid = parts.size() == 3 ? parts[1] : parts.size() == 2 ? std::sqrt(low * high) : low;
  if (parts.size() > 3 || low > mid || mid > high)
    throw Error(Fault::config, fmt::format("{}: \"{}\" is not in order", what, text),
                "write it like 2, 1..3 or 1..2..3");
  return {mid, low, high, fmt::format("given as {}", what), true};
}

double value_at(const Estimate& estimate, double z) {
  const double end = z < 0 ? estimate.low : estimate.high, steps = std::abs(z) / kZ95;
  if (estimate.low > 0.0) return estimate.mid * std::pow(end / estimate.mid, steps);
  return std::max(0.0, estimate.mid + (end - estimate.mid) * steps);
}

double draw(const Estimate& estimate, std::uint64_t seed, std::string_view name, std::uint64_t index) {
  if (estimate.is_exact()) return estimate.mid;
  const double unit = random_unit(seed, fnv1a(name), index);
  return value_at(estimate, normal_quantile(std::clamp(unit, 1e-12, 1.0 - 1e-12)));
}

Estimate product(const std::vector<Estimate>& factors) {
  Estimate result = exactly(1.0);
  double below = 0.0, above = 0.0;  // squares of log widths
  for (const Estimate& factor : factors) {
    result.mid *= factor.mid;
    result.verified = result.verified && factor.verified;
    if (factor.is_exact()) continue;  // zero too: there is no width relative to it
    below += std::pow(std::log(factor.low / factor.mid), 2);
    above += std::pow(std::log(factor.high / factor.mid), 2);
  }
  result.low = result.mid * std::exp(-std::sqrt(below));  // 0 when a factor may be 0
  result.high = result.mid * std::exp(std::sqrt(above));
  return result;
}

Estimate sum(const std::vector<Estimate>& terms) {
  Estimate result = exactly(0.0);
  double below = 0.0, above = 0.0;
  for (const Estimate& term : terms) {
    result.mid += term.mid;
    below += std::pow(term.mid - term.low, 2);
    above += std::pow(term.high - term.mid, 2);
    result.verified = result.verified && term.verified;
  }
  result.low = std::max(0.0, result.mid - std::sqrt(below));
  result.high = result.mid + std::sqrt(above);
  return result;
}

Estimate estimate_of(std::vector<double> samples) {
  if (samples.empty()) throw Error(Fault::config, "an estimate from no samples", "draw at least one");
  std::sort(samples.begin(), samples.end());
  return {quantile(samples, 0.5), quantile(samples, 0.05), quantile(samples, 0.95), "", true};
}

}  // namespace chokepoint
