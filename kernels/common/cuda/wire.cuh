// The copy behind wire.hpp. Bound: the wire's clocks, or uncapped what kWireBlocks SMs read and write.
//
// Block 0 books the whole message when it starts; chunks of rows go round the blocks, each held at the moment at
// which the wire would have delivered it, so that memory traffic is spread as a wire would spread it. The block
// that finishes last waits for all of the message, and for alpha. Registers: few; shared memory: 8 bytes.
#pragma once

#include "kernels/common/cuda/device_clock.cuh"
#include "kernels/common/cuda/wire.hpp"

namespace chokepoint {

inline constexpr int kWireThreads = 512;
inline constexpr std::int64_t kWireChunkBytes = 64 * 1024;

struct WireMoments {
  DeviceClock* clock[2];  // send, receive
  DeviceClock* memory;
};

// Rows of a chunk: about kWireChunkBytes, fewer when the message is short, so that every block gets some.
__host__ __device__ inline std::int64_t wire_chunk_rows(const WireTask& task, int blocks) {
  std::int64_t rows = kWireChunkBytes / task.row_bytes;
  const std::int64_t fair = task.rows / (4 * blocks);
  if (rows > fair) rows = fair;
  return rows < 1 ? 1 : rows;
}

__device__ inline void wire_copy_row(const char* from, char* to, std::int64_t bytes) {
  const auto address = reinterpret_cast<std::uintptr_t>(from) | reinterpret_cast<std::uintptr_t>(to);
  std::int64_t done = 0;
  if ((address & 15) == 0) {
    const auto* in = reinterpret_cast<const uint4*>(from);
    auto* out = reinterpret_cast<uint4*>(to);
    const std::int64_t vectors = bytes / 16;
    constexpr int kUnroll = 4;
    std::int64_t i = threadIdx.x;
    for (; i + (kUnroll - 1) * std::int64_t{blockDim.x} < vectors; i += kUnroll * std::int64_t{blockDim.x}) {
      uint4 values[kUnroll];
#pragma unroll
      for (int u = 0; u < kUnroll; ++u) values[u] = in[i + u * std::int64_t{blockDim.x}];
#pragma unroll
      for (int u = 0; u < kUnroll; ++u) out[i + u * std::int64_t{blockDim.x}] = values[u];
    }
    for (; i < vectors; i += blockDim.x) out[i] = in[i];
    done = vectors * 16;
  }
  for (std::int64_t i = done + threadIdx.x; i < bytes; i += blockDim.x) to[i] = from[i];
}

// Many short rows side by side: warp w of the block takes row first + w, and so on.
__device__ inline void wire_copy_rows(const WireTask& task, std::int64_t first, std::int64_t last) {
  const auto* from = static_cast<const char*>(task.from);
  auto* to = static_cast<char*>(task.to);
  for (std::int64_t row = first; row < last; ++row) {
    const std::int64_t source = task.from_rows != nullptr ? task.from_rows[row] : row;
    const std::int64_t target = task.to_rows != nullptr ? task.to_rows[row] : row;
    const std::int64_t bytes = row + 1 == task.rows ? task.row_bytes - task.short_bytes : task.row_bytes;
    wire_copy_row(from + source * task.row_bytes, to + target * task.row_bytes, bytes);
  }
}

__device__ inline void wire_book(const WireTask& task, const WireMoments& moments, WireSlot* slot) {
  const auto bytes = static_cast<double>(task.rows * task.row_bytes - task.short_bytes);
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
  store_release(&slot->booked, 1U);
}

// Until `share` (0 to 1) of the message would have come through.
__device__ inline void wire_keep_up(const WireMoments& moments, const WireSlot* slot, double share) {
  for (int direction = 0; direction < 2; ++direction) {
    const unsigned long long begin = slot->begin_ps[direction], ready = slot->ready_ps[direction];
    if (ready == 0) continue;
    device_wait(moments.clock[direction], begin + static_cast<unsigned long long>(share * static_cast<double>(ready - begin)));
  }
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

inline __global__ void __launch_bounds__(kWireThreads)
    wire_kernel(WireTask task, WireMoments moments, WireSlot* slot, std::int64_t chunk_rows) {
  if (threadIdx.x == 0) {
    if (blockIdx.x == 0) wire_book(task, moments, slot);
    while (load_acquire(&slot->booked) == 0U) nanosleep(20);
  }
  __syncthreads();
  const std::int64_t step = chunk_rows * gridDim.x;
  for (std::int64_t first = chunk_rows * blockIdx.x; first < task.rows; first += step) {
    const std::int64_t last = first + chunk_rows < task.rows ? first + chunk_rows : task.rows;
    wire_copy_rows(task, first, last);
    if (threadIdx.x == 0) wire_keep_up(moments, slot, static_cast<double>(last) / static_cast<double>(task.rows));
    __syncthreads();
  }
  if (threadIdx.x != 0) return;
  __threadfence();
  if (atomicAdd(&slot->finished, 1U) + 1 == gridDim.x) wire_finish(moments, slot);
}

}  // namespace chokepoint
