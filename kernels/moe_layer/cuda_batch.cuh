// What does a layer keep in a GPU's memory? Weights, and per micro-batch the rows on their way.
//
// Rows are never permuted: the wire's copy packs them, the grouped product gathers them from the inbox, and sums gather
// results by index. In f32 and bf16 the tokens' own rows of the inbox are x itself.
//
// Which row goes where (device_plan.hpp) is laid out when the launch is prepared, from the ids the tokens are known
// to choose, and is not timed: expert-parallel libraries spend some microseconds on it.
//
// Rounding: sums that travel and the output are bf16, unless all is f32. Besides, bf16 rounds silu(g) * u, and fp8,
// whose tolerance is wider, the experts' results; gate and up stay in f32, since a code may flip with their last bits.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "kernels/common/cuda/device_array.hpp"
#include "kernels/common/cuda/stream_event.hpp"
#include "kernels/moe_layer/device_plan.hpp"
#include "kernels/moe_layer/grouped_product.hpp"
#include "kernels/moe_layer/moe_layer.hpp"

namespace chokepoint::moe {

inline unsigned blocks_for(std::int64_t items, std::int64_t per_block) {
  return static_cast<unsigned>((items + per_block - 1) / per_block);
}

inline DeviceArray uploaded(Device& device, const std::vector<std::int32_t>& values) {
  return {device, values.data(), static_cast<std::int64_t>(values.size() * sizeof(std::int32_t))};
}

struct DeviceSums {
  std::int64_t rows = 0;
  DeviceArray use_begin, use_row, use_choice, term_begin, term_row;

  DeviceSums(Device& device, const SummedRows& sums)
      : rows(sums.rows()),
        use_begin(uploaded(device, sums.use_begin)),
        use_row(uploaded(device, sums.use_row)),
        use_choice(uploaded(device, sums.use_choice)),
        term_begin(uploaded(device, sums.term_begin)),
        term_row(uploaded(device, sums.term_row)) {}
};

// Rows as the left side of a product; scales only in fp8.
struct DeviceRows {
  DeviceArray data, scales;
};

struct DeviceMlp {
  DeviceArray up, up_scale, down, down_scale;

  DeviceMlp(Device& device, const MlpWeights& weights)
      : up(device, weights.up),
        up_scale(device, weights.up_scale),
        down(device, weights.down),
        down_scale(device, weights.down_scale) {}
};

// One layer on one device: its shape, what it charges, the dtypes of its rows.
struct DeviceLayer {
  Device& device;
  MoeSpec spec;
  DevicePace pace;
  bool others_products = false, gated_products = false;  // grouped_product.hpp

  std::int64_t hidden() const { return spec.hidden; }
  Dtype row_dtype() const { return spec.quantised() ? Dtype::fp8_e4m3 : spec.dtype; }
  Dtype result_dtype() const { return spec.quantised() || others_products ? Dtype::bf16 : Dtype::f32; }

  DeviceArray combine_rows(std::int64_t rows) const { return {device, rows * spec.combine_row_bytes()}; }
  DeviceArray result_rows(std::int64_t rows) const { return {device, rows * hidden() * bytes_of(result_dtype())}; }
  DeviceRows product_rows(std::int64_t rows, std::int64_t length) const {
    return {.data = {device, rows * length * bytes_of(row_dtype())},
            .scales = {device, spec.quantised() ? 4 * rows * scale_blocks(length) : 0}};
  }
};

// The two products of an mlp.
struct OthersProducts {
  std::unique_ptr<GroupedProduct> up, down;
  bool gated = false;  // `up` writes silu(g) * u
  DeviceArray group_begin;  // of one group
};

// One micro-batch on its way.
struct DeviceBatch {
  TokenRange tokens;
  DevicePlan plan;
  DeviceArray ids, weights, mismatches;
  DeviceArray network_from, link_from, expert_begin, expert_inbox;
  DeviceSums to_link, to_network, to_tokens;
  DeviceArray x;        // fp8 only: rows before they are quantised
  DeviceRows inbox;     // [plan.inbox_rows(), hidden]
  DeviceArray results;  // [expert rows, hidden]
  DeviceArray link_out, network_out;
  DeviceArray returned;  // [link rows, then network rows, hidden]
  DeviceArray shared;    // [tokens, hidden]
  StreamEvent routed, arrived, computed, came_back;
  // Another's, where there are rows: of the routed experts, and of the shared ones as one group.
  OthersProducts routed_products, shared_products;
};

inline ExchangePlan plan_batch(const MoeProblem& problem, const TokenRange& tokens) {
  const MoeSpec& spec = problem.spec();
  const auto first = static_cast<std::size_t>(tokens.begin * spec.gate.top_k),
             count = static_cast<std::size_t>(tokens.count() * spec.gate.top_k);
  // Weights are computed in every run; the plan only says where they belong.
  return plan_exchange(spec.placement, spec.gate.top_k, problem.ids().subspan(first, count),
                       std::vector<float>(count, 0.0F), 1);
}

inline std::unique_ptr<DeviceBatch> make_batch(const DeviceLayer& layer, const MoeProblem& problem,
                                               const TokenRange& tokens) {
  Device& on = layer.device;
  const MoeSpec& spec = layer.spec;
  const DevicePlan plan = device_plan(plan_batch(problem, tokens));
  const std::int64_t choices = tokens.count() * spec.gate.top_k, x_bytes = tokens.count() * spec.combine_row_bytes();
  const std::byte* x = problem.x().data() + tokens.begin * spec.combine_row_bytes();
  std::unique_ptr<DeviceBatch> batch(new DeviceBatch{  // built in place: its events cannot be moved
      .tokens = tokens,
      .plan = plan,
      .ids = {on, problem.ids().data() + tokens.begin * spec.gate.top_k, 4 * choices},
      .weights = {on, 4 * choices},
      .mismatches = {on, 4},
      .network_from = uploaded(on, plan.network_from),
      .link_from = uploaded(on, plan.link_from),
      .expert_begin = uploaded(on, plan.expert_begin),
      .expert_inbox = uploaded(on, plan.expert_inbox),
      .to_link = {on, plan.to_link},
      .to_network = {on, plan.to_network},
      .to_tokens = {on, plan.to_tokens},
      .inbox = layer.product_rows(plan.inbox_rows(), layer.hidden()),
      .results = layer.result_rows(plan.expert_rows()),
      .link_out = layer.combine_rows(plan.link_rows),
      .network_out = layer.combine_rows(plan.network_rows),
      .returned = layer.combine_rows(plan.link_rows + plan.network_rows),
      .shared = layer.result_rows(spec.shared_experts > 0 ? tokens.count() : 0),
      .routed_products = {},
      .shared_products = {}});
  if (spec.quantised())
    batch->x = {on, x, x_bytes};
  else
    on.upload(batch->inbox.data.as<void>(), x, static_cast<std::size_t>(x_bytes));
  return batch;
}

}  // namespace chokepoint::moe
