#include "harness/report/sentences.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace chokepoint {
namespace {

// Three significant digits at least, and as many more as tell the ends of the interval from the middle.
int decimals_for(const Bounded& bounded, int least) {
  const double size = std::abs(bounded.value);
  int decimals = size > 0.0 ? std::max(least, 2 - static_cast<int>(std::floor(std::log10(size)))) : least;
  if (bounded.interval && bounded.interval->half_width() > 0.0)
    decimals = std::max(decimals, -static_cast<int>(std::floor(std::log10(bounded.interval->half_width()))));
  constexpr int most = 4;  // caps hold to a part in a hundred or a thousand: further digits would boast
  return std::clamp(decimals, least, std::max(least, most));
}

std::string bounded_text(const Bounded& bounded, int decimals, const char* before = "", const char* after = "") {
  const std::string middle = fmt::format("{}{:.{}f}{}", before, bounded.value, decimals, after);
  if (!bounded.interval) return middle + " [no interval]";
  return fmt::format("{} [{:.{}f}, {:.{}f}]", middle, bounded.interval->low, decimals, bounded.interval->high, decimals);
}

// How much cheaper B is, in percent of A: 1 - ratio. Negative: dearer.
Bounded saving_percent(const Bounded& cost_ratio, bool is_cheaper) {
  const double sign = is_cheaper ? 1.0 : -1.0;
  Bounded saving{100.0 * sign * (1.0 - cost_ratio.value), std::nullopt};
  if (cost_ratio.interval) {
    const double one = 100.0 * sign * (1.0 - cost_ratio.interval->low);
    const double other = 100.0 * sign * (1.0 - cost_ratio.interval->high);
    saving.interval = Interval{std::min(one, other), std::max(one, other)};
  }
  return saving;
}

std::string cost_sentence(const Comparison& comparison, const std::string& a, const std::string& b) {
  const Bounded& ratio = *comparison.cost_ratio;
  const bool is_cheaper = ratio.value < 1.0;
  const Bounded saving = saving_percent(ratio, is_cheaper);
  const bool is_fine = saving.interval && saving.interval->half_width() < 0.1;
  const std::string amount = bounded_text(saving, is_fine ? 2 : 1, "", " %");
  const std::string start = fmt::format("at its own {}, the {}", comparison.price_b->text(), b);
  if (ratio.interval && ratio.interval->contains(1.0))
    return fmt::format("{} cannot be told from the {} per unit of work: {} {} ({})", start, a, amount,
                       is_cheaper ? "cheaper" : "dearer", to_string(comparison.basis));
  return fmt::format("{} is {} {} per unit of work than the {} ({})", start, amount, is_cheaper ? "cheaper" : "dearer",
                     a, to_string(comparison.basis));
}

std::string break_even_sentence(const PriceQuote& price, const std::string& priced, const std::string& other,
                                const Bounded& break_even, Basis basis) {
  return fmt::format("at {} for the {}, the {} breaks even at {} for this case ({})", price.text(), priced, other,
                     usd_per_h_text(break_even), to_string(basis));
}

}  // namespace

std::string ratio_text(const Bounded& ratio) { return bounded_text(ratio, decimals_for(ratio, 3)); }

std::string usd_per_h_text(const Bounded& price) {
  return bounded_text(price, price.value < 1.0 ? 3 : 2, "$", "/h");
}

std::string half_width_text(std::optional<double> value, std::optional<double> low, std::optional<double> high) {
  if (!value || !low || !high || *value == 0.0) return "";
  const double percent = 50.0 * std::abs((*high - *low) / *value);
  const int decimals = percent >= 9.95 ? 0 : percent >= 0.995 || percent == 0.0 ? 1 : percent >= 0.0995 ? 2 : 3;
  return fmt::format("{:.{}f} %", percent, decimals);
}

std::string ratio_sentence(const Comparison& comparison, const std::vector<Record>& records) {
  const Record& a = records[comparison.a];
  const Record& b = records[comparison.b];
  std::string trust = std::string(to_string(comparison.basis));
  const Bounded& ratio = comparison.throughput_ratio;
  if (ratio.interval && ratio.interval->contains(1.0)) trust += "; no difference seen";
  if (comparison.pairing == Pairing::interleaved)
    trust += fmt::format("; {} blocks in turn, ESS {:.0f}", comparison.blocks, comparison.ess);
  if (!comparison.remark.empty()) trust += "; " + comparison.remark;
  return fmt::format("{} against {}: throughput, hence break-even price ratio, {} ({})", b.target, a.target,
                     ratio_text(ratio), trust);
}

std::vector<std::string> price_sentences(const Comparison& comparison, const std::vector<Record>& records) {
  const std::string& a = records[comparison.a].target;
  const std::string& b = records[comparison.b].target;
  std::vector<std::string> sentences;
  if (comparison.break_even_b_usd_per_h)
    sentences.push_back(
        break_even_sentence(*comparison.price_a, a, b, *comparison.break_even_b_usd_per_h, comparison.basis));
  if (comparison.break_even_a_usd_per_h)
    sentences.push_back(
        break_even_sentence(*comparison.price_b, b, a, *comparison.break_even_a_usd_per_h, comparison.basis));
  if (comparison.cost_ratio) sentences.push_back(cost_sentence(comparison, a, b));
  return sentences;
}

std::string energy_sentence(const Comparison& comparison, const std::vector<Record>& records) {
  if (!comparison.work_per_joule_ratio) return "";
  const Energy& a = records[comparison.a].energy;
  const Energy& b = records[comparison.b].energy;
  return fmt::format("per joule: {} times the work ({} power, {}: {:.4g} W against {:.4g} W)",
                     ratio_text(*comparison.work_per_joule_ratio), b.basis, b.scope, *b.power_w, *a.power_w);
}

}  // namespace chokepoint
