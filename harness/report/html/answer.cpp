#include "harness/report/html/answer.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/report/html/answer_alone.hpp"
#include "harness/report/html/answer_pair.hpp"
#include "harness/report/sweeps.hpp"

namespace chokepoint {

PageAnswer answer_of(const PictureInput& input) {
  const std::vector<TargetPair> pairs = pairs_of(input);
  const std::vector<Sweep> sweeps = sweeps_of(input.report);
  const auto is_plain = [](const TargetPair& pair) {
    return pair.a.find('@') == std::string::npos && pair.b.find('@') == std::string::npos;
  };
  const auto plain = std::find_if(pairs.begin(), pairs.end(), is_plain);
  if (plain != pairs.end()) {
    PageAnswer answer = answer_of_pair(input, *plain);
    if (pairs.size() > 1)
      answer.sentences.push_back(fmt::format("{} more pairs of targets are below.", pairs.size() - 1));
    return answer;
  }
  if (!sweeps.empty()) return answer_of_sweeps(input, sweeps);
  return pairs.empty() ? answer_of_machine(input) : answer_of_pair(input, pairs.front());
}

std::string answer_markup(const PageAnswer& answer) {
  std::string out = fmt::format("<section id=\"answer\" aria-label=\"The answer\">\n<h1>{}</h1>\n",
                                escaped_markup(answer.headline));
  for (std::size_t i = 0; i < answer.sentences.size(); ++i)
    out += fmt::format("<p class=\"{}\">{}</p>\n", i == 0 ? "lead" : "follow", escaped_markup(answer.sentences[i]));
  const std::size_t colon = answer.basis.find(':');
  out += fmt::format("<p class=\"basis\"><strong>{}</strong>{}</p>\n", escaped_markup(answer.basis.substr(0, colon)),
                     colon == std::string::npos ? "" : escaped_markup(answer.basis.substr(colon)));
  out += "<p class=\"small-print\">Figures in brackets are 95 % intervals: [low, high].</p>\n";
  if (!answer.cases.rows.empty()) out += table_markup(answer.cases, answer.cases_title);
  if (!answer.all_cases.rows.empty())
    out += fmt::format("<details><summary>All {} cases</summary>\n{}</details>\n", answer.all_cases.rows.size(),
                       table_markup(answer.all_cases, "Every case"));
  return out + "</section>\n";
}

}  // namespace chokepoint
