// What is a number that somebody published? A value with unit, kind and source, and whether that source was
// read.
#pragma once

#include <string>
#include <string_view>

#include "harness/base/json.hpp"

namespace chokepoint {

struct Figure {
  double value = 0.0;  // in `unit`
  std::string unit;    // base unit: "FLOP/s", "B/s", "B", "W", "s", "Hz", or what is counted: "SM", "GPU"
  std::string kind;    // datasheet | measured | derived | estimate, or override (from a target's text)
  std::string source;  // where it was read, or how and why it was derived
  bool verified =
      true;  // false: from memory, second-hand, or a single unconfirmed report; say so when using it
};

// Decodes {"value": 450, "unit": "GB/s", "kind": "datasheet", "source": "...", "verified": false} and scales
// it to `base_unit`; the unit may carry a decimal prefix. Throws Error{config} with file, line and key.
Figure decode_figure(Fields fields, std::string_view base_unit);

}  // namespace chokepoint
