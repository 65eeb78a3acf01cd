// Which target is cheaper for the work in these records, at today's prices and assumptions? Records are never
// measured again: another book, a price of one's own or another PUE gives another answer from the same times.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/json.hpp"
#include "harness/model/cost.hpp"
#include "harness/model/cost_book.hpp"
#include "harness/report/comparison.hpp"
#include "harness/report/report.hpp"

namespace chokepoint {

struct CostOptions {
  Prices prices;
  CostBook book;
  std::string facility = "colocation";
  Possession possession = Possession::rented;
  std::optional<std::string>
      reference;  // the target all others are compared with; the earlier one of a pair without it
  std::map<std::string, Estimate> usd_per_h, capex_usd;  // of targets; these go before any book
  std::map<std::string, Estimate> settings;              // by names of cost_settings()
  std::string today;  // "2026-11-26": old prices are pointed out; empty: they are not
  std::uint64_t seed = 1;
};

// What `settings` may replace: "electricity", "pue", "load-share", "utilisation", "discount-rate", "life",
// "availability", "residual", "running-costs".
const std::vector<std::string>& cost_settings();

// One pair of targets in one case.
struct CostRow {
  std::size_t target = 0, reference = 0;  // positions in the records
  Bounded throughput_ratio;               // target over reference
  double confidence = 0.95;
  Basis basis = Basis::measured;  // the weaker of the two
  std::string energy_basis;       // of the boards' power; empty when rented
  CostQuestion question;
  CostAnswer answer;
  std::string price_gap;  // why a price is missing; empty when none is
  std::optional<Estimate> target_usd_per_million_tokens, reference_usd_per_million_tokens;
};

struct CostReport {
  RecordSet set;
  CostOptions options;
  std::vector<CostRow> rows;       // in the order of the records
  std::vector<std::string> notes;  // what to know before believing them
};

// One comparison's row, for who looks at a few of many.
CostRow cost_row(const RecordSet& set, const Comparison& comparison, const CostOptions& options);

// Throws Error{config} for an unknown setting, facility or price book, and when no two targets of one case
// ran.
CostReport make_cost_report(RecordSet set, CostOptions options);

// The row whose throughput ratio is the median of all: where one picture has to stand for many.
const CostRow& median_row(const CostReport& report);

}  // namespace chokepoint
