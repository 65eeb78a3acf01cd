#include "harness/report/html/answer_words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <vector>

#include "harness/base/strings.hpp"
#include "harness/report/html/picture.hpp"
#include "harness/report/sentences.hpp"

namespace chokepoint {

std::string article(const std::string& name) {
  const bool is_vowel =
      !name.empty() && std::string_view("aeiouhAEIOUH").find(name.front()) != std::string_view::npos;
  return (is_vowel ? "an " : "a ") + name;  // "an h800": the letter is said "aitch"
}

std::string basis_meaning(Basis basis, const std::string& devices) {
  switch (basis) {
    case Basis::measured:
      return fmt::format("measured: ran uncapped on {}", devices);
    case Basis::emulated:
      return fmt::format(
          "emulated: ran on {}, silicon of the same architecture, under caps that were measured before, during and "
          "after each run",
          devices);
    case Basis::scaled:
      return fmt::format(
          "scaled: ran on {}, which played each target slower by a recorded factor under verified caps; kernels and "
          "caches are its own, so trust ratios more than times",
          devices);
    case Basis::projected:
      return "projected: computed by a model";
    default:
      return "reported by somebody else";
  }
}

std::string devices_of(const ReportInput& input) {
  std::set<std::string> names;
  for (const Record& record : input.set.records)
    if (record.status == Status::ok) names.insert(device_name(record));
  return joined(std::vector(names.begin(), names.end()), " and ");
}

bool is_difference(const Bounded& ratio) {
  return ratio.interval ? !ratio.interval->contains(1.0) : ratio.value != 1.0;
}

std::string loss_text(const Bounded& ratio) {
  if (!is_difference(ratio)) return fmt::format("shows no difference ({})", ratio_text(ratio));
  const bool is_loss = ratio.value < 1.0;
  const auto percent = [&](double value) { return is_loss ? 100.0 * (1.0 - value) : 100.0 * (value - 1.0); };
  const double middle = percent(ratio.value);
  const int decimals = middle < 1.0 ? 2 : 1;
  std::string interval = "no interval";
  if (ratio.interval) {
    const double one = percent(ratio.interval->low), other = percent(ratio.interval->high);
    interval = fmt::format("{:.{}f}, {:.{}f}", std::min(one, other), decimals, std::max(one, other), decimals);
  }
  return fmt::format("{} {:.{}f} % [{}]", is_loss ? "loses" : "gains", middle, decimals, interval);
}

}  // namespace chokepoint
