#include "harness/claims/outcome_json.hpp"

namespace chokepoint {
namespace {

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json source_of(const ClaimSource& source) {
  return {{"cite", source.cite},
          {"url", source.url},
          {"locator", text_or_null(source.locator)},
          {"grade", source.is_primary ? "primary" : "secondary"},
          {"retrieved", text_or_null(source.retrieved)}};
}

Json tornado_of(const DrawnSpread& spread, const std::vector<Assumption>& assumptions) {
  Json tornado = Json::array();
  for (std::size_t i = 0; i < assumptions.size() && i < spread.tornado.size(); ++i)
    tornado.push_back({{"key", assumptions[i].key},
                       {"at_lo", spread.tornado[i].at_lo},
                       {"at_hi", spread.tornado[i].at_hi},
                       {"variance_share", spread.shares.empty() ? Json(nullptr) : Json(spread.shares[i])}});
  return tornado;
}

Json row_of(const RowOutcome& row, const std::vector<Assumption>& assumptions, bool is_arithmetic) {
  const bool has_interval = !is_arithmetic;
  return {{"row", text_or_null(row.name)},
          {"published", row.published},
          {"derived", row.spread.p50},
          {"p5", has_interval ? Json(row.spread.p5) : Json(nullptr)},
          {"p95", has_interval ? Json(row.spread.p95) : Json(nullptr)},
          {"point", row.spread.point},
          {"unfitted", row.spread.unfitted},
          {"bound", or_null(row.bound)},
          {"deviation", or_null(row.judgement.deviation)},
          {"sigma", or_null(row.judgement.sigma)},
          {"tolerance", row.tolerance},
          {"verdict", to_string(row.judgement.verdict)},
          {"reason", row.judgement.reason},
          {"tornado", tornado_of(row.spread, assumptions)}};
}

Json rows_of(const std::vector<RowOutcome>& rows, const std::vector<Assumption>& assumptions, bool is_arithmetic) {
  Json list = Json::array();
  for (const RowOutcome& row : rows) list.push_back(row_of(row, assumptions, is_arithmetic));
  return list;
}

Json assumptions_of(const std::vector<Assumption>& assumptions) {
  Json list = Json::array();
  for (const Assumption& assumption : assumptions)
    list.push_back({{"key", assumption.key},
                    {"value", assumption.value},
                    {"lo", assumption.lo},
                    {"hi", assumption.hi},
                    {"neutral", or_null(assumption.neutral)},
                    {"basis", assumption.basis},
                    {"grade", to_string(grade_of_basis(assumption.basis))},
                    {"source", assumption.source}});
  return list;
}

Json inputs_of(const std::vector<ClaimInput>& inputs) {
  Json list = Json::array();
  for (const ClaimInput& input : inputs)
    list.push_back({{"key", input.key},
                    {"value", input.value},
                    {"unit", text_or_null(input.unit)},
                    {"grade", to_string(input.grade)},
                    {"source", input.source}});
  return list;
}

Json what_if_of(const std::vector<WhatIf>& what_if) {
  Json list = Json::array();
  for (const WhatIf& entry : what_if) list.push_back({{"with", entry.text}, {"change", entry.change}});
  return list;
}

Json routes_of(const std::vector<RouteOutcome>& routes) {
  Json list = Json::array();
  for (const RouteOutcome& route : routes)
    list.push_back({{"route", route.route}, {"missing", route.missing}, {"rows", rows_of(route.rows, {}, false)}});
  return list;
}

Json estimate_of(const Estimate& estimate) {
  return {{"mid", estimate.mid}, {"low", estimate.low}, {"high", estimate.high}};
}

Json consumption_json(const std::optional<Consumption>& consumption) {
  if (!consumption) return nullptr;
  return {{"of", consumption->of},
          {"gpu_hours", estimate_of(consumption->gpu_hours)},
          {"it_kwh", estimate_of(consumption->it_kwh)},
          {"facility_kwh", estimate_of(consumption->facility_kwh)},
          {"electricity_usd", estimate_of(consumption->electricity_usd)},
          {"rent_usd", consumption->rent_usd ? estimate_of(*consumption->rent_usd) : Json(nullptr)},
          {"rent_gap", text_or_null(consumption->rent_gap)},
          {"electricity_share_of_rent", or_null(consumption->electricity_share)},
          {"figures", assumptions_of(consumption->figures)}};
}

Json to_json(const ClaimOutcome& outcome) {
  const Claim& claim = outcome.claim;
  return {{"id", claim.id},
          {"tier", claim.tier},
          {"statement", claim.statement},
          {"verdict", to_string(outcome.verdict)},
          {"reason", outcome.reason},
          {"quantity", claim.quantity.name},
          {"unit", claim.quantity.unit},
          {"better", claim.quantity.is_lower_better ? "lower" : "higher"},
          {"rows", rows_of(outcome.rows, outcome.assumptions, outcome.is_arithmetic)},
          {"source", source_of(claim.source)},
          {"kind", claim.kind},
          {"route", text_or_null(outcome.route)},
          {"other_routes", routes_of(outcome.other_routes)},
          {"machine", text_or_null(outcome.machine)},
          {"assumptions", assumptions_of(outcome.assumptions)},
          {"inputs", inputs_of(outcome.inputs)},
          {"missing", outcome.missing},
          {"what_if", what_if_of(outcome.what_if)},
          {"change_by_settings", or_null(outcome.change_by_settings)},
          {"consumption", consumption_json(outcome.consumption)},
          {"consumption_gap", text_or_null(outcome.consumption_gap)},
          {"residual", text_or_null(outcome.residual)},
          {"notes", outcome.notes},
          {"caveats", claim.caveats},
          {"seed", outcome.is_arithmetic ? Json(nullptr) : Json(outcome.plan.seed)},
          {"draws", outcome.is_arithmetic ? Json(nullptr) : Json(outcome.plan.draws)},
          {"file", claim.file->path},
          {"file_sha256", claim.file_hash}};
}

}  // namespace

Json to_json(const std::vector<ClaimOutcome>& outcomes, const Json& tool) {
  Json list = Json::array();
  for (const ClaimOutcome& outcome : outcomes) list.push_back(to_json(outcome));
  return {{"schema", "chokepoint/claims-result/1"}, {"tool", tool}, {"claims", list}};
}

}  // namespace chokepoint
