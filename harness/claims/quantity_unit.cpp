#include "harness/claims/quantity_unit.hpp"

#include <array>
#include <utility>
#include <vector>

#include "harness/base/strings.hpp"

namespace chokepoint {
namespace {

using Scales = std::pair<std::string_view, double>;

constexpr std::array<Scales, 6> kTimes{
    {{"s", 1.0}, {"ms", 1e-3}, {"us", 1e-6}, {"min", 60.0}, {"h", 3600.0}, {"d", 86400.0}}};
constexpr std::array<Scales, 6> kDecimal{{{"", 1.0}, {"k", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12}, {"P", 1e15}}};
constexpr std::array<Scales, 4> kBinary{
    {{"Ki", 0x1p10}, {"Mi", 0x1p20}, {"Gi", 0x1p30}, {"Ti", 0x1p40}}};

template <std::size_t N>
std::optional<double> scale_in(const std::array<Scales, N>& table, std::string_view word) {
  for (const auto& [name, scale] : table)
    if (name == word) return scale;
  return std::nullopt;
}

// "GFLOP" with "FLOP" -> 1e9.
std::optional<double> prefixed(std::string_view word, std::string_view unit) {
  if (!word.ends_with(unit)) return std::nullopt;
  return scale_in(kDecimal, word.substr(0, word.size() - unit.size()));
}

std::optional<QuantityUnit> numerator(std::string_view word) {
  if (word == "1" || word == "ratio") return QuantityUnit{1.0, "1"};
  if (word == "%") return QuantityUnit{0.01, "1"};
  if (const auto scale = scale_in(kTimes, word)) return QuantityUnit{*scale, "s"};
  if (word.ends_with("B"))
    if (const auto scale = scale_in(kBinary, word.substr(0, word.size() - 1))) return QuantityUnit{*scale, "B"};
  if (const auto scale = prefixed(word, "Wh")) return QuantityUnit{*scale * 3600.0, "J"};
  for (const std::string_view unit : {"FLOP", "USD", "B", "J", "W"})
    if (const auto scale = prefixed(word, unit)) return QuantityUnit{*scale, std::string(unit)};
  for (const std::string_view counted : {"tokens", "parameters", "nodes", "GPUs"})
    if (const auto scale = prefixed(word, counted)) return QuantityUnit{*scale, "1"};
  return std::nullopt;
}

}  // namespace

std::optional<QuantityUnit> quantity_unit(std::string_view text) {
  const std::vector<std::string> parts = split(text, '/');
  std::optional<QuantityUnit> unit = numerator(parts.front());
  for (std::size_t i = 1; unit && i < parts.size(); ++i) {
    if (const auto time = scale_in(kTimes, parts[i])) {
      unit->scale /= *time;
      unit->base += "/s";
    } else if (parts[i] == "GPU" || parts[i] == "node" || parts[i] == "token" || parts[i] == "B") {
      unit->base += "/" + parts[i];
    } else {
      return std::nullopt;
    }
  }
  return unit;
}

}  // namespace chokepoint
