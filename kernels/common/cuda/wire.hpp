// How does one GPU play a link? The contract of kernels/common/loopback.hpp on a few SMs: one copy reads what is
// sent and writes what is received, paced per direction.
#pragma once

#include <cstdint>

#include "harness/device/device.hpp"
#include "kernels/common/cuda/device_array.hpp"
#include "kernels/common/loopback.hpp"
#include "kernels/pace.hpp"

namespace chokepoint {

// SMs that carry a wire: what expert-parallel libraries give to communication on an H800 (20 in the DeepSeek-V3
// report, 24 in DeepEP's tests).
inline constexpr int kWireBlocks = 24;

// One message. Row i goes from row from_rows[i] of `from` to row to_rows[i] of `to`; without index arrays, from
// row i to row i. Rows lie row_bytes apart on both sides. A row may have a second part in other arrays (the scales
// of fp8 codes). One contiguous piece: rows of any size that add up, the last one shortened by `short_bytes`.
struct WireTask {
  const void* from = nullptr;  // addresses are the device's
  void* to = nullptr;
  const void* from_2 = nullptr;
  void* to_2 = nullptr;
  std::int64_t row_bytes_2 = 0;
  const std::int32_t* from_rows = nullptr;
  const std::int32_t* to_rows = nullptr;
  std::int64_t rows = 0;
  std::int64_t row_bytes = 0;
  std::int64_t short_bytes = 0;
  Wire wire = Wire::link;
  double memory_bytes = 0.0;  // charged on the memory clock, and waited for with the message

  std::int64_t bytes() const { return rows * (row_bytes + row_bytes_2) - short_bytes; }
};

// A contiguous piece of `bytes`.
WireTask wire_piece(const void* from, void* to, std::int64_t bytes, Wire wire);

// The moments of the message under way; all zero between messages. In device memory.
struct WireSlot {
  unsigned long long begin_ps[2] = {};  // send, receive: since the origin of that clock
  unsigned long long ready_ps[2] = {};  // alpha not included
  unsigned long long memory_ready_ps = 0;
  unsigned booked = 0;    // 1 once the moments are there
  unsigned finished = 0;  // warps that have copied their share
};

// Sends one message after the other: calls on the same copier have to be ordered by their stream.
class WireCopier {
 public:
  // One block for each multiprocessor that the device gives to its wire alone, at most `blocks`: all have to run at once,
  // since each has its share of every message.
  explicit WireCopier(Device& device, int blocks = kWireBlocks);
  int blocks() const { return blocks_; }
  // Enqueues the copy. The rate is the clocks'; without them, what the blocks can do. No bytes: no message.
  void send(const WireTask& task, const DevicePace& pace, void* stream) const;

 private:
  int blocks_;
  DeviceArray slot_;
};

}  // namespace chokepoint
