// What goes into a report, and who writes it? Records, what follows from them at today's prices, and a format that is
// one file in harness/report/formats/.
//
//   RecordSet set = read_records({"results/2026-11-24_cpu_quick"});
//   std::cout << render_report("table", std::move(set), {load_price_books(configs)}, style_of(STDOUT_FILENO));
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/registry.hpp"
#include "harness/model/price.hpp"
#include "harness/model/record.hpp"
#include "harness/report/beside.hpp"
#include "harness/report/comparison.hpp"
#include "harness/report/records.hpp"
#include "harness/report/style.hpp"

namespace chokepoint {

// Which prices count: the newest market price of each profile, or those of the book the user names
// ("2025-02_deepseek", "2026-03-29_semianalysis:rental_3y").
struct Prices {
  std::vector<PriceBook> books = {};
  std::optional<std::string> choice = std::nullopt;

  // Of a target: that of its profile. The host and a profile with replaced rates ("h100-sxm@link=50GB/s") are machines
  // that nobody offers. Throws Error{config} when `choice` names no book or one of several terms.
  std::optional<PriceQuote> of(const std::string& target) const;

  // Why `of` has none, and which books would: one clause.
  std::string absence_of(const std::string& target) const;
};

// What follows from one record.
struct ReportRow {
  std::optional<PriceQuote> price;
  std::map<std::string, MetricValue> metrics;  // of all registered ones, those that have a value; status ok only
};

struct ReportInput {
  RecordSet set;
  std::vector<ReportRow> rows;  // of each record
  std::vector<Comparison> comparisons;
  Prices prices;
  ReportBeside beside = {};  // only a page shows it
};

// Dollars are computed here, from the books, whatever the record says: prices change, times do not.
ReportInput make_report(RecordSet set, Prices prices, double confidence = 0.95);

// Of the rows' metrics these alone; all where `names` is empty. Throws Error{config} with the nearest known name.
void keep_metrics(const std::vector<std::string>& names, ReportInput& input);

// A way to write a report: harness/report/formats/<name>.cpp.
struct Format {
  std::string name;
  std::string summary;  // for `list formats` and --help
  std::string ending;   // of files that hold it, with the dot: ".html"; empty where the ending says nothing
  bool shows_beside = false;  // history, claims and costs of owning
  std::function<std::string(const ReportInput&, const Style&)> render;
};

// Throws Error{config} with the nearest known name.
const Format& find_format(const std::string& name);

// The format whose ending this file's name has; null when none has.
const Format* format_of_file(const std::string& path);

std::string render_report(const std::string& format, RecordSet set, Prices prices, const Style& style,
                          ReportBeside beside = {});

}  // namespace chokepoint
