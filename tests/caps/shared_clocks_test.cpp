// Clocks that targets take in turn: on the host they hand on, on a GPU they are copied in and back.
#include "harness/caps/shared_clocks.hpp"

#include <gtest/gtest.h>

#include "harness/caps/cuda/gpu_clock.hpp"
#include "harness/caps/software_clock.hpp"

namespace chokepoint {
namespace {

TEST(shared_clocks, on_the_host_each_turn_is_charged_to_its_own_clock_and_none_in_between) {
  SoftwareClock slow(1.0, 0.0), fast(1e12, 0.0);
  const Pace of_slow{.memory = &slow}, of_fast{.memory = &fast};
  const std::unique_ptr<Device> host = open_device("cpu");
  SharedClocks shared(*host, of_slow);
  EXPECT_EQ(shared.pace().compute, nullptr);
  ResourceClock& clock = *shared.pace().memory;
  slow.engage();
  fast.engage();
  clock.wait(clock.reserve(1e9));  // nobody's turn: at once
  shared.begin_turn(of_fast, nullptr);
  clock.wait(clock.reserve_message(5.0));
  shared.end_turn(of_fast, nullptr);
  shared.begin_turn(of_slow, nullptr);
  EXPECT_GT(clock.reserve(100.0) - Moment::clock::now(), std::chrono::seconds(90));
  shared.end_turn(of_slow, nullptr);
  EXPECT_EQ(fast.tally().charged, 5.0);
  EXPECT_EQ(fast.tally().messages, 1);
  EXPECT_EQ(slow.tally().charged, 100.0);
}

// Two targets' clocks for both directions of a link, in memory of the "GPU".
struct LinkClocks {
  GpuClock send, receive;
  Pace pace{.link_send = &send, .link_receive = &receive};
  LinkClocks(Device& device, double rate) : send(device, rate, 2e-6), receive(device, rate / 2.0, 0.0) {
    send.engage();
    receive.engage();
  }
};

TEST(shared_clocks, on_a_gpu_a_turn_brings_rates_and_takes_back_what_was_charged) {
  const std::unique_ptr<Device> gpu = open_device("cpu");  // whose memory both can see
  LinkClocks a(*gpu, 1e9), b(*gpu, 4e9);
  SharedClocks shared(*gpu, a.pace);
  DeviceClock &send = *shared.pace().link_send->on_device(), &receive = *shared.pace().link_receive->on_device();
  EXPECT_NE(&send, a.send.on_device());
  EXPECT_EQ(send.ps_per_unit, 0.0);
  shared.begin_turn(b.pace, nullptr);
  EXPECT_DOUBLE_EQ(send.ps_per_unit, 250.0);
  EXPECT_DOUBLE_EQ(receive.ps_per_unit, 500.0);
  send.charged += 7;
  send.busy_until_ps = 123;
  shared.end_turn(b.pace, nullptr);
  shared.begin_turn(a.pace, nullptr);
  EXPECT_DOUBLE_EQ(send.ps_per_unit, 1000.0);
  EXPECT_EQ(send.latency_ps, 2'000'000U);
  EXPECT_EQ(send.charged, 0U);
  EXPECT_EQ(send.busy_until_ps, 0U);
  receive.charged += 9;
  shared.end_turn(a.pace, nullptr);
  shared.begin_turn(b.pace, nullptr);
  EXPECT_EQ(send.busy_until_ps, 123U);  // it goes on where it was
  EXPECT_EQ(b.send.tally().charged, 7.0);
  EXPECT_EQ(a.receive.tally().charged, 9.0);
  EXPECT_EQ(b.receive.tally().charged, 0.0);
}

TEST(shared_clocks, are_the_same_clocks_only_where_both_have_them) {
  SoftwareClock clock(1.0, 0.0);
  EXPECT_TRUE(have_same_clocks({.memory = &clock}, {.memory = &clock}));
  EXPECT_TRUE(have_same_clocks({}, {}));
  EXPECT_FALSE(have_same_clocks({.memory = &clock}, {}));
  EXPECT_FALSE(have_same_clocks({.memory = &clock}, {.compute = &clock, .memory = &clock}));
}

}  // namespace
}  // namespace chokepoint
