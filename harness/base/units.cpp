#include "harness/base/units.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

struct Number {
  double value;
  std::string_view rest;
};

Number leading_number(std::string_view text, std::string_view example) {
  Number number{0.0, {}};
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number.value);
  if (fault != std::errc{} || !std::isfinite(number.value))
    throw Error(Fault::config, fmt::format("\"{}\" does not start with a number", text),
                fmt::format("write it like {}", example));
  number.rest = text.substr(static_cast<std::size_t>(end - text.data()));
  while (!number.rest.empty() && number.rest.front() == ' ') number.rest.remove_prefix(1);
  return number;
}

}  // namespace

double parse_rate(std::string_view text, std::string_view unit) {
  const std::string example = fmt::format("450G{}", unit);
  const Number number = leading_number(text, example);
  std::string_view rest = number.rest;
  double scale = 1.0;
  constexpr std::array<std::pair<char, double>, 5> prefixes{
      {{'k', 1e3}, {'M', 1e6}, {'G', 1e9}, {'T', 1e12}, {'P', 1e15}}};
  if (rest.size() > unit.size())
    for (const auto& [letter, factor] : prefixes)
      if (rest.front() == letter) {
        scale = factor;
        rest.remove_prefix(1);
        break;
      }
  if (rest != unit || !(number.value > 0.0))
    throw Error(Fault::config, fmt::format("\"{}\" is not a positive rate in {}", text, unit),
                fmt::format("write it like {}", example));
  return number.value * scale;
}

double parse_duration_s(std::string_view text) {
  const Number number = leading_number(text, "60s, 250ms or 2min");
  constexpr std::array<std::pair<std::string_view, double>, 6> units{
      {{"", 1.0}, {"s", 1.0}, {"ms", 1e-3}, {"us", 1e-6}, {"min", 60.0}, {"h", kSecondsPerHour}}};
  for (const auto& [name, scale] : units)
    if (number.rest == name && number.value > 0.0) return number.value * scale;
  throw Error(Fault::config, fmt::format("\"{}\" is not a positive duration", text),
              "write it like 60s, 250ms or 2min");
}

double parse_share(std::string_view text) {
  const Number number = leading_number(text, "2% or 0.02");
  if (number.value < 0.0 || (!number.rest.empty() && number.rest != "%"))
    throw Error(Fault::config, fmt::format("\"{}\" is not a share", text), "write it like 2% or 0.02");
  return number.rest.empty() ? number.value : number.value / 100.0;
}

long long parse_integer(std::string_view text) {
  long long value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view rest(end, static_cast<std::size_t>(text.data() + text.size() - end));
  const int shift = rest.empty() ? 0 : rest == "K" ? 10 : rest == "M" ? 20 : rest == "G" ? 30 : -1;
  if (fault != std::errc{} || shift < 0 || std::abs(value) > (1LL << 62 >> shift))
    throw Error(Fault::config, fmt::format("\"{}\" is not a whole number", text), "write it like 4096, 8K or 64M");
  return value << shift;
}

std::string with_unit(double value, std::string_view unit, int digits) {
  constexpr std::array<std::pair<double, std::string_view>, 6> prefixes{
      {{1e15, "P"}, {1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}, {1.0, ""}}};
  if (!std::isfinite(value)) return fmt::format("{}{}{}", value, unit.empty() ? "" : " ", unit);
  const double size = std::abs(value);
  for (const auto& [scale, prefix] : prefixes)
    if (size >= scale * 0.9995 || scale == 1.0) {
      const double shown = value / scale;
      const int whole = std::abs(shown) >= 1.0 ? static_cast<int>(std::floor(std::log10(std::abs(shown)))) + 1 : 1;
      const std::string_view gap = unit.empty() && prefix.empty() ? "" : " ";
      return fmt::format("{:.{}f}{}{}{}", shown, std::max(0, digits - whole), gap, prefix, unit);
    }
  return fmt::format("{}", value);
}

std::string duration_text(double seconds, int digits) {
  constexpr std::array<std::pair<double, std::string_view>, 4> units{
      {{1.0, "s"}, {1e-3, "ms"}, {1e-6, "us"}, {1e-9, "ns"}}};
  if (!std::isfinite(seconds)) return fmt::format("{} s", seconds);
  for (const auto& [scale, name] : units)
    if (std::abs(seconds) >= scale * 0.9995 || scale == 1e-9) {
      const double shown = seconds / scale;
      const int whole = std::abs(shown) >= 1.0 ? static_cast<int>(std::floor(std::log10(std::abs(shown)))) + 1 : 1;
      return fmt::format("{:.{}f} {}", shown, std::max(0, digits - whole), name);
    }
  return fmt::format("{} s", seconds);
}

std::string rate_text(double rate, Resource resource) {
  return with_unit(rate, fmt::format("{}/s", unit_of(resource)));
}

}  // namespace chokepoint
