// How does a report enter another program? The records as they are, what follows from each, and every comparison.
#include <algorithm>
#include <string>
#include <vector>

#include "harness/base/json.hpp"
#include "harness/report/report.hpp"

namespace chokepoint {
namespace {

constexpr std::string_view kReportSchema = "chokepoint/report/1";

template <class T>
Json maybe(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json json_of(const Bounded& bounded) {
  return {{"value", bounded.value},
          {"ci_low", bounded.interval ? Json(bounded.interval->low) : Json(nullptr)},
          {"ci_high", bounded.interval ? Json(bounded.interval->high) : Json(nullptr)}};
}

Json json_of(const std::optional<Bounded>& bounded) { return bounded ? json_of(*bounded) : Json(nullptr); }

Json json_of(const std::optional<PriceQuote>& price) {
  if (!price) return nullptr;
  return {{"usd_per_gpu_h", price->item.usd_per_gpu_h},
          {"low", maybe(price->item.low)},
          {"high", maybe(price->item.high)},
          {"term", price->item.term},
          {"book", price->book},
          {"date", price->date},
          {"seller", price->seller},
          {"source_kind", price->source_kind},
          {"source", price->item.source},
          {"verified", price->item.verified},
          {"hash", price->hash}};
}

Json json_of(const Place& place) { return {{"file", place.file}, {"line", place.line}}; }

Json record_json(const Record& record, const ReportRow& row, const Place& place) {
  Json metrics = Json::object();
  for (const auto& [name, metric] : row.metrics)
    metrics[name] = {{"value", metric.value},
                     {"ci_low", maybe(metric.ci_low)},
                     {"ci_high", maybe(metric.ci_high)},
                     {"unit", metric.unit}};
  return {{"label", label_of(record)},
          {"price", json_of(row.price)},
          {"metrics", metrics},
          {"place", json_of(place)},
          {"record", to_json(record)}};
}

Json comparison_json(const Comparison& comparison, const std::vector<Record>& records) {
  return {{"a", records[comparison.a].case_id},
          {"b", records[comparison.b].case_id},
          {"target_a", records[comparison.a].target},
          {"target_b", records[comparison.b].target},
          {"basis", to_string(comparison.basis)},
          {"same_caps", comparison.same_caps},
          {"throughput_ratio_b_over_a", json_of(comparison.throughput_ratio)},
          {"confidence", comparison.confidence},
          {"pairing", comparison.pairing == Pairing::interleaved ? "interleaved" : "apart"},
          {"blocks", comparison.pairing == Pairing::interleaved ? Json(comparison.blocks) : Json(nullptr)},
          {"ess", comparison.pairing == Pairing::interleaved ? Json(comparison.ess) : Json(nullptr)},
          {"remark", comparison.remark},
          {"price_a", json_of(comparison.price_a)},
          {"price_b", json_of(comparison.price_b)},
          {"break_even_b_usd_per_h", json_of(comparison.break_even_b_usd_per_h)},
          {"break_even_a_usd_per_h", json_of(comparison.break_even_a_usd_per_h)},
          {"cost_ratio_b_over_a", json_of(comparison.cost_ratio)},
          {"work_per_joule_ratio_b_over_a", json_of(comparison.work_per_joule_ratio)}};
}

std::string render_json(const ReportInput& input, const Style&) {
  Json records = Json::array(), comparisons = Json::array(), cut_lines = Json::array();
  for (std::size_t i = 0; i < input.set.records.size(); ++i)
    records.push_back(record_json(input.set.records[i], input.rows[i], input.set.places[i]));
  for (const Comparison& comparison : input.comparisons)
    comparisons.push_back(comparison_json(comparison, input.set.records));
  for (const Place& place : input.set.cut_lines) cut_lines.push_back(json_of(place));
  const Json report = {{"schema", kReportSchema},
                       {"files", input.set.files},
                       {"superseded", input.set.superseded},
                       {"cut_lines", cut_lines},
                       {"price_choice", maybe(input.prices.choice)},
                       {"records", records},
                       {"comparisons", comparisons}};
  return report.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

const Register<Format> json_format{{.name = "json",
                                    .summary = "records as they are, with metrics and every comparison",
                                    .ending = ".json",
                                    .render = render_json}};

}  // namespace
}  // namespace chokepoint
