// Clocks that kernels charge: what they serialise and count, on the emulator's virtual time.
#include "tests/cuda_emulator/emulator.hpp"

#include "kernels/common/cuda/device_clock.cuh"

#include "harness/device/cuda/timer_tick.cuh"
#include "harness/device/cuda/timer_tick.hpp"

#include <gtest/gtest.h>

namespace chokepoint {
namespace {

constexpr double kPsPerByte = 1000.0;  // 1 GB/s

DeviceClock engaged() {
  DeviceClock clock;
  clock.ps_per_unit = kPsPerByte;
  return clock;
}

__global__ void reserve_once(DeviceClock* clock, double amount, DeviceMoment* ready) {
  if (threadIdx.x == 0) ready[blockIdx.x] = device_reserve(clock, amount);
}

TEST(device_clock, blocks_line_up_one_after_the_other) {
  DeviceClock clock = engaged();
  emulator::virtual_time() = {.now_ns = 5000, .per_turn_ns = 0, .per_read_ns = 0};
  DeviceMoment ready[4] = {};
  emulator::launch(reserve_once, dim3(4), dim3(32), 0, &clock, 100.0, ready);
  std::sort(ready, ready + 4);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(ready[i] - ready[0], 100'000ULL * i) << i;  // 100 B at 1 GB/s: 100 ns each
  EXPECT_EQ(clock.charged, 400U);
}

TEST(device_clock, idle_time_earns_nothing) {
  DeviceClock clock = engaged();
  emulator::virtual_time() = {.now_ns = 1000, .per_turn_ns = 0, .per_read_ns = 0};
  DeviceMoment first = 0, second = 0;
  emulator::launch(reserve_once, dim3(1), dim3(32), 0, &clock, 10.0, &first);
  emulator::virtual_time().now_ns += 1'000'000;
  emulator::launch(reserve_once, dim3(1), dim3(32), 0, &clock, 500.0, &second);
  EXPECT_GE(second, 1'000'000'000ULL + 500'000ULL);  // all 500 ns, counted from now
}

TEST(device_clock, a_released_clock_counts_and_holds_nothing) {
  DeviceClock clock;
  DeviceMoment ready = 1;
  emulator::launch(reserve_once, dim3(1), dim3(32), 0, &clock, 77.0, &ready);
  EXPECT_EQ(ready, 0U);
  EXPECT_EQ(clock.charged, 77U);
  emulator::launch(reserve_once, dim3(1), dim3(32), 0, static_cast<DeviceClock*>(nullptr), 77.0, &ready);
  EXPECT_EQ(ready, 0U);
}

__global__ void paced_tiles(DevicePace clocks, int tiles, std::uint64_t* end_ns) {
  BlockPace<3> pace(clocks);
  for (int i = 0; i < tiles; ++i) {
    if (threadIdx.x == 0) pace.begin(1000.0, 4000.0);
    __syncthreads();
  }
  if (threadIdx.x == 0) {
    pace.drain();
    end_ns[blockIdx.x] = globaltimer_ns();
  }
}

// When 2 blocks x 8 tiles end, in us.
double paced_loop_us(std::uint64_t begin_ns, std::uint64_t tick_ns) {
  DeviceClock memory = engaged(), compute = engaged();
  compute.ps_per_unit = 125.0;
  emulator::virtual_time() = {.now_ns = begin_ns, .per_turn_ns = 1, .per_read_ns = 1, .tick_ns = tick_ns};
  std::uint64_t end_ns[2] = {};
  emulator::launch({.grid = dim3(2), .block = dim3(32), .cooperative = true}, paced_tiles,
                   DevicePace{.compute = &compute, .memory = &memory}, 8, end_ns);
  EXPECT_EQ(memory.charged, 16'000U);
  EXPECT_EQ(compute.charged, 64'000U);
  const double last_us = static_cast<double>(emulator::virtual_time().now_ns - begin_ns) * 1e-3;
  emulator::virtual_time() = {};
  return last_us;
}

// 16 kB at 1 GB/s take 16 us, 64 kFLOP at 8 GFLOP/s 8 us: memory decides, and nothing is added.
TEST(device_clock, a_paced_loop_ends_with_the_slower_of_its_clocks) {
  const double last_us = paced_loop_us(1000, 1);
  EXPECT_GE(last_us, 16.0);
  EXPECT_LT(last_us, 17.0);
}

TEST(device_clock, a_paced_loop_is_off_by_one_tick_of_the_timer_however_many_tiles_it_has) {
  for (std::uint64_t phase_ns : {0U, 300U, 600U, 900U})
    EXPECT_NEAR(paced_loop_us(10'000 + phase_ns, 1000), 16.0, 1.1) << phase_ns;
}

__global__ void messages_one_by_one(DeviceClock* clock, int messages, double bytes) {
  for (int i = 0; i < messages; ++i) device_wait(clock, device_reserve(clock, bytes));
}

// 10.3 us each at 1 GB/s: 11 ticks of 1 us, over and over.
TEST(device_clock, what_waits_one_by_one_for_a_coarse_timer_adds_up) {
  DeviceClock clock = engaged();
  emulator::virtual_time() = {.now_ns = 10'000, .per_turn_ns = 0, .per_read_ns = 1, .tick_ns = 1000};
  emulator::launch(messages_one_by_one, dim3(1), dim3(1), 0, &clock, 20, 10'300.0);
  EXPECT_NEAR(static_cast<double>(emulator::virtual_time().now_ns - 10'000) * 1e-3, 20 * 11.0, 1.0);
  emulator::virtual_time() = {};
}

std::optional<TimerTick> tick_seen(std::uint64_t tick_ns, std::uint64_t per_read_ns) {
  emulator::virtual_time() = {.now_ns = 1'000'007, .per_turn_ns = 0, .per_read_ns = per_read_ns, .tick_ns = tick_ns};
  TimerSteps steps{};
  emulator::launch(timer_steps, dim3(1), dim3(1), 0, &steps);
  emulator::virtual_time() = {};
  return tick_of({steps.step_ns, steps.step_ns + steps.count});
}

TEST(timer_tick, is_found_whether_a_reading_is_faster_or_slower) {
  EXPECT_EQ(tick_seen(1000, 11), (TimerTick{1000, 1000}));
  EXPECT_EQ(tick_seen(32, 11), (TimerTick{32, 32}));
  EXPECT_EQ(tick_seen(1, 11), (TimerTick{11, 11}));   // finer than it can be read
  EXPECT_EQ(tick_seen(32, 50), (TimerTick{32, 64}));  // 50 ns apart: one tick or two
}

TEST(timer_tick, of_a_timer_that_stands_still_is_absent) { EXPECT_EQ(tick_seen(1, 0), std::nullopt); }

TEST(timer_tick, is_what_most_steps_are_not_what_disturbed_ones_were) {
  EXPECT_EQ(tick_of({1024, 992, 1024, 1024, 50'000}), (TimerTick{992, 1024}));
}

}  // namespace
}  // namespace chokepoint
