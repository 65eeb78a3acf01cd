// What does the answer in dollars hang on? One bar per assumption, from what its low end gives to what its high end
// gives, for renting and for owning.
#include <fmt/format.h>

#include <algorithm>

#include "harness/report/cost.hpp"
#include "harness/report/html/picture.hpp"

namespace chokepoint {
namespace {

constexpr std::size_t kMostBars = 10;
constexpr double kBarRow = 31.0, kBarTop = 30.0, kBarLeft = 14.0, kBarRight = 426.0;

// Of each pair of targets the comparison in the middle, of those that use something that differs where there are any.
std::vector<const Comparison*> middle_comparisons(const PictureInput& input) {
  std::vector<std::pair<std::string, std::vector<const Comparison*>>> pairs;
  for (const ReportGroup& group : input.groups)
    for (const ReportCase& one : group.cases)
      for (const std::size_t i : one.comparisons) {
        const Comparison& comparison = input.report.comparisons[i];
        const std::string name =
            input.report.set.records[comparison.a].target + '\n' + input.report.set.records[comparison.b].target;
        auto pair = std::find_if(pairs.begin(), pairs.end(), [&](const auto& known) { return known.first == name; });
        if (pair == pairs.end()) pair = pairs.insert(pairs.end(), {name, {}});
        pair->second.push_back(&comparison);
      }
  std::vector<const Comparison*> middles;
  for (auto& [name, all] : pairs) {
    const auto ties = std::stable_partition(all.begin(), all.end(), [](const Comparison* c) { return !c->same_caps; });
    if (ties != all.begin()) all.erase(ties, all.end());
    std::stable_sort(all.begin(), all.end(), [](const Comparison* a, const Comparison* b) {
      return a->throughput_ratio.value < b->throughput_ratio.value;
    });
    middles.push_back(all[all.size() / 2]);
  }
  return middles;
}

bool is_cost_ratio(const CostAnswer& answer) { return answer.cost_ratio.has_value(); }

std::string outcome_text(const CostAnswer& answer, double value) {
  return is_cost_ratio(answer) ? fmt::format("{:.3g}", value) : fmt::format("${:.3g}/h", value);
}

double middle_outcome(const CostAnswer& answer) {
  return is_cost_ratio(answer) ? answer.cost_ratio->mid : answer.break_even_usd_per_h->mid;
}

Scale outcome_scale(const CostAnswer& answer) {
  std::vector<double> values = {middle_outcome(answer)};
  if (is_cost_ratio(answer)) values.push_back(1.0);
  for (const CostSwing& swing : answer.swings)
    values.push_back(swing.outcome_low), values.push_back(swing.outcome_high);
  return scale_around(values, Spacing::linear, kBarLeft, kBarRight);
}

void draw_swings(Canvas& canvas, const CostAnswer& answer, const Scale& x, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const CostSwing& swing = answer.swings[i];
    const double y = kBarTop + kBarRow * static_cast<double>(i);
    const auto [low, high] = std::minmax(swing.outcome_low, swing.outcome_high);
    canvas.words({kBarLeft, y + 10},
                 fitted(fmt::format("{}: {} to {}", swing.variable, tick_text(swing.low), tick_text(swing.high)), 300),
                 "small");
    canvas.words({kBarRight, y + 10}, fmt::format("{} to {}", outcome_text(answer, low), outcome_text(answer, high)),
                 "small", Anchor::end);
    canvas.box({x.at(low), y + 15}, std::max(1.0, x.at(high) - x.at(low)), 9, "bars s0");
  }
}

void draw_tornado_frame(Canvas& canvas, const CostAnswer& answer, const Scale& x, double bottom) {
  draw_x_ticks(canvas, x, 6, kBarTop - 4, bottom);
  if (is_cost_ratio(answer)) canvas.line({x.at(1.0), kBarTop - 4}, {x.at(1.0), bottom}, "one");
  const double middle = x.at(middle_outcome(answer));
  canvas.line({middle, kBarTop - 4}, {middle, bottom}, "axis");
  canvas.words({middle, 14}, fmt::format("{} with every middle", outcome_text(answer, middle_outcome(answer))), "small",
               middle < 120   ? Anchor::start
               : middle > 330 ? Anchor::end
                              : Anchor::middle);
  canvas.words({kBarLeft, bottom + 33}, is_cost_ratio(answer)
                                            ? "cost of the same work, times the reference's; below 1 is cheaper"
                                            : "price per hour at which both cost the same");
}

std::string odds_text(const CostAnswer& answer) {
  if (!answer.win_probability) return "";
  return fmt::format("It is the cheaper one in {:.0f} % of {} draws of all these ranges{}.",
                     100.0 * *answer.win_probability, kCostDraws,
                     answer.flips.empty() ? "" : "; " + answer.flips + " alone can turn that over");
}

Panel tornado_panel(const PictureInput& input, const CostRow& row, const std::string& how, std::size_t place) {
  const CostAnswer& answer = row.answer;
  const std::vector<std::string> names = case_names(input.report, input.groups);
  const std::size_t count = std::min(kMostBars, answer.swings.size());
  const double bottom = kBarTop + kBarRow * static_cast<double>(count) + 4;
  Canvas canvas(bottom + 42);
  Panel panel{
      .title = fmt::format("{} against {}, {}", row.question.target.target, row.question.reference.target, how),
      .svg = "",
      .captions = {},
      .table = {{{"assumption"}, {"low", true}, {"gives", true}, {"high", true}, {"gives", true}, {"source"}}, {}}};
  const Scale x = outcome_scale(answer);
  draw_tornado_frame(canvas, answer, x, bottom);
  draw_swings(canvas, answer, x, count);
  CostQuestion question = row.question;
  for (const CostSwing& swing : answer.swings) {
    std::string source;
    for_each_variable(question, [&](const std::string& name, Estimate& estimate) {
      if (name == swing.variable) source = estimate.source + (estimate.verified ? "" : " (unverified)");
    });
    panel.table.rows.push_back({{swing.variable},
                                {fmt::format("{:.4g}", swing.low), swing.low},
                                {outcome_text(answer, swing.outcome_low), swing.outcome_low},
                                {fmt::format("{:.4g}", swing.high), swing.high},
                                {outcome_text(answer, swing.outcome_high), swing.outcome_high},
                                {source}});
  }
  panel.captions.push_back(fmt::format("The case in the middle: {}.", names[row.target]));
  if (!row.price_gap.empty()) panel.captions.push_back(fmt::format("No cost ratio: {}.", row.price_gap));
  if (const std::string odds = odds_text(answer); !odds.empty()) panel.captions.push_back(odds);
  if (!row.energy_basis.empty()) panel.captions.push_back(fmt::format("Board power is {}.", row.energy_basis));
  panel.captions.push_back(credentials_of(input.report, {row.reference, row.target},
                                          "each bar is the assumption's own range, all others in the middle") +
                           " Projected from it.");
  panel.svg = canvas.svg(fmt::format("tornado-{}", place), "What the dollars hang on, " + panel.title,
                         "One bar per assumption, the longest first; the table below has their ends and sources.");
  return panel;
}

DrawnPicture draw_tornado(const PictureInput& input) {
  DrawnPicture drawn;
  const std::optional<CostBook>& book = input.report.beside.costs;
  const std::vector<const Comparison*> middles = middle_comparisons(input);
  std::size_t left_out = 0;
  for (const Possession possession : {Possession::rented, Possession::owned}) {
    if (!book) break;
    CostOptions options{.prices = input.report.prices, .book = *book, .possession = possession};
    for (const Comparison* middle : middles) {
      const CostRow row = cost_row(input.report.set, *middle, options);
      if (row.answer.swings.empty()) continue;
      if (drawn.panels.size() == kMostPanels)
        ++left_out;
      else
        drawn.panels.push_back(
            tornado_panel(input, row, possession == Possession::owned ? "bought" : "rented", drawn.panels.size()));
    }
  }
  if (left_out > 0) drawn.left_out = fmt::format("{} more pairs; chokepoint cost has them", left_out);
  if (drawn.panels.empty())
    drawn.left_out = middles.empty() ? "no case ran on two targets"
                     : !book         ? "no cost book was given"
                                     : "no price of either target has a range";
  return drawn;
}

const Register<Picture> tornado_picture{
    {.name = "tornado",
     .place = 4,
     .title = "What the dollars hang on",
     .how_to_read =
         "Each bar shows how far one assumption alone moves the answer, from one end of its range to the other; "
         "the longest matters most. chokepoint cost replaces any of them.",
     .draw = draw_tornado}};

}  // namespace
}  // namespace chokepoint
