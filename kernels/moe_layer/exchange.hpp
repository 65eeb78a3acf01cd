// Which rows travel between ranks, in what order, and how do they get there?
//
// Dispatch: a token's row goes once to every other node that holds a chosen expert, over the network, to the
// rank of the sender's rail; from there, and within the own node, it goes over the link once to every further
// rank that holds one. Combine runs backwards: each rank adds up the weighted results of its experts for a
// token, link rows meet at the landing rank, which sends one sum per node (DeepSeek-V3 report, 3.2.2).
// Weights and ids travel with a row and are not counted: 8 bytes per chosen expert against kilobytes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "harness/base/dtype.hpp"
#include "kernels/common/loopback.hpp"
#include "kernels/moe_layer/routing.hpp"

namespace chokepoint::moe {

// A token's row at one rank, and what that rank does with it. Tokens count from the start of the micro-batch.
struct Delivery {
  std::int32_t token = 0;
  std::int32_t inbox_row = 0;                // where the row is read
  std::optional<std::int32_t> link_row;      // its place among the rows on the link; absent on a landing rank
  std::optional<std::int32_t> network_row;   // place of its node's row on the network; absent in the own node
  std::int32_t first_use = 0, last_use = 0;  // uses [first_use, last_use)
};

// One chosen expert at one rank.
struct Use {
  std::int32_t row = 0;     // among the rows of all local experts, expert after expert
  std::int32_t choice = 0;  // its place in ids and weights
  float weight = 0.0F;
};

struct WireRow {
  std::int32_t token = 0;
  std::int32_t from_inbox_row = 0;
};

// Rows of a wire in the order they are sent: segment by segment (a run of tokens), within it by destination.
struct Leg {
  std::vector<WireRow> rows;
  std::vector<std::int64_t> segment_begin;  // [segments + 1]
  std::int64_t count() const { return std::ssize(rows); }
};

// The inbox holds the own tokens' rows, then those that come over the network, then those over the link.
struct ExchangePlan {
  std::int64_t tokens = 0, segments = 1;
  Leg network, link;
  std::vector<Delivery> deliveries;          // by token, then rank
  std::vector<std::int64_t> delivery_begin;  // [tokens + 1]
  std::vector<Use> uses;                     // by delivery
  std::vector<std::int64_t> expert_begin;    // [local experts + 1]: rows of each local expert
  std::vector<std::int32_t> expert_inbox;    // inbox row of each row of the experts

  std::int64_t inbox_rows() const { return tokens + network.count() + link.count(); }
  std::span<const Delivery> deliveries_of(std::int64_t token) const;
  // Tokens [first_token(s), first_token(s + 1)) are those of segment s.
  std::int64_t first_token(std::int64_t segment) const {
    return (segment * tokens + segments - 1) / segments;
  }
};

// ids and weights are [tokens, top_k]. A message is sent in at most `most_segments` parts, so that the second
// wire can start before the first is through.
ExchangePlan plan_exchange(const Placement& placement, std::int64_t top_k, std::span<const std::int32_t> ids,
                           std::span<const float> weights, std::int64_t most_segments);

// Rows of one kind in memory: values, and scales when they are fp8.
struct RowStore {
  std::byte* data = nullptr;
  std::int64_t row_bytes = 0;
  float* scales = nullptr;
  std::int64_t scales_per_row = 0;
};

// Owner of such rows. Keeps its memory when it shrinks, so that launches after the first allocate nothing.
class RowBuffer {
 public:
  // fp8 rows carry a scale per 128 values.
  void resize(std::int64_t rows, std::int64_t length, Dtype dtype);
  RowStore store() { return {bytes_.data(), row_bytes_, scales_.data(), scales_per_row_}; }
  std::byte* row(std::int64_t row) { return bytes_.data() + row * row_bytes_; }
  float* scales(std::int64_t row) { return scales_.data() + row * scales_per_row_; }

 private:
  std::vector<std::byte> bytes_;
  std::vector<float> scales_;
  std::int64_t row_bytes_ = 0, scales_per_row_ = 0;
};

// One message per wire and call, both directions, and the memory traffic of its rows (read and written once).
// Rows are packed by the copy itself, a piece per row. With several segments the second wire carries a
// segment as soon as the first has delivered it (as DeepEP forwards, by chunks). Blocks until all is there.
void dispatch(const ExchangePlan& plan, const RowStore& inbox, const Pace& pace);

// Where combined rows are sent from and where they arrive, in the order of the legs.
struct Returns {
  RowStore link_out, link_in, network_out, network_in;
};

// `add_up(segment)` is called when a segment's link rows are in link_in, and has to fill its network_out.
void combine(const ExchangePlan& plan, const Returns& returns,
             const std::function<void(std::int64_t segment)>& add_up, const Pace& pace);

}  // namespace chokepoint::moe
