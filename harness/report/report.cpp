#include "harness/report/report.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"
#include "harness/metrics/metric.hpp"

namespace chokepoint {
namespace {

constexpr std::string_view kHost = "host";

}  // namespace

std::optional<PriceQuote> Prices::of(const std::string& target) const {
  if (choice) find_price_book(books, choice->substr(0, choice->find(':')));
  if (target == kHost || target.find('@') != std::string::npos) return std::nullopt;
  return choice ? quote(books, target, *choice) : quote(books, target);
}

std::string Prices::absence_of(const std::string& target) const {
  if (target == kHost) return "the host itself is not for rent";
  if (target.find('@') != std::string::npos) return "nobody offers this profile with replaced rates";
  std::string reason = choice ? fmt::format("{} has no price for it", *choice) : absence(books, target);
  std::vector<std::string> others;
  for (const PriceBook& book : books)
    for (const PriceItem& item : book.items)
      if (item.profile == target)
        others.push_back(fmt::format("{}:{} ${:.2f}/h, {}", book.id, item.term, item.usd_per_gpu_h, book.source_kind));
  if (!others.empty()) reason += fmt::format("; elsewhere: {}", joined(others, "; "));
  return reason;
}

ReportInput make_report(RecordSet set, Prices prices, double confidence) {
  ReportInput input{std::move(set), {}, {}, std::move(prices), {}};
  for (const Record& record : input.set.records) {
    ReportRow row;
    row.price = input.prices.of(record.target);
    const std::optional<double> usd_per_h = row.price ? std::optional(row.price->item.usd_per_gpu_h) : std::nullopt;
    if (record.status == Status::ok)
      for (const Metric& metric : Registry<Metric>::instance().all())
        if (const std::optional<MetricValue> value = evaluate(metric, record, usd_per_h))
          row.metrics[metric.name] = *value;
    input.rows.push_back(std::move(row));
  }
  input.comparisons = compare_targets(
      input.set.records, [&](const std::string& target) { return input.prices.of(target); }, confidence);
  return input;
}

void keep_metrics(const std::vector<std::string>& names, ReportInput& input) {
  if (names.empty()) return;
  std::vector<std::string> known;
  for (const Metric& metric : Registry<Metric>::instance().all()) known.push_back(metric.name);
  std::sort(known.begin(), known.end());
  for (const std::string& name : names)
    if (!std::binary_search(known.begin(), known.end(), name))
      throw Error(Fault::config, fmt::format("metric \"{}\" is unknown", name), suggestion(name, known));
  for (ReportRow& row : input.rows)
    std::erase_if(row.metrics, [&](const auto& one) {
      return std::find(names.begin(), names.end(), one.first) == names.end();
    });
}

const Format& find_format(const std::string& name) {
  if (const Format* format = Registry<Format>::instance().find(name)) return *format;
  std::vector<std::string> known;
  for (const Format& format : Registry<Format>::instance().all()) known.push_back(format.name);
  std::sort(known.begin(), known.end());
  throw Error(Fault::config, fmt::format("format \"{}\" is unknown", name), suggestion(name, known));
}

const Format* format_of_file(const std::string& path) {
  for (const Format& format : Registry<Format>::instance().all())
    if (!format.ending.empty() && path.ends_with(format.ending)) return &format;
  return nullptr;
}

std::string render_report(const std::string& format, RecordSet set, Prices prices, const Style& style,
                          ReportBeside beside) {
  const Format& chosen = find_format(format);
  ReportInput input = make_report(std::move(set), std::move(prices));
  input.beside = std::move(beside);
  return chosen.render(input, style);
}

}  // namespace chokepoint
