// What is a number that is known only within a range? A middle, the ends that hold it in nine of ten cases,
// and a source.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/json.hpp"

namespace chokepoint {

// Never negative. Between the ends it is spread log-normally in two pieces: `mid` is the median, `low` and
// `high` are the 5th and the 95th percentile, each side with its own width. Where `low` is 0 it is spread
// normally, cut off at 0.
struct Estimate {
  double mid = 0.0, low = 0.0, high = 0.0;
  std::string source;
  bool verified = true;

  bool is_exact() const { return low == high; }
};

Estimate exactly(double value, std::string source = "");

// An interval that holds the value with `confidence` (above 0.5) as ends that hold it in nine of ten cases.
// All positive.
Estimate from_interval(double mid, double low, double high, double confidence, std::string source);

// Decodes {"low": 1, "mid": 2, "high": 3, "source": "...", "verified": false}; without low and high it is
// exact. Throws Error{config} with file, line and key when the three are out of order or negative.
Estimate decode_estimate(Fields fields);

// The same from a command line: "2", "1..3" (middle: the geometric mean) or "1..2..3". `what` names the flag
// in errors.
Estimate parse_estimate(std::string_view text, std::string_view what);

// The value `z` standard deviations above the median.
double value_at(const Estimate& estimate, double z);

// A random value; the same (seed, name, index) gives the same deviation whatever the estimate.
double draw(const Estimate& estimate, std::uint64_t seed, std::string_view name, std::uint64_t index);

// Of independent positive factors: middles multiply, relative widths add in quadrature on each side (exact
// for log-normal factors). Of independent terms: the same with middles added and absolute widths. Unverified
// when any is.
Estimate product(const std::vector<Estimate>& factors);
Estimate sum(const std::vector<Estimate>& terms);

// The estimate of positive samples, which are put in order: median, 5th and 95th percentile. Error{config}
// when empty.
Estimate estimate_of(std::vector<double> samples);

}  // namespace chokepoint
