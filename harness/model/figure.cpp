#include "harness/model/figure.hpp"

#include <fmt/format.h>

#include <cmath>

#include "harness/base/error.hpp"
#include "harness/base/units.hpp"
#include "harness/model/config_files.hpp"

namespace chokepoint {
namespace {

// What one of `unit` is in `base_unit`.
double scale_of(const Fields& fields, const std::string& unit, std::string_view base_unit) {
  try {
    const std::string one = "1 " + unit;  // the gap keeps a digit or exponent in `unit` out of the number
    return base_unit == "s" ? parse_duration_s(one) : parse_rate(one, base_unit);
  } catch (const Error&) {
    fields.reject("unit", fmt::format("is \"{}\", which does not measure in {}", unit, base_unit),
                  fmt::format("write {} with a decimal prefix, or none", base_unit));
  }
}

}  // namespace

Figure decode_figure(Fields fields, std::string_view base_unit) {
  static const std::vector<std::string> kinds = {"datasheet", "measured", "derived", "estimate"};
  Figure figure;
  figure.unit = base_unit;
  const double value = fields.positive("value");
  const std::string unit = fields.text("unit");
  if (unit.empty())
    fields.reject("unit", "is empty", fmt::format("write {} with a decimal prefix, or none", base_unit));
  figure.value = value * scale_of(fields, unit, base_unit);
  if (!std::isfinite(figure.value) || figure.value <= 0.0)
    fields.reject("value", fmt::format("is {} {}, beyond what a number holds", value, unit), "correct it");
  figure.kind = fields.text("kind");
  require_word(fields, "kind", figure.kind, kinds);
  figure.source = telling_text(fields, "source");
  figure.verified = fields.maybe_boolean("verified").value_or(true);
  fields.finish();
  return figure;
}

}  // namespace chokepoint
