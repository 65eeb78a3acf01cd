#include "harness/report/html/scale.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace chokepoint {
namespace {

constexpr std::array<double, 3> kRound = {1.0, 2.0, 5.0};

// The largest 1, 2 or 5 times a power of ten that is no more than `value` > 0, and the smallest no less.
double round_below(double value) {
  const double power = std::pow(10.0, std::floor(std::log10(value) + 1e-12));
  double best = power;
  for (const double step : kRound)
    if (step * power <= value * (1.0 + 1e-9)) best = step * power;
  return best;
}

double round_above(double value) {
  const double below = round_below(value);
  if (below >= value * (1.0 - 1e-9)) return below;
  const double power = std::pow(10.0, std::floor(std::log10(below) + 1e-9));
  const double lead = below / power;
  return lead < 1.5 ? 2.0 * power : lead < 3.0 ? 5.0 * power : 10.0 * power;
}

double linear_step(double span, int most) { return round_above(span / std::max(1, most)); }

void widen(Scale& scale) {
  if (scale.spacing == Spacing::logarithmic) {
    scale.low = round_below(scale.low / 1.05);
    scale.high = round_above(scale.high * 1.05);
    return;
  }
  const double span = scale.high > scale.low ? scale.high - scale.low : std::max(1e-12, std::abs(scale.high));
  const double step = linear_step(span, 10);
  scale.low = std::floor((scale.low - 0.03 * span) / step) * step;
  scale.high = std::ceil((scale.high + 0.03 * span) / step) * step;
}

}  // namespace

double Scale::at(double value) const {
  const double part =
      spacing == Spacing::linear ? (value - low) / (high - low) : std::log(value / low) / std::log(high / low);
  return from + part * (to - from);
}

bool Scale::holds(double value) const {
  const double slack = spacing == Spacing::linear ? 1e-9 * (high - low) : 1e-9 * low;
  return value >= low - slack && value <= high * (1.0 + 1e-9) + slack;
}

Scale scale_around(const std::vector<double>& values, Spacing spacing, double from, double to) {
  Scale scale{.low = 0.0, .high = 0.0, .spacing = spacing, .from = from, .to = to};
  bool is_first = true;
  for (const double value : values) {
    if (!std::isfinite(value) || (spacing == Spacing::logarithmic && value <= 0.0)) continue;
    scale.low = is_first ? value : std::min(scale.low, value);
    scale.high = is_first ? value : std::max(scale.high, value);
    is_first = false;
  }
  if (is_first) scale.low = scale.high = 1.0;
  widen(scale);
  return scale;
}

std::vector<double> ticks_of(const Scale& scale, int most) {
  std::vector<double> ticks;
  const bool is_short = scale.spacing == Spacing::logarithmic && scale.high < 8.0 * scale.low;
  if (scale.spacing == Spacing::linear || is_short) {
    const double step = linear_step(scale.high - scale.low, most);
    for (double i = std::ceil(scale.low / step - 1e-9); i * step <= scale.high + 1e-9 * step; i += 1.0)
      ticks.push_back(i * step);
    return ticks;
  }
  const double decades = std::log10(scale.high / scale.low);
  const bool with_steps = 3.0 * decades <= most;
  const int stride = std::max(1, static_cast<int>(std::ceil(decades / most)));
  for (int power = static_cast<int>(std::floor(std::log10(scale.low))); std::pow(10.0, power) <= scale.high * 1.001;
       ++power)
    for (const double step : kRound) {
      const double value = step * std::pow(10.0, power);
      const bool is_wanted = with_steps || (step == 1.0 && power % stride == 0);
      if (is_wanted && scale.holds(value)) ticks.push_back(value);
    }
  return ticks;
}

std::string tick_text(double value, int digits) {
  static constexpr std::array<const char*, 6> prefixes = {"", " k", " M", " G", " T", " P"};
  const double size = std::abs(value);
  if (size < 1e-12) return "0";
  if (size < 1e-4 || size >= 1e18) return fmt::format("{:.3g}", value);
  std::size_t prefix = 0;
  double shown = value;
  while (std::abs(shown) >= 999.5 && prefix + 1 < prefixes.size()) {
    shown /= 1000.0;
    ++prefix;
  }
  return fmt::format("{:.{}g}{}", shown, digits, prefixes[prefix]);
}

std::vector<std::string> tick_texts(const std::vector<double>& ticks) {
  for (int digits = 4;; ++digits) {
    std::vector<std::string> texts;
    for (const double tick : ticks) texts.push_back(tick_text(tick, digits));
    if (digits == 9 || std::adjacent_find(texts.begin(), texts.end()) == texts.end()) return texts;
  }
}

}  // namespace chokepoint
