// How do a micro-batch's rows get over the wires and back? Dispatch over network, then link; combine over link, sums per
// node, then network. One message per leg; the two legs are not pipelined by chunks.
#pragma once

#include "kernels/common/cuda/wire.hpp"
#include "kernels/moe_layer/cuda_batch.cuh"
#include "kernels/moe_layer/cuda_sums.cuh"

namespace chokepoint::moe {

// Multiprocessors that the wire is to have for itself: with overlap, where anything is sent.
inline int wire_multiprocessors(const MoeSpec& spec) {
  return spec.micro_batches().size() == 2 && spec.placement.ep > 1 ? kWireBlocks : 0;
}

class Wires {
 public:
  explicit Wires(const DeviceLayer& layer) : layer_(layer), copier_(layer.device) {}  // `layer` outlives it

  void fetch(const DeviceBatch& batch, void* on) const {
    const DevicePlan& plan = batch.plan;
    deliver(batch, batch.network_from, plan.network_rows, plan.tokens, Wire::network, on);
    deliver(batch, batch.link_from, plan.link_rows, plan.tokens + plan.network_rows, Wire::link, on);
  }

  void send_back(const DeviceBatch& batch, void* on) const {
    auto* returned = batch.returned.as<std::byte>();
    give_back(batch.link_out, returned, batch.plan.link_rows, Wire::link, on);
    add_up(layer_, batch, batch.to_network, batch.network_out.as<void>(), on);
    give_back(batch.network_out, returned + batch.plan.link_rows * layer_.spec.combine_row_bytes(),
              batch.plan.network_rows, Wire::network, on);
  }

 private:
  // Rows of one leg from their places in the inbox to the leg's own.
  void deliver(const DeviceBatch& batch, const DeviceArray& from_rows, std::int64_t rows, std::int64_t first_row,
               Wire wire, void* on) const {
    const MoeSpec& spec = layer_.spec;
    const std::int64_t row_bytes = spec.hidden * bytes_of(layer_.row_dtype());
    const std::int64_t scales = spec.quantised() ? scale_blocks(spec.hidden) : 0;
    auto* data = batch.inbox.data.as<std::byte>();
    auto* scale = batch.inbox.scales.as<float>();
    copier_.send({.from = data,
                  .to = data + first_row * row_bytes,
                  .from_2 = scale,
                  .to_2 = scale + first_row * scales,
                  .row_bytes_2 = 4 * scales,
                  .from_rows = from_rows.as<std::int32_t>(),
                  .rows = rows,
                  .row_bytes = row_bytes,
                  .wire = wire,
                  .memory_bytes = 2.0 * static_cast<double>(rows * spec.dispatch_row_bytes())},
                 layer_.pace, on);
  }

  void give_back(const DeviceArray& from, std::byte* to, std::int64_t rows, Wire wire, void* on) const {
    const std::int64_t row_bytes = layer_.spec.combine_row_bytes();
    copier_.send({.from = from.as<void>(),
                  .to = to,
                  .rows = rows,
                  .row_bytes = row_bytes,
                  .wire = wire,
                  .memory_bytes = 2.0 * static_cast<double>(rows * row_bytes)},
                 layer_.pace, on);
  }

  const DeviceLayer& layer_;
  WireCopier copier_;
};

}  // namespace chokepoint::moe
