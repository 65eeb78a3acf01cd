// How are numbers with units read from people and shown to people? Inside, everything is an SI base unit.
#pragma once

#include <string>
#include <string_view>

#include "harness/base/resource.hpp"

namespace chokepoint {

inline constexpr double kSecondsPerHour = 3600.0;
inline constexpr double kJoulePerKwh = 3.6e6;

// "450GB/s", "2TB/s" -> bytes per second; "989TFLOP/s" -> FLOP/s. Decimal prefixes k, M, G, T, P.
// Throws Error{config} when the text is no number, has another unit, or is not positive.
double parse_rate(std::string_view text, std::string_view unit);  // unit: "B/s" or "FLOP/s"

// "60s", "250ms", "5us", "2min" -> seconds. A bare number is seconds. Throws Error{config}.
double parse_duration_s(std::string_view text);

// "2%", "2 %", "0.02" -> 0.02. Throws Error{config} when the text is neither, or negative.
double parse_share(std::string_view text);

// "8K", "64M" -> 8192, 67108864 (binary, as sizes are); a bare integer stays itself. Throws Error{config}.
long long parse_integer(std::string_view text);

// 1.234e9, "B/s" -> "1.23 GB/s". Three significant digits; `digits` changes that.
std::string with_unit(double value, std::string_view unit, int digits = 3);
std::string rate_text(double rate, Resource resource);  // "400 GB/s"

// 0.000123 -> "123 us".
std::string duration_text(double seconds, int digits = 3);

}  // namespace chokepoint
