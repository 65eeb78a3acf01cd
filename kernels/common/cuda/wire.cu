#include "kernels/common/cuda/wire.cuh"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.hpp"
#include "kernels/common/cuda/launch.cuh"

namespace chokepoint {

WireTask wire_piece(const void* from, void* to, std::int64_t bytes, Wire wire) {
  constexpr std::int64_t kRowBytes = 4096;
  const std::int64_t rows = (bytes + kRowBytes - 1) / kRowBytes;
  return {.from = from,
          .to = to,
          .rows = rows,
          .row_bytes = kRowBytes,
          .short_bytes = rows * kRowBytes - bytes,
          .wire = wire};
}

WireCopier::WireCopier(Device& device, int blocks) : blocks_(blocks), slot_(device, sizeof(WireSlot)) {
  if (device.lanes_are_apart()) blocks_ = std::min(blocks, device.multiprocessors(Lane::wire));
  device.set_bytes(slot_.as<void>(), 0, sizeof(WireSlot));
}

void WireCopier::send(const WireTask& task, const DevicePace& pace, void* stream) const {
  const bool without_address = task.from == nullptr || task.to == nullptr ||
                               (task.row_bytes_2 > 0 && (task.from_2 == nullptr || task.to_2 == nullptr));
  if (task.bytes() < 0 || (task.bytes() > 0 && without_address))
    throw Error(Fault::device, fmt::format("a message of {} bytes has a negative size or no address", task.bytes()),
                "give it two addresses and a size of zero or more");
  if (task.bytes() == 0) return;
  const bool link = task.wire == Wire::link;
  const WireMoments moments = {{link ? pace.link_send : pace.network_send,
                                link ? pace.link_receive : pace.network_receive},
                               pace.memory};
  launch(wire_kernel, dim3(static_cast<unsigned>(blocks_)), dim3(kWireThreads), sizeof(WireBlock), stream, task,
         moments, slot_.as<WireSlot>());
}

}  // namespace chokepoint
