// How do two targets of one case compare: in throughput, per dollar, per joule, and at which price are they even?
// Pure arithmetic over records; never a device, a file or a clock.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/model/price.hpp"
#include "harness/model/record.hpp"
#include "harness/model/statistics.hpp"

namespace chokepoint {

// A ratio or price with its interval; absent interval: too few samples for one.
struct Bounded {
  double value = 0.0;
  std::optional<Interval> interval;
};

Bounded inverse(const Bounded& bounded);  // 1 / x; without the interval where that reaches 0

// The price of an hour of a target ("h800-sxm"); absent where nobody offers one.
using PriceOf = std::function<std::optional<PriceQuote>(const std::string& target)>;

enum class Pairing {
  interleaved,  // the ratio of samples taken in turn: drift cancels
  apart,        // the ratio of medians: drift between the two is inside it
};

// B against A, both status ok, of one operation, kernel, shape, dtype, input and device. With s = time_A / time_B on
// the targets (times / dilation):
//   throughput of B over A                     s
//   break-even price of B                      price_A * s
//   cost per unit of work, B over A            price_B / (price_A * s)
//   work per joule, B over A                   s * power_A / power_B
struct Comparison {
  std::size_t a = 0, b = 0;  // positions in the records
  Bounded throughput_ratio;
  double confidence = 0.95;
  Pairing pairing = Pairing::interleaved;
  std::size_t blocks = 0;    // of 2 samples each, when interleaved
  double ess = 0.0;          // effective blocks
  std::string remark;        // what a reader has to know before trusting the interval; may be empty
  Basis basis = Basis::measured;  // the weaker of the two
  bool same_caps = false;         // both were capped, and alike: they differ in nothing this case uses, and should tie
  std::optional<PriceQuote> price_a, price_b;
  std::optional<Bounded> break_even_b_usd_per_h;  // where A has a price
  std::optional<Bounded> break_even_a_usd_per_h;  // where B alone has one
  std::optional<Bounded> cost_ratio;              // where both have one
  std::optional<Bounded> work_per_joule_ratio;    // where both have power of the same basis and scope
};

Basis weaker(Basis a, Basis b);

// Every pair of targets, in the order of the records: the earlier one is A. `confidence` is that of the intervals of
// interleaved pairs; pairs sampled apart join two intervals of (1 + confidence)/2 at their worst corners, which keeps
// `confidence` whatever the two have in common. Throws Error{config} unless 0 < confidence < 1.
std::vector<Comparison> compare_targets(const std::vector<Record>& records, const PriceOf& price_of,
                                        double confidence = 0.95);

}  // namespace chokepoint
