#include "harness/report/html/answer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <map>
#include <set>

#include "harness/base/strings.hpp"
#include "harness/base/units.hpp"
#include "harness/report/sentences.hpp"
#include "harness/report/summary.hpp"
#include "harness/report/sweeps.hpp"

namespace chokepoint {
namespace {

constexpr std::size_t kMostCasesShown = 12;  // beyond, operations are shown and cases fold away

struct Line {
  std::size_t comparison = 0;
  std::string operation, name;
  bool is_tie = false;  // nothing this case uses differs between the targets
};

struct Pair {
  std::string a, b;
  std::vector<Line> lines;
};

std::string article(const std::string& name) {
  const bool is_vowel =
      !name.empty() && std::string_view("aeiouhAEIOUH").find(name.front()) != std::string_view::npos;
  return (is_vowel ? "an " : "a ") + name;  // "an h800": the letter is said "aitch"
}

// A pair that should tie and does: one that does not is a difference like any other.
bool is_tie(const ReportInput& input, const Comparison& comparison) {
  constexpr double most = 0.02;  // what caps hold to (kCapTolerance of harness/caps/cap.hpp)
  return have_the_same_caps(input.set.records[comparison.a], input.set.records[comparison.b]) &&
         std::abs(comparison.throughput_ratio.value - 1.0) <= most;
}

std::vector<Pair> pairs_of(const PictureInput& input, const std::vector<std::string>& names) {
  std::vector<Pair> pairs;
  std::map<std::pair<std::string, std::string>, std::size_t> places;
  for (const ReportGroup& group : input.groups)
    for (const ReportCase& one : group.cases)
      for (const std::size_t i : one.comparisons) {
        const Comparison& comparison = input.report.comparisons[i];
        const std::string &a = input.report.set.records[comparison.a].target,
                          &b = input.report.set.records[comparison.b].target;
        const auto [place, is_new] = places.emplace(std::pair(a, b), pairs.size());
        if (is_new) pairs.push_back({a, b, {}});
        pairs[place->second].lines.push_back(
            {i, group.operation, names[comparison.b], is_tie(input.report, comparison)});
      }
  return pairs;
}

const Bounded& ratio_of(const PictureInput& input, const Line& line) {
  return input.report.comparisons[line.comparison].throughput_ratio;
}

bool is_difference(const Bounded& ratio) {
  return ratio.interval ? !ratio.interval->contains(1.0) : ratio.value != 1.0;
}

std::pair<const Line*, const Line*> extremes_of(const PictureInput& input, const std::vector<Line>& lines) {
  const auto [low, high] = std::minmax_element(lines.begin(), lines.end(), [&](const Line& x, const Line& y) {
    return ratio_of(input, x).value < ratio_of(input, y).value;
  });
  return {&*low, &*high};
}

Basis basis_of(const PictureInput& input, const std::vector<Line>& lines) {
  Basis basis = Basis::measured;
  for (const Line& line : lines) basis = weaker(basis, input.report.comparisons[line.comparison].basis);
  return basis;
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

std::string break_even_text(const Comparison& comparison) {
  if (comparison.break_even_b_usd_per_h) return usd_per_h_text(*comparison.break_even_b_usd_per_h);
  return fmt::format("{:.1f} % of the price", 100.0 * comparison.throughput_ratio.value);
}

// Cases that use something that differs, and do more than move bytes: those that an answer can rest on.
std::vector<Line> telling_lines(const PictureInput& input, const Pair& pair) {
  std::vector<Line> lines, differing;
  std::copy_if(pair.lines.begin(), pair.lines.end(), std::back_inserter(differing),
               [](const Line& line) { return !line.is_tie; });
  std::copy_if(differing.begin(), differing.end(), std::back_inserter(lines), [&](const Line& line) {
    return input.report.set.records[input.report.comparisons[line.comparison].b].work.flop > 0.0;
  });
  return lines.empty() ? differing : lines;
}

std::vector<std::string> loss_sentences(const PictureInput& input, const Pair& pair) {
  const std::vector<Line> lines = telling_lines(input, pair);
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
    sentences.push_back(fmt::format("Worst: {}. Best of the {} cases that differ: {} ({}).", worst->name,
                                    lines.size(), loss_text(ratio_of(input, *best)), best->name));
  return sentences;
}

std::string tie_sentence(const PictureInput& input, const Pair& pair) {
  std::size_t ties = 0;
  double worst = 0.0;
  for (const Line& line : pair.lines)
    if (line.is_tie) ++ties, worst = std::max(worst, std::abs(ratio_of(input, line).value - 1.0));
  if (ties == 0 || ties == pair.lines.size()) return "";
  return fmt::format(
      "{} of {} cases use nothing that differs between the two and lose nothing; they came out within {:.2g} %, so "
      "take no smaller difference for one.",
      ties, pair.lines.size(), 100.0 * worst);
}

std::string break_even_sentence(const PictureInput& input, const Pair& pair, const std::vector<Line>& lines) {
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

std::vector<std::string> money_sentences(const PictureInput& input, const Pair& pair) {
  const std::vector<Line> lines = telling_lines(input, pair);
  std::vector<std::string> sentences = {break_even_sentence(input, pair, lines.empty() ? pair.lines : lines)};
  std::size_t cheaper = 0, priced = 0;
  std::optional<PriceQuote> own;
  for (const Line& line : pair.lines)
    if (const Comparison& comparison = input.report.comparisons[line.comparison]; comparison.cost_ratio)
      ++priced, cheaper += comparison.cost_ratio->value < 1.0 ? 1 : 0, own = comparison.price_b;
  if (own)
    sentences.push_back(fmt::format("At its own {} it is the cheaper one per unit of work in {} of {} cases.",
                                    own->text(), cheaper, priced));
  else if (!input.report.prices.of(pair.b))
    sentences.push_back(fmt::format("Today's price of the {}: {}.", pair.b, input.report.prices.absence_of(pair.b)));
  return sentences;
}

std::string energy_sentence_of(const PictureInput& input, const Pair& pair) {
  std::optional<Bounded> least, most;
  std::set<std::string> bases;
  for (const Line& line : pair.lines) {
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
std::string bar(const Bounded& ratio) {
  const double lost = std::clamp(100.0 * (1.0 - ratio.value), 0.0, 100.0);
  return fmt::format("<span class=\"bar\" aria-hidden=\"true\"><span style=\"width:{:.1f}%\"></span></span>", lost);
}

const std::vector<DataColumn> kCaseColumns = {
    {"case"}, {"work per hour"}, {"breaks even at"}, {"work per joule"}, {"basis"}};

std::vector<DataCell> case_row(const PictureInput& input, const Line& line, const std::string& name) {
  const Comparison& pair = input.report.comparisons[line.comparison];
  const Record& b = input.report.set.records[pair.b];
  return {{.text = name},
          {.text = line.is_tie ? fmt::format("{}; nothing it uses differs", ratio_text(pair.throughput_ratio))
                               : loss_text(pair.throughput_ratio),
           .sort = pair.throughput_ratio.value,
           .mark_up = line.is_tie ? "" : bar(pair.throughput_ratio)},
          {.text = break_even_text(pair), .sort = pair.throughput_ratio.value},
          {.text = pair.work_per_joule_ratio
                       ? fmt::format("{} ({})", ratio_text(*pair.work_per_joule_ratio), b.energy.basis)
                       : "no power"},
          {.text = std::string(to_string(pair.basis))}};
}

DataTable case_table(const PictureInput& input, const Pair& pair) {
  DataTable table{kCaseColumns, {}};
  for (const Line& line : pair.lines) table.rows.push_back(case_row(input, line, line.name));
  return table;
}

DataTable operation_table(const PictureInput& input, const Pair& pair) {
  DataTable table{{{"operation"}, {"worst case"}, {"work per hour"}, {"breaks even at"}, {"best case"}, {"basis"}},
                  {}};
  std::map<std::string, std::vector<Line>> operations;
  for (const Line& line : pair.lines) operations[line.operation].push_back(line);
  for (const auto& [operation, lines] : operations) {
    const auto [worst, best] = extremes_of(input, lines);
    const Comparison& low = input.report.comparisons[worst->comparison];
    if (std::all_of(lines.begin(), lines.end(), [](const Line& line) { return line.is_tie; })) {
      const std::string count = fmt::format("{}, {} case{}", operation, lines.size(), lines.size() == 1 ? "" : "s");
      const std::string range =
          fmt::format("{:.3f} to {:.3f}", low.throughput_ratio.value, ratio_of(input, *best).value);
      table.rows.push_back({{.text = count},
                            {.text = "any"},
                            {.text = range + " times: nothing they use differs", .sort = 1.0},
                            {.text = "the same price", .sort = 1.0},
                            {.text = "any", .sort = 1.0},
                            {.text = std::string(to_string(basis_of(input, lines)))}});
      continue;
    }
    table.rows.push_back(
        {{.text = fmt::format("{}, {} case{}", operation, lines.size(), lines.size() == 1 ? "" : "s")},
         {.text = worst->name.substr(std::min(worst->name.size(), operation.size() + 1))},
         {.text = loss_text(low.throughput_ratio),
          .sort = low.throughput_ratio.value,
          .mark_up = bar(low.throughput_ratio)},
         {.text = break_even_text(low), .sort = low.throughput_ratio.value},
         {.text = loss_text(ratio_of(input, *best)), .sort = ratio_of(input, *best).value},
         {.text = std::string(to_string(basis_of(input, lines)))}});
  }
  return table;
}

void fill_pair(const PictureInput& input, const Pair& pair, Answer& answer) {
  answer.headline = fmt::format("What {} costs you against {}", article(pair.b), article(pair.a));
  answer.sentences = loss_sentences(input, pair);
  for (std::string& sentence : money_sentences(input, pair)) answer.sentences.push_back(std::move(sentence));
  if (std::string ties = tie_sentence(input, pair); !ties.empty()) answer.sentences.push_back(std::move(ties));
  if (std::string energy = energy_sentence_of(input, pair); !energy.empty())
    answer.sentences.push_back(std::move(energy));
  answer.basis = basis_meaning(basis_of(input, pair.lines), devices_of(input.report));
  const bool is_long = pair.lines.size() > kMostCasesShown;
  answer.cases = is_long ? operation_table(input, pair) : case_table(input, pair);
  answer.cases_title = fmt::format("{} against {}, {}", pair.b, pair.a, is_long ? "by operation" : "case by case");
  if (is_long) answer.all_cases = case_table(input, pair);
}

// "Cutting the link of an h100-sxm to 20 GB/s makes it 2.68 to 4.47 times slower": over all curves.
std::string sweep_sentence(const std::vector<Sweep>& sweeps, const std::string& machine,
                           const std::function<std::string(double)>& rate) {
  double least = 0.0, most = 0.0, low_knee = 0.0, high_knee = 0.0, tightest = sweeps.front().points.back().rate;
  for (const Sweep& sweep : sweeps) {
    const double slowdown = sweep.points.back().slowdown.value;
    least = least == 0.0 ? slowdown : std::min(least, slowdown);
    most = std::max(most, slowdown);
    tightest = std::min(tightest, sweep.points.back().rate);
    if (!sweep.knee) continue;
    low_knee = low_knee == 0.0 ? sweep.knee->rate : std::min(low_knee, sweep.knee->rate);
    high_knee = std::max(high_knee, sweep.knee->rate);
  }
  std::string text =
      fmt::format("Cutting the {} of {} to {} makes it {:.2f}{} times slower", to_string(sweeps.front().resource),
                  article(machine), rate(tightest), least, least == most ? "" : fmt::format(" to {:.2f}", most));
  if (high_knee > 0.0)
    text += fmt::format("; the first 5 % are lost at {}{}", rate(high_knee),
                        low_knee == high_knee ? "" : " to " + rate(low_knee));
  return text + ".";
}

void fill_sweep(const PictureInput& input, const std::vector<Sweep>& sweeps, const std::vector<std::string>& names,
                Answer& answer) {
  const std::vector<Record>& records = input.report.set.records;
  const Resource resource = sweeps.front().resource;
  const auto rate = [&](double value) { return with_unit(value, fmt::format("{}/s", unit_of(resource))); };
  const Record& base = records[sweeps.front().points.front().record];
  answer.headline = fmt::format("What a slower {} costs {}", to_string(resource),
                                article(base.target.substr(0, base.target.find('@'))));
  answer.cases = {{{"case"}, {"5 % are lost below"}, {"at the tightest cap"}, {"basis"}}, {}};
  answer.cases_title = fmt::format("A tighter cap on {}, case by case", to_string(resource));
  answer.sentences.push_back(sweep_sentence(sweeps, base.target.substr(0, base.target.find('@')), rate));
  constexpr std::size_t most_said = 3;
  Basis basis = Basis::measured;
  for (const Sweep& sweep : sweeps) {
    const SweepPoint &loosest = sweep.points.front(), &tightest = sweep.points.back();
    basis = weaker(basis, records[tightest.record].basis.value_or(Basis::measured));
    const std::string knee = sweep.knee ? rate(sweep.knee->rate) : "never, in this range";
    answer.cases.rows.push_back(
        {{.text = names[loosest.record]},
         {.text = knee, .sort = sweep.knee ? sweep.knee->rate : 0.0},
         {.text = fmt::format("{} times slower at {} than at {}", ratio_text(tightest.slowdown), rate(tightest.rate),
                              rate(loosest.rate)),
          .sort = tightest.slowdown.value},
         {.text = basis_text(records[tightest.record])}});
    if (answer.sentences.size() <= most_said && sweeps.size() > 1)
      answer.sentences.push_back(fmt::format("{}: {} times slower; the first 5 % are lost {}.", names[loosest.record],
                                             ratio_text(tightest.slowdown), sweep.knee ? "at " + knee : knee));
  }
  if (sweeps.size() > most_said)
    answer.sentences.push_back(fmt::format("{} more cases are in the table.", sweeps.size() - most_said));
  answer.basis = basis_meaning(basis, devices_of(input.report));
}

// No two targets: what this machine does, the best kernel of each operation.
void fill_machine(const PictureInput& input, const std::vector<std::string>& names, Answer& answer) {
  answer.headline = input.report.set.records.empty()
                        ? "No records"
                        : fmt::format("What {} does", devices_of(input.report).empty()
                                                          ? device_name(input.report.set.records.front())
                                                          : devices_of(input.report));
  answer.cases = {{{"case"}, {"target"}, {"time"}, {"rate"}, {"work per joule"}, {"basis"}}, {}};
  answer.cases_title = "The fastest record of each case";
  std::size_t without = 0;
  Basis basis = Basis::measured;
  for (const ReportGroup& group : input.groups)
    for (const ReportCase& one : group.cases) {
      std::optional<std::size_t> best;
      for (const std::size_t i : one.records) {
        const auto time = input.report.rows[i].metrics.find("target_time_s");
        if (time == input.report.rows[i].metrics.end()) ++without;
        if (time == input.report.rows[i].metrics.end()) continue;
        if (!best || time->second.value < input.report.rows[*best].metrics.at("target_time_s").value) best = i;
      }
      if (!best) continue;
      const Record& record = input.report.set.records[*best];
      basis = weaker(basis, record.basis.value_or(Basis::measured));
      const auto text = [&](const std::string& name) {
        const auto found = input.report.rows[*best].metrics.find(name);
        return found == input.report.rows[*best].metrics.end() ? std::string() : figure_text(found->second);
      };
      const std::string stem = group.work_unit == "token" ? "tokens" : group.work_unit == "FLOP" ? "flop" : "bytes";
      answer.cases.rows.push_back({{.text = names[*best]},
                                   {.text = record.target},
                                   {.text = text("target_time_s")},
                                   {.text = text(stem + "_per_s")},
                                   {.text = fmt::format("{} ({})", text(stem + "_per_j"), record.energy.basis)},
                                   {.text = basis_text(record)}});
    }
  for (const std::vector<DataCell>& row : answer.cases.rows)
    if (answer.sentences.size() < 3) answer.sentences.push_back(fmt::format("{}: {}.", row[0].text, row[3].text));
  if (answer.sentences.empty())
    answer.sentences.push_back(
        fmt::format("None of {} records has a figure; the notes say why.", input.report.set.records.size()));
  else
    answer.sentences.emplace_back("No case ran on two targets, so there is nothing to compare.");
  answer.basis = answer.cases.rows.empty() ? "none: no record is ok" : basis_meaning(basis, devices_of(input.report));
}

}  // namespace

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

Answer answer_of(const PictureInput& input) {
  const std::vector<std::string> names = case_names(input.report, input.groups);
  const std::vector<Pair> pairs = pairs_of(input, names);
  const std::vector<Sweep> sweeps = sweeps_of(input.report);
  const auto is_plain = [](const Pair& pair) {
    return pair.a.find('@') == std::string::npos && pair.b.find('@') == std::string::npos;
  };
  const auto plain = std::find_if(pairs.begin(), pairs.end(), is_plain);
  Answer answer;
  if (plain != pairs.end())
    fill_pair(input, *plain, answer);
  else if (!sweeps.empty())
    fill_sweep(input, sweeps, names, answer);
  else if (!pairs.empty())
    fill_pair(input, pairs.front(), answer);
  else
    fill_machine(input, names, answer);
  if (plain != pairs.end() && pairs.size() > 1)
    answer.sentences.push_back(fmt::format("{} more pairs of targets are below.", pairs.size() - 1));
  return answer;
}

std::string answer_markup(const Answer& answer) {
  std::string out = fmt::format("<section id=\"answer\" aria-label=\"The answer\">\n<h1>{}</h1>\n",
                                escaped_markup(answer.headline));
  for (std::size_t i = 0; i < answer.sentences.size(); ++i)
    out += fmt::format("<p class=\"{}\">{}</p>\n", i == 0 ? "lead" : "follow", escaped_markup(answer.sentences[i]));
  const std::size_t colon = answer.basis.find(':');
  out += fmt::format("<p class=\"basis\"><strong>{}</strong>{}</p>\n", escaped_markup(answer.basis.substr(0, colon)),
                     colon == std::string::npos ? "" : escaped_markup(answer.basis.substr(colon)));
  if (!answer.cases.rows.empty()) out += table_markup(answer.cases, answer.cases_title);
  if (!answer.all_cases.rows.empty())
    out += fmt::format("<details><summary>All {} cases</summary>\n{}</details>\n", answer.all_cases.rows.size(),
                       table_markup(answer.all_cases, "Every case"));
  return out + "</section>\n";
}

}  // namespace chokepoint
