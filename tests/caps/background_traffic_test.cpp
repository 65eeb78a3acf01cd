// Copies that keep a rate by themselves: their device code on the emulator, and how many multiprocessors they get.
#include "tests/cuda_emulator/emulator.hpp"

#include "harness/device/cuda/background_traffic.cuh"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "harness/caps/tuning.hpp"

namespace chokepoint {
namespace {

constexpr unsigned kBlocks = 2;
constexpr std::uint64_t kTile_us = 100, kBegin_ns = 1'000'000;

// Two blocks that owe a tile every 100 us each, over arrays of five tiles.
struct Traffic {
  std::vector<uint4> from{5 * kTrafficTileVectors}, to{5 * kTrafficTileVectors};
  TrafficSignals signals;
  TrafficTally tally;

  Traffic() {
    for (std::size_t i = 0; i < from.size(); ++i) from[i] = {static_cast<unsigned>(i), 1, 2, 3};
  }

  TrafficRun run(unsigned number, std::uint64_t lifetime_us) {
    emulator::virtual_time() = {.now_ns = kBegin_ns, .per_turn_ns = 1, .per_read_ns = 1};
    return {from.data(), to.data(),          5,        number, kBlocks,
            kTile_us * 1'000'000, lifetime_us * 1000, &signals, &tally};
  }

  std::int64_t tiles_copied() const {
    std::int64_t copied = 0;
    for (std::int64_t tile = 0; tile < 5; ++tile) {
      const std::int64_t first = tile * kTrafficTileVectors, last = first + kTrafficTileVectors - 1;
      bool all = true;
      for (std::int64_t i = first; i <= last; ++i)
        all = all && to[static_cast<std::size_t>(i)].x == static_cast<unsigned>(i) && to[static_cast<std::size_t>(i)].w == 3;
      copied += all ? 1 : 0;
    }
    return copied;
  }
};

double elapsed_us() { return static_cast<double>(emulator::virtual_time().now_ns - kBegin_ns) * 1e-3; }

emulator::Config blocks(unsigned count) { return {.grid = dim3(count), .block = dim3(kTrafficThreads), .cooperative = true}; }

TEST(background_traffic, keeps_its_rate_until_its_lifetime_ends_and_says_that_it_did) {
  Traffic traffic;
  emulator::launch(blocks(kBlocks), background_traffic, traffic.run(1, 2000));
  EXPECT_EQ(traffic.signals.running, 1U);
  EXPECT_EQ(traffic.signals.expired, 1U);
  EXPECT_GE(traffic.tally.tiles, 39U);  // 2 blocks x 2000 us / 100 us, and one each that begins at once
  EXPECT_LE(traffic.tally.tiles, 42U);
  EXPECT_NEAR(elapsed_us(), 2000.0, 25.0);
  EXPECT_EQ(traffic.tiles_copied(), 5);
}

// A last block plays the host.
__global__ void with_a_host(TrafficRun run, std::uint64_t stop_ns, unsigned* running_then) {
  if (blockIdx.x < run.blocks) return traffic_block(run);
  if (threadIdx.x != 0) return;
  while (globaltimer_ns() < stop_ns) nanosleep(100);
  *running_then = run.signals->running;
  run.signals->stop = run.number;
}

TEST(background_traffic, ends_soon_after_the_host_says_stop) {
  Traffic traffic;
  unsigned running = 0;
  emulator::launch(blocks(kBlocks + 1), with_a_host, traffic.run(1, 1'000'000), kBegin_ns + 500'000, &running);
  EXPECT_EQ(running, 1U);
  EXPECT_EQ(traffic.signals.expired, 0U);
  EXPECT_GE(traffic.tally.tiles, 10U);
  EXPECT_LE(traffic.tally.tiles, 12U);
  EXPECT_GE(elapsed_us(), 500.0);
  EXPECT_LE(elapsed_us(), 500.0 + 3e-3 * kTrafficLook_ns);  // block 0 looks, the other looks, a tile ends
}

TEST(background_traffic, a_stop_of_an_earlier_run_does_not_end_a_later_one) {
  Traffic traffic;
  unsigned running = 0;
  emulator::launch(blocks(kBlocks + 1), with_a_host, traffic.run(1, 1'000'000), kBegin_ns + 50'000, &running);
  const unsigned long long first = traffic.tally.tiles;
  emulator::launch(blocks(kBlocks), background_traffic, traffic.run(2, 1000));
  EXPECT_EQ(traffic.signals.running, 2U);
  EXPECT_EQ(traffic.signals.expired, 2U);
  EXPECT_GE(traffic.tally.tiles - first, 19U);
}

TEST(background_traffic, one_that_was_stopped_before_it_began_copies_next_to_nothing) {
  Traffic traffic;
  traffic.signals.stop = 1;
  emulator::launch(blocks(kBlocks), background_traffic, traffic.run(1, 1'000'000));
  EXPECT_LE(traffic.tally.tiles, 2U);
  EXPECT_LE(elapsed_us(), 3e-3 * kTrafficLook_ns);
}

TEST(traffic_pace, a_block_that_was_held_up_catches_up_on_its_credit_and_no_more) {
  TrafficPace pace{.tile_ps = 1'000'000, .due_ps = 0};
  EXPECT_TRUE(pace.may_begin(0));
  pace.begin(0);
  EXPECT_FALSE(pace.may_begin(999'999));
  EXPECT_TRUE(pace.may_begin(1'000'000));
  pace.begin(50'000'000);  // 49 us late; 2 us of them count
  int at_once = 0;
  for (; pace.may_begin(50'000'000); pace.begin(50'000'000)) ++at_once;
  EXPECT_EQ(at_once, 2);  // due at 49 and 50 us
}

TEST(background_traffic, gets_as_many_multiprocessors_as_it_needs_and_at_most_half) {
  EXPECT_EQ(multiprocessors_for_traffic(1e9, 132), 8);
  EXPECT_EQ(multiprocessors_for_traffic(0.32e12, 132), 8);
  EXPECT_EQ(multiprocessors_for_traffic(0.33e12, 132), 16);
  EXPECT_EQ(multiprocessors_for_traffic(1.2e12, 132), 32);  // 30 and rounded up
  EXPECT_EQ(multiprocessors_for_traffic(9e12, 132), 64);
  EXPECT_EQ(multiprocessors_for_traffic(9e12, 4), 8);  // smaller than a step: the device refuses
}

}  // namespace
}  // namespace chokepoint
