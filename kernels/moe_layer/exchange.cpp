#include "kernels/moe_layer/exchange.hpp"

#include <algorithm>
#include <future>
#include <tuple>
#include <utility>

#include "kernels/common/gemm_quantise.hpp"

namespace chokepoint::moe {
namespace {

// A row that some wire has to carry, before it has its place.
struct Wanted {
  std::int64_t segment, destination;
  std::int32_t token;
  auto key() const { return std::tuple(segment, destination, token); }
};

// Sorts rows into sending order and returns the place of each in that order.
std::vector<std::int32_t> order_leg(const std::vector<Wanted>& wanted, std::int64_t segments, Leg& leg) {
  std::vector<std::size_t> order(wanted.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return wanted[a].key() < wanted[b].key(); });
  std::vector<std::int32_t> place(wanted.size());
  leg.segment_begin.assign(static_cast<std::size_t>(segments) + 1, 0);
  for (std::size_t i = 0; i < order.size(); ++i) {
    const Wanted& row = wanted[order[i]];
    place[order[i]] = static_cast<std::int32_t>(i);
    leg.rows.push_back({.token = row.token, .from_inbox_row = row.token});
    leg.segment_begin[static_cast<std::size_t>(row.segment) + 1] += 1;
  }
  for (std::size_t s = 0; s < static_cast<std::size_t>(segments); ++s)
    leg.segment_begin[s + 1] += leg.segment_begin[s];
  return place;
}

// Deliveries and uses by token and rank, with the rank of each delivery.
std::vector<std::int64_t> list_deliveries(const Placement& placement, std::size_t top_k,
                                          std::span<const std::int32_t> ids, std::span<const float> weights,
                                          ExchangePlan& plan, std::vector<std::int32_t>& use_expert) {
  std::vector<std::int64_t> ranks;
  std::vector<std::pair<std::int64_t, std::size_t>> choices(top_k);  // rank, position in ids
  for (std::int64_t token = 0; token < plan.tokens; ++token) {
    plan.delivery_begin.push_back(std::ssize(plan.deliveries));
    for (std::size_t k = 0; k < top_k; ++k) {
      const std::size_t at = static_cast<std::size_t>(token) * top_k + k;
      choices[k] = {placement.rank_of(ids[at]), at};
    }
    std::sort(choices.begin(), choices.end());
    for (std::size_t k = 0; k < top_k; ++k) {
      const auto [rank, at] = choices[k];
      const auto use = static_cast<std::int32_t>(plan.uses.size());
      if (k == 0 || rank != choices[k - 1].first) {
        plan.deliveries.push_back(
            {.token = static_cast<std::int32_t>(token), .first_use = use, .last_use = use});
        ranks.push_back(rank);
      }
      plan.deliveries.back().last_use += 1;
      plan.uses.push_back({.choice = static_cast<std::int32_t>(at), .weight = weights[at]});
      use_expert.push_back(static_cast<std::int32_t>(ids[at] % placement.experts_per_rank()));
    }
  }
  plan.delivery_begin.push_back(std::ssize(plan.deliveries));
  return ranks;
}

// Gives every delivery its places on the wires and in the inbox.
void list_legs(const Placement& placement, const std::vector<std::int64_t>& ranks, ExchangePlan& plan) {
  std::vector<Wanted> network, link;
  std::vector<std::size_t> network_of(ranks.size()), link_of(ranks.size());
  for (std::size_t d = 0; d < ranks.size(); ++d) {
    const std::int32_t token = plan.deliveries[d].token;
    const std::int64_t segment = token * plan.segments / plan.tokens, node = placement.node_of(ranks[d]);
    if (placement.over_network(ranks[d])) {
      const bool new_row =
          network.empty() || network.back().token != token || network.back().destination != node;
      if (new_row) network.push_back({segment, node, token});
      network_of[d] = network.size() - 1;
    }
    if (placement.over_link(ranks[d])) {
      link.push_back({segment, ranks[d], token});
      link_of[d] = link.size() - 1;
    }
  }
  const std::vector<std::int32_t> network_place = order_leg(network, plan.segments, plan.network);
  const std::vector<std::int32_t> link_place = order_leg(link, plan.segments, plan.link);
  for (std::size_t d = 0; d < ranks.size(); ++d) {
    Delivery& delivery = plan.deliveries[d];
    delivery.inbox_row = delivery.token;
    if (placement.over_network(ranks[d])) {
      delivery.network_row = network_place[network_of[d]];
      delivery.inbox_row = static_cast<std::int32_t>(plan.tokens) + *delivery.network_row;
    }
    if (!placement.over_link(ranks[d])) continue;
    delivery.link_row = link_place[link_of[d]];
    plan.link.rows[static_cast<std::size_t>(*delivery.link_row)].from_inbox_row = delivery.inbox_row;
    delivery.inbox_row = static_cast<std::int32_t>(plan.tokens + plan.network.count()) + *delivery.link_row;
  }
}

// Rows of the local experts, expert after expert, without gaps.
void list_expert_rows(const std::vector<std::int32_t>& use_expert, std::int64_t local_experts,
                      ExchangePlan& plan) {
  plan.expert_begin.assign(static_cast<std::size_t>(local_experts) + 1, 0);
  for (std::int32_t expert : use_expert) plan.expert_begin[static_cast<std::size_t>(expert) + 1] += 1;
  for (std::size_t e = 0; e < static_cast<std::size_t>(local_experts); ++e)
    plan.expert_begin[e + 1] += plan.expert_begin[e];
  std::vector<std::int64_t> next(plan.expert_begin.begin(), plan.expert_begin.end() - 1);
  plan.expert_inbox.resize(plan.uses.size());
  for (const Delivery& delivery : plan.deliveries)
    for (std::int32_t use = delivery.first_use; use < delivery.last_use; ++use) {
      const std::int64_t row = next[static_cast<std::size_t>(use_expert[static_cast<std::size_t>(use)])]++;
      plan.uses[static_cast<std::size_t>(use)].row = static_cast<std::int32_t>(row);
      plan.expert_inbox[static_cast<std::size_t>(row)] = delivery.inbox_row;
    }
}

// Books messages without their latency: all parts of a message but its last, so that the whole pays it once.
class SameMessage final : public ResourceClock {
 public:
  explicit SameMessage(ResourceClock* clock) : clock_(clock) {}
  Moment reserve(double amount) override { return clock_->reserve(amount); }
  Moment reserve_message(double amount) override { return clock_->reserve(amount); }
  void wait(Moment ready) override { clock_->wait(ready); }
  ResourceClock* or_null() { return clock_ != nullptr ? this : nullptr; }

 private:
  ResourceClock* clock_;
};

// One message that is sent segment by segment, in the background.
class Sender {
 public:
  Sender(Wire wire, std::vector<std::vector<Piece>> segments, const Pace& pace)
      : wire_(wire),
        segments_(std::move(segments)),
        pace_(pace),
        arrived_(segments_.size()),
        ready_(segments_.size()) {
    for (std::size_t s = 0; s < segments_.size(); ++s)
      if (!segments_[s].empty()) last_ = s;
  }
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;
  ~Sender() {  // pieces have to outlive the copies, also when an error unwinds
    for (std::future<void>& arrived : arrived_)
      if (arrived.valid()) arrived.wait();
  }

  void send(std::size_t segment) {
    if (segments_[segment].empty()) return;
    double bytes = 0.0;
    for (const Piece& piece : segments_[segment]) bytes += static_cast<double>(piece.bytes);
    if (pace_.memory != nullptr) ready_[segment] = pace_.memory->reserve(2.0 * bytes);
    arrived_[segment] = loopback_async(segments_[segment], wire_, segment == last_ ? pace_ : part_);
  }

  void wait(std::size_t segment) {
    if (!arrived_[segment].valid()) return;
    arrived_[segment].get();
    if (pace_.memory != nullptr) pace_.memory->wait(ready_[segment]);
  }

 private:
  Wire wire_;
  std::vector<std::vector<Piece>> segments_;
  Pace pace_;
  SameMessage link_send_{pace_.link_send}, link_receive_{pace_.link_receive};
  SameMessage network_send_{pace_.network_send}, network_receive_{pace_.network_receive};
  Pace part_{.link_send = link_send_.or_null(),
             .link_receive = link_receive_.or_null(),
             .network_send = network_send_.or_null(),
             .network_receive = network_receive_.or_null()};
  std::vector<std::future<void>> arrived_;
  std::vector<Moment> ready_;
  std::size_t last_ = 0;
};

// Two segments of the first wire are under way at a time: the wire never idles, and their memory traffic is
// booked when it is near, not all at the beginning, where it would hold up whoever computes meanwhile.
void relay(Sender& first, Sender& second, std::size_t segments,
           const std::function<void(std::int64_t)>& between) {
  first.send(0);
  for (std::size_t s = 0; s < segments; ++s) {
    if (s + 1 < segments) first.send(s + 1);
    first.wait(s);
    between(static_cast<std::int64_t>(s));
    second.send(s);
  }
  for (std::size_t s = 0; s < segments; ++s) second.wait(s);
}

// Neighbours in both memories become one piece.
void append(std::vector<Piece>& pieces, const std::byte* from, std::byte* to, std::int64_t bytes) {
  if (!pieces.empty()) {
    Piece& last = pieces.back();
    if (static_cast<const std::byte*>(last.from) + last.bytes == from &&
        static_cast<std::byte*>(last.to) + last.bytes == to) {
      last.bytes += bytes;
      return;
    }
  }
  pieces.push_back({from, to, bytes});
}

// Pieces of each segment: row `row` of the leg goes from stored row source(row) to place(row).
template <class Source, class Place>
std::vector<std::vector<Piece>> pieces_of(const Leg& leg, const RowStore& from, const RowStore& to,
                                          const Source& source, const Place& place) {
  std::vector<std::vector<Piece>> segments(leg.segment_begin.size() - 1);
  for (std::size_t s = 0; s < segments.size(); ++s) {
    const std::int64_t begin = leg.segment_begin[s], end = leg.segment_begin[s + 1];
    for (std::int64_t row = begin; row < end; ++row)
      append(segments[s], from.data + source(row) * from.row_bytes, to.data + place(row) * to.row_bytes,
             from.row_bytes);
    const std::int64_t scale_bytes = from.scales_per_row * std::int64_t{sizeof(float)};
    for (std::int64_t row = begin; row < end && scale_bytes > 0; ++row)
      append(segments[s], reinterpret_cast<const std::byte*>(from.scales) + source(row) * scale_bytes,
             reinterpret_cast<std::byte*>(to.scales) + place(row) * scale_bytes, scale_bytes);
  }
  return segments;
}

}  // namespace

std::span<const Delivery> ExchangePlan::deliveries_of(std::int64_t token) const {
  const auto begin = static_cast<std::size_t>(delivery_begin[static_cast<std::size_t>(token)]);
  const auto end = static_cast<std::size_t>(delivery_begin[static_cast<std::size_t>(token) + 1]);
  return std::span(deliveries).subspan(begin, end - begin);
}

void RowBuffer::resize(std::int64_t rows, std::int64_t length, Dtype dtype) {
  row_bytes_ = length * bytes_of(dtype);
  scales_per_row_ = dtype == Dtype::fp8_e4m3 ? (length + gemm::kScaleBlock - 1) / gemm::kScaleBlock : 0;
  bytes_.resize(static_cast<std::size_t>(rows * row_bytes_));
  scales_.resize(static_cast<std::size_t>(rows * scales_per_row_));
}

ExchangePlan plan_exchange(const Placement& placement, std::int64_t top_k, std::span<const std::int32_t> ids,
                           std::span<const float> weights, std::int64_t most_segments) {
  ExchangePlan plan{.tokens = std::ssize(ids) / top_k};
  plan.segments = std::clamp<std::int64_t>(most_segments, 1, plan.tokens);
  std::vector<std::int32_t> use_expert;
  const std::vector<std::int64_t> ranks =
      list_deliveries(placement, static_cast<std::size_t>(top_k), ids, weights, plan, use_expert);
  list_legs(placement, ranks, plan);
  list_expert_rows(use_expert, placement.experts_per_rank(), plan);
  return plan;
}

void dispatch(const ExchangePlan& plan, const RowStore& inbox, const Pace& pace) {
  const auto legs = [&](const Leg& leg, std::int64_t first_inbox_row) {
    return pieces_of(
        leg, inbox, inbox,
        [&](std::int64_t row) { return leg.rows[static_cast<std::size_t>(row)].from_inbox_row; },
        [=](std::int64_t row) { return first_inbox_row + row; });
  };
  Sender network(Wire::network, legs(plan.network, plan.tokens), pace);
  Sender link(Wire::link, legs(plan.link, plan.tokens + plan.network.count()), pace);
  relay(network, link, static_cast<std::size_t>(plan.segments), [](std::int64_t) {});
}

void combine(const ExchangePlan& plan, const Returns& returns,
             const std::function<void(std::int64_t segment)>& add_up, const Pace& pace) {
  const auto same = [](std::int64_t row) { return row; };
  Sender link(Wire::link, pieces_of(plan.link, returns.link_out, returns.link_in, same, same), pace);
  Sender network(Wire::network, pieces_of(plan.network, returns.network_out, returns.network_in, same, same),
                 pace);
  relay(link, network, static_cast<std::size_t>(plan.segments), add_up);
}

}  // namespace chokepoint::moe
