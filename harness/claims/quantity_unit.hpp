// Which unit is a published number in, and what is it in base units? "GB/s" and "GiB/s" are two units, 7.4 % apart.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace chokepoint {

struct QuantityUnit {
  double scale = 1.0;  // base units in one of these
  std::string base;    // "s", "FLOP", "FLOP/s", "FLOP/s/GPU", "B/s", "1/s", "1", "USD", "J", "W"
};

// "TFLOP/s/GPU", "GiB/s", "ms", "h", "1/d", "USD", "ratio", "%", "MWh". Absent when it is none of that: "TFLOPS" could
// be an amount or a rate, and "GB/S" is neither.
std::optional<QuantityUnit> quantity_unit(std::string_view text);

}  // namespace chokepoint
