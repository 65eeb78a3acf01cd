#include "kernels/moe_layer/device_plan.hpp"

#include <cstddef>

namespace chokepoint::moe {
namespace {

// Rows of a sum before they are laid out one after the other.
struct Summands {
  std::vector<const Delivery*> deliveries;  // whose uses count
  std::vector<std::int32_t> returned;
};

SummedRows flatten(const ExchangePlan& plan, const std::vector<Summands>& rows) {
  SummedRows sums;
  for (const Summands& row : rows) {
    for (const Delivery* delivery : row.deliveries)
      for (std::int32_t u = delivery->first_use; u < delivery->last_use; ++u) {
        const Use& use = plan.uses[static_cast<std::size_t>(u)];
        sums.use_row.push_back(use.row);
        sums.use_choice.push_back(use.choice);
      }
    sums.term_row.insert(sums.term_row.end(), row.returned.begin(), row.returned.end());
    sums.use_begin.push_back(static_cast<std::int32_t>(sums.use_row.size()));
    sums.term_begin.push_back(static_cast<std::int32_t>(sums.term_row.size()));
  }
  return sums;
}

std::vector<std::int32_t> sources(const Leg& leg) {
  std::vector<std::int32_t> from;
  for (const WireRow& row : leg.rows) from.push_back(row.from_inbox_row);
  return from;
}

}  // namespace

DevicePlan device_plan(const ExchangePlan& plan) {
  const auto link_rows = static_cast<std::int32_t>(plan.link.count());
  std::vector<Summands> link(plan.link.rows.size()), network(plan.network.rows.size()),
      tokens(static_cast<std::size_t>(plan.tokens));
  for (const Delivery& delivery : plan.deliveries) {
    // Where the sum of this delivery goes next: its node's sum, or the token's.
    Summands& next = delivery.network_row ? network[static_cast<std::size_t>(*delivery.network_row)]
                                          : tokens[static_cast<std::size_t>(delivery.token)];
    if (!delivery.link_row) {
      next.deliveries.push_back(&delivery);
      continue;
    }
    link[static_cast<std::size_t>(*delivery.link_row)].deliveries.push_back(&delivery);
    next.returned.push_back(*delivery.link_row);
  }
  for (std::size_t row = 0; row < network.size(); ++row)
    tokens[static_cast<std::size_t>(plan.network.rows[row].token)].returned.push_back(
        link_rows + static_cast<std::int32_t>(row));
  DevicePlan flat{.tokens = plan.tokens,
                  .network_rows = plan.network.count(),
                  .link_rows = plan.link.count(),
                  .network_from = sources(plan.network),
                  .link_from = sources(plan.link),
                  .expert_begin = {plan.expert_begin.begin(), plan.expert_begin.end()},
                  .expert_inbox = plan.expert_inbox,
                  .to_link = flatten(plan, link),
                  .to_network = flatten(plan, network),
                  .to_tokens = flatten(plan, tokens)};
  for (std::size_t e = 0; e + 1 < flat.expert_begin.size(); ++e)
    flat.experts_hit += flat.expert_begin[e] < flat.expert_begin[e + 1] ? 1 : 0;
  return flat;
}

}  // namespace chokepoint::moe
