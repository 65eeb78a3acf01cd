// The copy behind wire.hpp. Bound: the wire's clocks, or uncapped what kWireBlocks SMs read and write.
//
// The first warp books the whole message; rows go round the blocks, then round their warps, and a warp holds each row
// until the wire would have delivered it, so that memory traffic is spread as a wire would spread it. A block, which is
// one SM's part of the wire, passes its rows on one after the other at the rate that an SM has over a link. The warp
// that finishes last waits for all of the message, and for alpha. Registers: 8 vectors in flight per thread, 64 KiB
// per SM. Shared memory: 16 bytes.
#pragma once

#include "kernels/common/cuda/device_clock.cuh"
#include "kernels/common/cuda/wire.hpp"

namespace chokepoint {

inline constexpr int kWireThreads = 512;
// With half of an SM's registers a block starts beside what else stays there: two blocks of background traffic, say.
inline constexpr int kWireResidents = 2;
inline constexpr int kWireUnroll = 8;
// Rows may be copied this much before their moment: longer than a copy takes, so that a warp that waits for one row
// is not late with its next. Nothing counts as arrived before the clock says so.
inline constexpr unsigned long long kWireLead_ps = 5'000'000;

struct WireMoments {
  DeviceClock* clock[2];  // send, receive
  DeviceClock* memory;
};

// One warp; 16-byte accesses where both sides are aligned, else bytes.
__device__ inline void wire_copy_row(const char* from, char* to, std::int64_t bytes, int lane) {
  const auto address = reinterpret_cast<std::uintptr_t>(from) | reinterpret_cast<std::uintptr_t>(to);
  const std::int64_t vectors = (address & 15) == 0 ? bytes / 16 : 0;
  const auto* in = reinterpret_cast<const uint4*>(from);
  auto* out = reinterpret_cast<uint4*>(to);
  std::int64_t i = lane;
  for (; i + (kWireUnroll - 1) * 32 < vectors; i += kWireUnroll * 32) {
    uint4 values[kWireUnroll];
#pragma unroll
    for (int u = 0; u < kWireUnroll; ++u) values[u] = in[i + u * 32];
#pragma unroll
    for (int u = 0; u < kWireUnroll; ++u) out[i + u * 32] = values[u];
  }
  for (; i < vectors; i += 32) out[i] = in[i];
  for (std::int64_t at = vectors * 16 + lane; at < bytes; at += 32) to[at] = from[at];
}

// Of the first part of a row.
__device__ inline std::int64_t wire_row_bytes(const WireTask& task, std::int64_t row) {
  return row + 1 == task.rows ? task.row_bytes - task.short_bytes : task.row_bytes;
}

__device__ inline void wire_copy_rows_of(const WireTask& task, std::int64_t row, int lane) {
  const std::int64_t source = task.from_rows != nullptr ? task.from_rows[row] : row;
  const std::int64_t target = task.to_rows != nullptr ? task.to_rows[row] : row;
  wire_copy_row(static_cast<const char*>(task.from) + source * task.row_bytes,
                static_cast<char*>(task.to) + target * task.row_bytes, wire_row_bytes(task, row), lane);
  if (task.row_bytes_2 > 0)
    wire_copy_row(static_cast<const char*>(task.from_2) + source * task.row_bytes_2,
                  static_cast<char*>(task.to_2) + target * task.row_bytes_2, task.row_bytes_2, lane);
}

__device__ inline void wire_book(const WireTask& task, const WireMoments& moments, WireSlot* slot) {
  const auto bytes = static_cast<double>(task.rows * (task.row_bytes + task.row_bytes_2) - task.short_bytes);
  for (int direction = 0; direction < 2; ++direction) {
    DeviceClock* clock = moments.clock[direction];
    if (clock == nullptr) continue;
    atomicAdd(device_counter(clock->messages), 1ULL);
    const DeviceMoment ready = device_reserve(clock, bytes);
    const double ps_per_unit = *const_cast<volatile double*>(&clock->ps_per_unit);
    const auto cost = static_cast<unsigned long long>(bytes * ps_per_unit + 0.5);
    slot->ready_ps[direction] = ready;
    slot->begin_ps[direction] = ready > cost ? ready - cost : 0;
  }
  slot->memory_ready_ps = device_reserve(moments.memory, task.memory_bytes);
  __threadfence();
  store_release(&slot->booked, 1U);
}

// What a block passes on, whichever of its warps has the row: a clock in shared memory, since `began_ns`.
struct WireBlock {
  unsigned long long began_ns, busy_until_ps;

  // Books a row when it begins; returns when the next may.
  __device__ DeviceMoment carry(unsigned long long cost_ps) {
    const unsigned long long now_ns = globaltimer_ns();  // another warp's reading may be older than the one at the beginning
    atomicMax(&busy_until_ps, now_ns > began_ns ? (now_ns - began_ns) * 1000ULL : 0ULL);
    return atomicAdd(&busy_until_ps, cost_ps) + cost_ps;
  }
};

// A warp's copy of the moments: reading them once keeps memory latency out of the loop over rows.
struct WireStretch {
  DeviceClock* clock[2];
  unsigned long long begin_ps[2], length_ps[2];
  float ps_per_byte_of_sm = 0.0F;  // 0: as fast as it can

  // Until `share` (0 to 1) of the message would have come through, less the lead.
  __device__ void keep_up(double share) const {
    for (int direction = 0; direction < 2; ++direction) {
      const auto at_ps = static_cast<unsigned long long>(share * static_cast<double>(length_ps[direction]));
      if (at_ps > kWireLead_ps) device_wait(clock[direction], begin_ps[direction] + at_ps - kWireLead_ps);
    }
  }
};

__device__ inline WireStretch wire_stretch(const WireMoments& moments, const WireSlot* slot) {
  WireStretch stretch;
  for (int direction = 0; direction < 2; ++direction) {
    const volatile WireSlot* seen = slot;
    const unsigned long long begin = seen->begin_ps[direction], ready = seen->ready_ps[direction];
    stretch.clock[direction] = moments.clock[direction];
    stretch.begin_ps[direction] = begin;
    stretch.length_ps[direction] = ready > begin ? ready - begin : 0;
    if (moments.clock[direction] == nullptr) continue;
    const double of_sm = *const_cast<volatile double*>(&moments.clock[direction]->ps_per_unit_of_sm);
    stretch.ps_per_byte_of_sm = fmaxf(stretch.ps_per_byte_of_sm, static_cast<float>(of_sm));
  }
  return stretch;
}

// Books a row on its block; 0 where an SM may be as fast as it can.
__device__ inline DeviceMoment wire_carry(const WireTask& task, std::int64_t row, float ps_per_byte, WireBlock* block) {
  if (ps_per_byte == 0.0F) return 0;
  const auto bytes = static_cast<float>(wire_row_bytes(task, row) + task.row_bytes_2);
  return block->carry(static_cast<unsigned long long>(bytes * ps_per_byte + 0.5F));
}

__device__ inline void wire_finish(const WireMoments& moments, WireSlot* slot) {
  for (int direction = 0; direction < 2; ++direction) {
    DeviceClock* clock = moments.clock[direction];
    if (clock == nullptr || slot->ready_ps[direction] == 0) continue;
    device_wait(clock, slot->ready_ps[direction] + *const_cast<volatile std::uint64_t*>(&clock->latency_ps));
    const DeviceMoment now = device_now_ps(clock);
    if (now > slot->begin_ps[direction])
      atomicAdd(device_counter(clock->active_ps), now - slot->begin_ps[direction]);
  }
  device_wait(moments.memory, slot->memory_ready_ps);
  *slot = WireSlot{};
}

inline __global__ void __launch_bounds__(kWireThreads, kWireResidents)
    wire_kernel(WireTask task, WireMoments moments, WireSlot* slot) {
  auto* const block = reinterpret_cast<WireBlock*>(dynamic_shared());
  const int lane = static_cast<int>(threadIdx.x % 32);
  const std::int64_t warps = std::int64_t{gridDim.x} * (blockDim.x / 32);
  const std::int64_t warp = std::int64_t{threadIdx.x / 32} * gridDim.x + blockIdx.x;
  if (threadIdx.x == 0) *block = {globaltimer_ns(), 0};
  __syncthreads();
  if (warp == 0 && lane == 0) wire_book(task, moments, slot);
  __syncwarp();
  // The first row is copied while the booking becomes known: both take as long as a short message may.
  if (warp < task.rows) wire_copy_rows_of(task, warp, lane);
  if (lane == 0)
    while (load_acquire(&slot->booked) == 0U) nanosleep(20);
  __syncwarp();
  const WireStretch stretch = wire_stretch(moments, slot);
  for (std::int64_t row = warp; row < task.rows; row += warps) {
    const DeviceMoment carried = lane == 0 ? wire_carry(task, row, stretch.ps_per_byte_of_sm, block) : 0;
    if (row != warp) wire_copy_rows_of(task, row, lane);
    if (lane == 0) {
      if (carried != 0) device_wait_since(block->began_ns, carried);
      stretch.keep_up(static_cast<double>(row + 1) / static_cast<double>(task.rows));
    }
    __syncwarp();
  }
  if (lane != 0) return;
  __threadfence();
  if (atomicAdd(&slot->finished, 1U) + 1 == warps) wire_finish(moments, slot);
}

}  // namespace chokepoint
