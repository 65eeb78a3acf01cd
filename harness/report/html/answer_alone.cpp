#include "harness/report/html/answer_alone.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "harness/base/units.hpp"
#include "harness/report/html/answer_words.hpp"
#include "harness/report/sentences.hpp"

namespace chokepoint {
namespace {

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

}  // namespace

PageAnswer answer_of_sweeps(const PictureInput& input, const std::vector<Sweep>& sweeps) {
  PageAnswer answer;
  const std::vector<std::string> names = case_names(input.report, input.groups);
  const std::vector<Record>& records = input.report.set.records;
  const Resource resource = sweeps.front().resource;
  const auto rate = [&](double value) { return rate_text(value, resource); };
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
  return answer;
}

// No two targets: what this machine does, the best kernel of each operation.
PageAnswer answer_of_machine(const PictureInput& input) {
  PageAnswer answer;
  const std::vector<std::string> names = case_names(input.report, input.groups);
  answer.headline = input.report.set.records.empty()
                        ? "No records"
                        : fmt::format("What {} does", devices_of(input.report).empty()
                                                          ? device_name(input.report.set.records.front())
                                                          : devices_of(input.report));
  answer.cases = {{{"case"}, {"target"}, {"time"}, {"rate"}, {"work per joule"}, {"basis"}}, {}};
  answer.cases_title = "The fastest record of each case";
  Basis basis = Basis::measured;
  for (const ReportGroup& group : input.groups) {
    std::optional<std::pair<double, std::string>> most;  // the highest rate of the operation, and what is said of it
    for (const ReportCase& one : group.cases) {
      std::optional<std::size_t> best;
      for (const std::size_t i : one.records) {
        const auto time = input.report.rows[i].metrics.find("target_time_s");
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
                                   {.text = text(stem + "_per_j").empty()
                                                ? "no power"
                                                : fmt::format("{} ({})", text(stem + "_per_j"), record.energy.basis)},
                                   {.text = basis_text(record)}});
      const auto rate = input.report.rows[*best].metrics.find(stem + "_per_s");
      if (rate != input.report.rows[*best].metrics.end() && (!most || rate->second.value > most->first))
        most = {rate->second.value, fmt::format("{}: {}", names[*best], figure_text(rate->second))};
    }
    if (most) answer.sentences.push_back(most->second + (group.cases.size() > 1 ? ", the most of its cases." : "."));
  }
  if (answer.sentences.empty())
    answer.sentences.push_back(
        fmt::format("None of {} records has a figure; the notes say why.", input.report.set.records.size()));
  else
    answer.sentences.emplace_back("No case ran on two targets, so there is nothing to compare.");
  answer.basis = answer.cases.rows.empty() ? "none: no record is ok" : basis_meaning(basis, devices_of(input.report));
  return answer;
}

}  // namespace chokepoint
