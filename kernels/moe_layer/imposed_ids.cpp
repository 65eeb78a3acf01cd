#include "kernels/moe_layer/imposed_ids.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <span>

#include "harness/base/random.hpp"
#include "harness/base/strings.hpp"

namespace chokepoint::moe {
namespace {

// Lets every token choose by selection(token, expert); `chosen` hears of each choice.
std::vector<std::int32_t> choose_all(const GateRule& rule, std::int64_t tokens,
                                     const std::function<double(std::uint64_t, std::size_t)>& selection,
                                     const std::function<void(std::int32_t)>& chosen) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(tokens * rule.top_k));
  std::vector<double> scores(static_cast<std::size_t>(rule.experts));
  for (std::int64_t token = 0; token < tokens; ++token) {
    for (std::size_t expert = 0; expert < scores.size(); ++expert)
      scores[expert] = selection(static_cast<std::uint64_t>(token), expert);
    const std::span<std::int32_t> row = std::span(ids).subspan(static_cast<std::size_t>(token * rule.top_k),
                                                               static_cast<std::size_t>(rule.top_k));
    choose<double>(rule, scores, row);
    std::for_each(row.begin(), row.end(), chosen);
  }
  return ids;
}

}  // namespace

std::vector<std::int32_t> balanced_ids(const GateRule& rule, std::int64_t tokens) {
  const std::uint64_t stream = fnv1a("moe_layer balanced");
  std::vector<double> rows(static_cast<std::size_t>(rule.experts), 0.0);
  return choose_all(
      rule, tokens,
      [&](std::uint64_t token, std::size_t expert) {
        return random_unit(0, stream, token * rows.size() + expert) - rows[expert];
      },
      [&](std::int32_t expert) { rows[static_cast<std::size_t>(expert)] += 1.0; });
}

std::vector<std::int32_t> zipf_ids(const GateRule& rule, std::int64_t tokens) {
  const std::uint64_t places = fnv1a("moe_layer zipf places"), draws = fnv1a("moe_layer zipf draws");
  std::vector<std::size_t> order(static_cast<std::size_t>(rule.experts));
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return random_bits(0, places, a) < random_bits(0, places, b);
  });
  std::vector<double> log_popularity(order.size());
  for (std::size_t place = 0; place < order.size(); ++place)
    log_popularity[order[place]] = -std::log(static_cast<double>(place + 1));
  return choose_all(
      rule, tokens,
      [&](std::uint64_t token, std::size_t expert) {
        const double unit = random_unit(0, draws, token * order.size() + expert) + 0x1p-54;  // never 0
        return log_popularity[expert] - std::log(-std::log(unit));
      },
      [](std::int32_t) {});
}

}  // namespace chokepoint::moe
