#include "harness/report/html/answer_pair.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <set>

#include "harness/base/strings.hpp"
#include "harness/report/html/answer_words.hpp"
#include "harness/report/sentences.hpp"

namespace chokepoint {
namespace {

constexpr std::size_t kMostCasesShown = 12;  // beyond, operations are shown and cases fold away

// A pair that should tie and does: one that does not is a difference like any other.
bool is_tie(const Comparison& comparison) {
  constexpr double most = 0.02;  // what caps hold to (kCapTolerance of harness/caps/cap.hpp)
  return comparison.same_caps && std::abs(comparison.throughput_ratio.value - 1.0) <= most;
}

const Bounded& ratio_of(const PictureInput& input, const PairLine& line) {
  return input.report.comparisons[line.comparison].throughput_ratio;
}

std::pair<const PairLine*, const PairLine*> extremes_of(const PictureInput& input,
                                                        const std::vector<PairLine>& lines) {
  const auto [low, high] = std::minmax_element(lines.begin(), lines.end(), [&](const PairLine& x, const PairLine& y) {
    return ratio_of(input, x).value < ratio_of(input, y).value;
  });
  return {&*low, &*high};
}

Basis basis_of(const PictureInput& input, const std::vector<PairLine>& lines) {
  Basis basis = Basis::measured;
  for (const PairLine& line : lines) basis = weaker(basis, input.report.comparisons[line.comparison].basis);
  return basis;
}

std::string break_even_text(const Comparison& comparison) {
  if (comparison.break_even_b_usd_per_h) return usd_per_h_text(*comparison.break_even_b_usd_per_h);
  return fmt::format("{:.1f} % of the price", 100.0 * comparison.throughput_ratio.value);
}

// Cases that use something that differs, and do more than move bytes: those that an answer can rest on.
std::vector<PairLine> telling_lines(const PictureInput& input, const TargetPair& pair) {
  std::vector<PairLine> lines, differing;
  std::copy_if(pair.lines.begin(), pair.lines.end(), std::back_inserter(differing),
               [](const PairLine& line) { return !line.is_tie; });
  std::copy_if(differing.begin(), differing.end(), std::back_inserter(lines), [&](const PairLine& line) {
    return input.report.set.records[input.report.comparisons[line.comparison].b].work.flop > 0.0;
  });
  return lines.empty() ? differing : lines;
}

std::vector<std::string> loss_sentences(const PictureInput& input, const TargetPair& pair) {
  const std::vector<PairLine> lines = telling_lines(input, pair);
  const std::string start = fmt::format("Against {}, {}", article(pair.a), article(pair.b));
  if (lines.empty())
    return {
        fmt::format("{} loses nothing: none of the {} cases uses anything that differs.", start, pair.lines.size())};
  const auto [worst, best] = extremes_of(input, lines);
  const Bounded& ratio = ratio_of(input, *worst);
  if (!is_difference(ratio)) return {fmt::format("{} shows no loss of work per hour.", start)};
  const bool is_one = lines.size() == 1;
  std::vector<std::string> sentences = {
      fmt::format("{} {} of its work per hour{}.", start, loss_text(ratio), is_one ? "" : " in the worst case")};
  if (is_one)
    sentences.push_back(fmt::format("In {}.", worst->name));
  else
    sentences.push_back(fmt::format("Worst: {}. Best of the {} cases that compute and differ: {} ({}).", worst->name,
                                    lines.size(), loss_text(ratio_of(input, *best)), best->name));
  return sentences;
}

// A case that only moves bytes loses the most; the answer rests on none, and a reader who finds it in the table has to
// know why.
std::string transfer_sentence(const PictureInput& input, const TargetPair& pair) {
  std::vector<PairLine> moving;
  bool has_others = false;
  for (const PairLine& line : pair.lines) {
    const bool computes = input.report.set.records[input.report.comparisons[line.comparison].b].work.flop > 0.0;
    if (!line.is_tie && !computes) moving.push_back(line);
    has_others = has_others || (!line.is_tie && computes);
  }
  if (moving.empty() || !has_others) return "";
  const PairLine& worst = *extremes_of(input, moving).first;
  return fmt::format("A bare transfer {} ({}): more than work that also computes can lose to it.",
                     loss_text(ratio_of(input, worst)), worst.name);
}

std::string tie_sentence(const PictureInput& input, const TargetPair& pair) {
  std::size_t ties = 0;
  double worst = 0.0;
  for (const PairLine& line : pair.lines)
    if (line.is_tie) ++ties, worst = std::max(worst, std::abs(ratio_of(input, line).value - 1.0));
  if (ties == 0 || ties == pair.lines.size()) return "";
  return fmt::format(
      "{} of {} cases use nothing that differs between the two and lose nothing; they came out within {:.2g} %, so "
      "take no smaller difference for one.",
      ties, pair.lines.size(), 100.0 * worst);
}

std::string break_even_answer(const PictureInput& input, const TargetPair& pair, const std::vector<PairLine>& lines) {
  const auto [worst, best] = extremes_of(input, lines);
  const Comparison &low = input.report.comparisons[worst->comparison],
                   &high = input.report.comparisons[best->comparison];
  const std::string least = fmt::format("{:.1f}", 100.0 * low.throughput_ratio.value),
                    most = fmt::format("{:.1f}", 100.0 * high.throughput_ratio.value);
  std::string text =
      fmt::format("It pays off below {} % of the {}'s price{}", least, pair.a,
                  least == most ? "" : fmt::format(" in the worst of these cases, below {} % in the best", most));
  if (low.break_even_b_usd_per_h && high.break_even_b_usd_per_h) {
    const std::string from = usd_per_h_text(*low.break_even_b_usd_per_h),
                      to = usd_per_h_text(*high.break_even_b_usd_per_h);
    text += fmt::format(": {}{} against {}", from, from == to ? "" : " and " + to, low.price_a->text());
  }
  return text + ".";
}

std::vector<std::string> money_sentences(const PictureInput& input, const TargetPair& pair) {
  const std::vector<PairLine> lines = telling_lines(input, pair);
  std::vector<std::string> sentences = {break_even_answer(input, pair, lines.empty() ? pair.lines : lines)};
  std::size_t cheaper = 0, priced = 0;
  std::optional<PriceQuote> own;
  for (const PairLine& line : pair.lines)
    if (const Comparison& comparison = input.report.comparisons[line.comparison]; comparison.cost_ratio)
      ++priced, cheaper += comparison.cost_ratio->value < 1.0 ? 1 : 0, own = comparison.price_b;
  if (own)
    sentences.push_back(fmt::format("At its own {} it is the cheaper one per unit of work in {} of {} cases.",
                                    own->text(), cheaper, priced));
  else if (!input.report.prices.of(pair.b))
    sentences.push_back(fmt::format("Today's price of the {}: {}.", pair.b, input.report.prices.absence_of(pair.b)));
  return sentences;
}

std::string energy_sentence_of(const PictureInput& input, const TargetPair& pair) {
  std::optional<Bounded> least, most;
  std::set<std::string> bases;
  const std::vector<PairLine> telling = telling_lines(input, pair);
  for (const PairLine& line : telling.empty() ? pair.lines : telling) {
    const std::optional<Bounded>& ratio = input.report.comparisons[line.comparison].work_per_joule_ratio;
    if (!ratio) continue;
    bases.insert(input.report.set.records[input.report.comparisons[line.comparison].b].energy.basis);
    if (!least || ratio->value < least->value) least = ratio;
    if (!most || ratio->value > most->value) most = ratio;
  }
  if (!least) return "";
  return fmt::format("Per joule it does {} to {} times the work ({} power).", ratio_text(*least), ratio_text(*most),
                     joined(std::vector(bases.begin(), bases.end()), " or "));
}

// A bar as long as what is lost.
std::string lost_bar(const Bounded& ratio) {
  const double lost = std::clamp(100.0 * (1.0 - ratio.value), 0.0, 100.0);
  return fmt::format("<span class=\"bar\" aria-hidden=\"true\"><span style=\"width:{:.1f}%\"></span></span>", lost);
}

const std::vector<DataColumn> kCaseColumns = {
    {"case"}, {"work per hour"}, {"breaks even at"}, {"work per joule"}, {"basis"}};

std::vector<DataCell> case_row(const PictureInput& input, const PairLine& line, const std::string& name) {
  const Comparison& pair = input.report.comparisons[line.comparison];
  const Record& b = input.report.set.records[pair.b];
  return {{.text = name},
          {.text = line.is_tie ? fmt::format("{}; nothing it uses differs", ratio_text(pair.throughput_ratio))
                               : loss_text(pair.throughput_ratio),
           .sort = pair.throughput_ratio.value,
           .mark_up = line.is_tie ? "" : lost_bar(pair.throughput_ratio)},
          {.text = line.is_tie ? "the same price" : break_even_text(pair), .sort = pair.throughput_ratio.value},
          {.text = pair.work_per_joule_ratio
                       ? fmt::format("{} ({})", ratio_text(*pair.work_per_joule_ratio), b.energy.basis)
                       : "no power"},
          {.text = std::string(to_string(pair.basis))}};
}

// What differs first, the largest loss on top.
DataTable case_table(const PictureInput& input, const TargetPair& pair) {
  std::vector<PairLine> lines = pair.lines;
  std::stable_sort(lines.begin(), lines.end(), [&](const PairLine& a, const PairLine& b) {
    if (a.is_tie != b.is_tie) return b.is_tie;
    return !a.is_tie && ratio_of(input, a).value < ratio_of(input, b).value;
  });
  DataTable table{kCaseColumns, {}};
  for (const PairLine& line : lines) table.rows.push_back(case_row(input, line, line.name));
  return table;
}

// The largest loss on top, what ties at the end.
DataTable operation_table(const PictureInput& input, const TargetPair& pair) {
  DataTable table{{{"operation"}, {"worst case"}, {"work per hour"}, {"breaks even at"}, {"best case"}, {"basis"}},
                  {}};
  std::map<std::string, std::vector<PairLine>> operations;
  for (const PairLine& line : pair.lines) operations[line.operation].push_back(line);
  for (const auto& [operation, lines] : operations) {
    const auto [worst, best] = extremes_of(input, lines);
    const Comparison& low = input.report.comparisons[worst->comparison];
    if (std::all_of(lines.begin(), lines.end(), [](const PairLine& line) { return line.is_tie; })) {
      const std::string count = fmt::format("{}, {} case{}", operation, lines.size(), lines.size() == 1 ? "" : "s");
      const std::string range =
          fmt::format("{:.3f} to {:.3f}", low.throughput_ratio.value, ratio_of(input, *best).value);
      table.rows.push_back({{.text = count},
                            {.text = "any"},
                            {.text = range + " times: nothing they use differs", .sort = 1.0 + 1e-9},
                            {.text = "the same price", .sort = 1.0},
                            {.text = "any", .sort = 1.0},
                            {.text = std::string(to_string(basis_of(input, lines)))}});
      continue;
    }
    table.rows.push_back(
        {{.text = fmt::format("{}, {} case{}", operation, lines.size(), lines.size() == 1 ? "" : "s")},
         {.text = worst->name.size() > operation.size() ? worst->name.substr(operation.size() + 1) : operation},
         {.text = loss_text(low.throughput_ratio),
          .sort = low.throughput_ratio.value,
          .mark_up = lost_bar(low.throughput_ratio)},
         {.text = break_even_text(low), .sort = low.throughput_ratio.value},
         {.text = loss_text(ratio_of(input, *best)), .sort = ratio_of(input, *best).value},
         {.text = std::string(to_string(basis_of(input, lines)))}});
  }
  std::stable_sort(table.rows.begin(), table.rows.end(),
                   [](const auto& a, const auto& b) { return *a[2].sort < *b[2].sort; });
  return table;
}

}  // namespace

std::vector<TargetPair> pairs_of(const PictureInput& input) {
  const std::vector<std::string> names = case_names(input.report, input.groups);
  std::vector<TargetPair> pairs;
  std::map<std::pair<std::string, std::string>, std::size_t> places;
  for (const ReportGroup& group : input.groups)
    for (const ReportCase& one : group.cases)
      for (const std::size_t i : one.comparisons) {
        const Comparison& comparison = input.report.comparisons[i];
        const std::string &a = input.report.set.records[comparison.a].target,
                          &b = input.report.set.records[comparison.b].target;
        const auto [place, is_new] = places.emplace(std::pair(a, b), pairs.size());
        if (is_new) pairs.push_back({a, b, {}});
        pairs[place->second].lines.push_back({i, group.operation, names[comparison.b], is_tie(comparison)});
      }
  return pairs;
}

PageAnswer answer_of_pair(const PictureInput& input, const TargetPair& pair) {
  PageAnswer answer;
  answer.headline = fmt::format("What {} costs you against {}", article(pair.b), article(pair.a));
  answer.sentences = loss_sentences(input, pair);
  for (std::string& sentence : money_sentences(input, pair)) answer.sentences.push_back(std::move(sentence));
  if (std::string transfer = transfer_sentence(input, pair); !transfer.empty())
    answer.sentences.push_back(std::move(transfer));
  if (std::string ties = tie_sentence(input, pair); !ties.empty()) answer.sentences.push_back(std::move(ties));
  if (std::string energy = energy_sentence_of(input, pair); !energy.empty())
    answer.sentences.push_back(std::move(energy));
  answer.basis = basis_meaning(basis_of(input, pair.lines), devices_of(input.report));
  const bool is_long = pair.lines.size() > kMostCasesShown;
  answer.cases = is_long ? operation_table(input, pair) : case_table(input, pair);
  answer.cases_title = fmt::format("{} against {}, {}", pair.b, pair.a, is_long ? "by operation" : "case by case");
  if (is_long) answer.all_cases = case_table(input, pair);
  return answer;
}

}  // namespace chokepoint
