// Which blocks of a kernel charge a total, when each block's own part would be too small to be worth an atomic?
#pragma once

#include <cstdint>

#include "kernels/common/cuda/device_clock.cuh"

namespace chokepoint {

// Enough that the two atomics of a charge do not show.
inline constexpr double kBytesPerCharge = 64.0 * 1024.0;

// The part of `total` that one of `blocks` equal blocks charges: every stride-th charges for the stride, and the parts
// are whole numbers that add up to the total.
__host__ __device__ inline double charge_share(double total, std::int64_t block, std::int64_t blocks) {
  const auto wanted = static_cast<std::int64_t>(total / kBytesPerCharge);
  const std::int64_t charges = wanted < 1 ? 1 : wanted > blocks ? blocks : wanted;
  const std::int64_t stride = (blocks + charges - 1) / charges;
  if (block % stride != 0) return 0.0;
  const std::int64_t parts = (blocks + stride - 1) / stride, part = block / stride;
  const auto whole = static_cast<std::int64_t>(total + 0.5);
  const std::int64_t each = whole / parts, rest = whole % parts;
  return static_cast<double>(each + (part < rest ? 1 : 0));
}

// Reserves when the block begins, waits when it ends. For one thread of the block.
class BlockCharge {
 public:
  __device__ BlockCharge(DeviceClock* clock, double total, std::int64_t block, std::int64_t blocks) : clock_(clock) {
    if (clock != nullptr) ready_ = device_reserve(clock, charge_share(total, block, blocks));
  }
  __device__ void wait() const { device_wait(clock_, ready_); }

 private:
  DeviceClock* clock_;
  DeviceMoment ready_ = 0;
};

}  // namespace chokepoint
