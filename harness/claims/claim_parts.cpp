#include "harness/claims/claim_parts.hpp"

#include <fmt/format.h>

#include <cmath>

#include "harness/base/json.hpp"
#include "harness/base/strings.hpp"
#include "harness/claims/derivation.hpp"
#include "harness/claims/quantity_unit.hpp"
#include "harness/model/config_files.hpp"

namespace chokepoint {
namespace {

std::string checked_unit(Fields& fields) {
  std::string unit = telling_text(fields, "unit");
  if (!quantity_unit(unit))
    fields.reject("unit", fmt::format("is \"{}\", which is no unit known here", unit),
                  "write it like h, ms, GB/s, TFLOP/s/GPU, 1/s, USD, MWh or ratio");
  return unit;
}

void check_range(const Fields& fields, const Quantity& quantity) {
  if (quantity.lo.has_value() != quantity.hi.has_value())
    fields.reject(quantity.lo ? "lo" : "hi", "stands alone", "give both lo and hi, or neither");
  if (!quantity.lo) return;
  if (quantity.values.size() > 1) fields.reject("lo", "stands beside a list of values", "leave lo and hi out");
  if (*quantity.lo > quantity.values.front() || quantity.values.front() > *quantity.hi)
    fields.reject("value",
                  fmt::format("is {}, outside lo {} to hi {}", quantity.values.front(), *quantity.lo, *quantity.hi),
                  "order them: lo <= value <= hi");
}

Assumption decode_assumption(Fields fields, const Derivation* derivation) {
  Assumption assumption;
  assumption.key = telling_text(fields, "key");
  if (derivation && derivation->assumption_keys.empty())
    fields.reject("key", fmt::format("is \"{}\", but nothing is assumed in a derivation of kind {}", assumption.key,
                                     derivation->name),
                  "leave assumptions out");
  if (derivation) require_word(fields, "key", assumption.key, derivation->assumption_keys);
  assumption.value = fields.positive("value");
  assumption.lo = fields.positive("lo");
  assumption.hi = fields.positive("hi");
  if (assumption.lo > assumption.hi)
    fields.reject("lo", fmt::format("is {}, above hi {}", assumption.lo, assumption.hi),
                  "order them: lo <= value <= hi");
  if (assumption.value < assumption.lo || assumption.value > assumption.hi)
    fields.reject("value", fmt::format("is {}, outside lo {} to hi {}", assumption.value, assumption.lo, assumption.hi),
                  "order them: lo <= value <= hi");
  assumption.basis = fields.text("basis");
  require_word(fields, "basis", assumption.basis, assumption_bases());
  assumption.source = maybe_telling_text(fields, "source").value_or("");
  fields.finish();
  return assumption;
}

}  // namespace

const std::vector<std::string>& assumption_bases() {
  static const std::vector<std::string> bases = {"published", "trace", "trace-fit", "prior", "derived", "measure"};
  return bases;
}

std::vector<double> decode_positive_numbers(Fields& fields, const std::string& key) {
  const Json& value = fields.any(key);
  if (!value.is_array()) return {fields.positive(key)};
  if (value.empty()) fields.reject(key, "is empty", "write at least one number");
  std::vector<double> numbers;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const double number = value[i].is_number() ? value[i].get<double>() : NAN;
    if (!std::isfinite(number) || number <= 0.0)
      fields.reject(fmt::format("{}/{}", key, i), fmt::format("is {}, not a positive number", value[i].dump()),
                    "write a positive number");
    numbers.push_back(number);
  }
  return numbers;
}

Quantity decode_quantity(Fields fields) {
  static const std::vector<std::string> directions = {"lower", "higher"};
  Quantity quantity;
  quantity.name = telling_text(fields, "name");
  quantity.unit = checked_unit(fields);
  quantity.values = decode_positive_numbers(fields, "value");
  if (fields.has("rows")) quantity.rows = distinct_texts(fields, "rows", fields.texts("rows"));
  if (!quantity.rows.empty() && quantity.rows.size() != quantity.values.size())
    fields.reject("rows", fmt::format("has {} names for {} values", quantity.rows.size(), quantity.values.size()),
                  "name every value once");
  quantity.lo = fields.maybe_positive("lo");
  quantity.hi = fields.maybe_positive("hi");
  check_range(fields, quantity);
  const std::string better = fields.text("better");
  require_word(fields, "better", better, directions);
  quantity.is_lower_better = better == "lower";
  fields.finish();
  return quantity;
}

ClaimSource decode_source(Fields fields) {
  static const std::vector<std::string> grades = {"primary", "secondary"};
  ClaimSource source;
  source.cite = telling_text(fields, "cite");
  source.url = telling_text(fields, "url");
  source.locator = maybe_telling_text(fields, "locator").value_or("");
  source.retrieved = maybe_telling_text(fields, "retrieved").value_or("");
  const std::string grade = fields.text("grade");
  require_word(fields, "grade", grade, grades);
  source.is_primary = grade == "primary";
  fields.finish();
  return source;
}

std::vector<Assumption> decode_assumptions(Fields& fields, const Derivation* derivation) {
  std::vector<Assumption> assumptions;
  for (const Fields& entry : fields.maybe_objects("assumptions")) {
    assumptions.push_back(decode_assumption(entry, derivation));
    for (std::size_t i = 0; i + 1 < assumptions.size(); ++i)
      if (assumptions[i].key == assumptions.back().key)
        entry.reject("key", fmt::format("is \"{}\" for the second time", assumptions[i].key), "keep one of them");
  }
  return assumptions;
}

}  // namespace chokepoint
