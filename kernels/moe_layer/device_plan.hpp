// Which rows does a device copy, gather and add up? An exchange plan, flattened to index arrays.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/moe_layer/exchange.hpp"

namespace chokepoint::moe {

// Output row r = sum of weight[use_choice[u]] * result[use_row[u]] for u in [use_begin[r], use_begin[r + 1])
//              + sum of returned[term_row[t]] for t in [term_begin[r], term_begin[r + 1]).
// `result` are the rows of the local experts, `returned` the rows that came back: those of the link, then those of
// the network.
struct SummedRows {
  std::vector<std::int32_t> use_begin = {0}, use_row, use_choice;
  std::vector<std::int32_t> term_begin = {0}, term_row;
  std::int64_t rows() const { return std::ssize(use_begin) - 1; }
};

struct DevicePlan {
  std::int64_t tokens = 0, network_rows = 0, link_rows = 0;
  std::vector<std::int32_t> network_from, link_from;  // inbox row of each row of the legs, in sending order
  std::vector<std::int32_t> expert_begin;             // [local experts + 1]
  std::vector<std::int32_t> expert_inbox;             // inbox row of each row of the experts
  std::int64_t experts_hit = 0;                       // local experts with rows
  SummedRows to_link;     // what each rank sends back over the link, in the order of the leg
  SummedRows to_network;  // what each landing rank sends back over the network
  SummedRows to_tokens;   // the output, shared experts aside

  std::int64_t inbox_rows() const { return tokens + network_rows + link_rows; }
  std::int64_t expert_rows() const { return std::ssize(expert_inbox); }
};

// For a plan of one segment.
DevicePlan device_plan(const ExchangePlan& plan);

}  // namespace chokepoint::moe
