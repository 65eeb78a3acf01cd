// Caps: what a clock serialises, what it counts, and when a cap counts as held.
#include "harness/caps/software_clock.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "harness/caps/cap.hpp"

namespace chokepoint {
namespace {

using Clock = std::chrono::steady_clock;

double since(Moment start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

TEST(software_clock, reservations_line_up_one_after_the_other) {
  SoftwareClock clock(1e6, 0.0);  // 1 MB/s
  clock.engage();
  const Moment first = clock.reserve(10e3), second = clock.reserve(20e3);
  EXPECT_NEAR(std::chrono::duration<double>(second - first).count(), 0.02, 1e-9);  // 20 kB at 1 MB/s
}

TEST(software_clock, idle_time_earns_nothing) {
  SoftwareClock clock(1e6, 0.0);
  clock.engage();
  clock.wait(clock.reserve(1e3));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const Moment before = Clock::now();
  EXPECT_GE(std::chrono::duration<double>(clock.reserve(10e3) - before).count(),
            0.01);  // all of 10 ms, no credit
}

TEST(software_clock, a_wait_ends_at_the_moment_and_not_before) {
  SoftwareClock clock(1e6, 0.0);
  clock.engage();
  const Moment start = Clock::now();
  clock.wait(clock.reserve(20e3));
  EXPECT_GE(since(start), 0.02);
}

TEST(software_clock, a_message_takes_its_latency_besides_its_bytes_and_latencies_overlap) {
  SoftwareClock clock(1e6, 0.005);
  clock.engage();
  const Moment start = Clock::now();
  const Moment first = clock.reserve_message(1e3), second = clock.reserve_message(1e3);
  EXPECT_NEAR(std::chrono::duration<double>(first - start).count(), 0.006, 2e-3);
  EXPECT_NEAR(std::chrono::duration<double>(second - first).count(), 0.001, 1e-9);  // only its bytes
}

TEST(software_clock, without_being_engaged_it_counts_but_does_not_hold) {
  SoftwareClock clock(1.0, 10.0);
  const Moment start = Clock::now();
  clock.wait(clock.reserve_message(1e9));
  EXPECT_LT(since(start), 1.0);
  EXPECT_EQ(clock.tally().charged, 1e9);
}

TEST(software_clock, a_release_lifts_the_cap) {
  SoftwareClock clock(1.0, 0.0);
  clock.engage();
  clock.release();
  const Moment start = Clock::now();
  clock.wait(clock.reserve(1e9));
  EXPECT_LT(since(start), 1.0);
}

TEST(software_clock, threads_share_one_rate) {
  SoftwareClock clock(1e6, 0.0);
  clock.engage();
  const Moment start = Clock::now();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 10; ++i) clock.wait(clock.reserve(1e3));
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(since(start), 0.04);  // 40 kB at 1 MB/s, however many threads
  EXPECT_EQ(clock.tally().charged, 40e3);
}

TEST(software_clock, active_time_leaves_idle_time_out) {
  SoftwareClock clock(1e6, 0.0);
  clock.engage();
  for (int i = 0; i < 3; ++i) {
    clock.wait(clock.reserve(5e3));
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
  }
  const ClockTally tally = clock.tally();
  EXPECT_GE(tally.active_s, 0.015);
  EXPECT_LT(tally.active_s, 0.06);  // 15 ms of transfer, 90 ms of idling; slack for a busy machine
}

TEST(software_clock, only_latency_that_no_bytes_hid_is_told_apart_from_transfer) {
  // 10 kB at 1 MB/s are 10 ms, and the latency is 20 ms.
  SoftwareClock overlapping(1e6, 0.02), one_by_one(1e6, 0.02);
  overlapping.engage();
  const Moment first = overlapping.reserve_message(10e3), second = overlapping.reserve_message(10e3);
  overlapping.wait(first);
  overlapping.wait(second);
  EXPECT_NEAR(overlapping.tally().latency_only_s, 0.02, 1e-6);  // the first one's passed under the second's bytes
  EXPECT_GE(overlapping.tally().active_s, 0.04);
  one_by_one.engage();
  for (int i = 0; i < 2; ++i) one_by_one.wait(one_by_one.reserve_message(10e3));
  EXPECT_NEAR(one_by_one.tally().latency_only_s, 0.04, 1e-6);
  EXPECT_GE(one_by_one.tally().active_s, 0.06);
  one_by_one.reset_tally();
  EXPECT_EQ(one_by_one.tally().latency_only_s, 0.0);
}

TEST(software_clock, a_sender_that_is_late_counts_as_transfer_and_not_as_latency) {
  SoftwareClock clock(1e6, 0.002);
  clock.engage();
  const Moment first = clock.reserve_message(1e3);  // through after 1 ms, there after 3 ms
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  clock.wait(first);
  clock.wait(clock.reserve_message(1e3));
  EXPECT_NEAR(clock.tally().latency_only_s, 0.004, 1e-6);
  EXPECT_GE(clock.tally().active_s, 0.023);
}

TEST(cap, a_wire_delivers_its_rate_whether_latencies_overlap_or_not) {
  const CapPlan plan{.demand = {.resource = Resource::link}, .requested = 1e6, .latency_s = 0.03};
  const std::unique_ptr<Device> device = open_device("cpu");
  for (bool overlap : {true, false}) {
    Pace pace;
    const auto cap = find_cap(Resource::link, "cpu")->install(plan, *device, pace);
    cap->engage();
    std::vector<Moment> ready;
    for (int i = 0; i < 3; ++i) {
      ready.push_back(pace.link_receive->reserve_message(20e3));
      if (!overlap) pace.link_receive->wait(ready.back());
    }
    if (overlap) pace.link_receive->wait(ready.back());
    // Late wake-ups make it less; counting a latency twice would make it 60 kB in 0 s.
    EXPECT_LE(*cap->delivered(1.0).rate, 1.0001e6);
    EXPECT_GE(*cap->delivered(1.0).rate, 0.8e6);
  }
}

TEST(cap, a_pace_gets_the_clocks_of_what_is_capped_and_nothing_else) {
  const CapPlan plan{.demand = {.resource = Resource::link}, .requested = 1e9};
  Pace pace;
  const std::unique_ptr<Device> device = open_device("cpu");
  const auto cap = find_cap(Resource::link, "cpu")->install(plan, *device, pace);
  EXPECT_TRUE(pace.link_send != nullptr && pace.link_receive != nullptr &&
              pace.link_send != pace.link_receive);
  EXPECT_TRUE(pace.compute == nullptr && pace.memory == nullptr && pace.network_send == nullptr);
  EXPECT_EQ(find_cap(Resource::link, "toaster"), nullptr);
}

CapRecord cap_record(double before, double during, double after, Resource resource = Resource::memory) {
  CapRecord cap;
  cap.resource = resource;
  cap.mechanism = "resource clock";
  cap.requested = 100.0;
  cap.delivered_before = before;
  cap.delivered_during = during;
  cap.delivered_after = after;
  return cap;
}

TEST(judge, rates_within_two_percent_are_held) {
  EXPECT_EQ(judge(cap_record(99, 100, 101.9)), CapStatus::held);
  EXPECT_EQ(judge(cap_record(100, 20, 100)), CapStatus::held);  // memory that the kernel did not need
}

TEST(judge, more_than_granted_is_leaked) {
  EXPECT_EQ(judge(cap_record(102.1, 100, 100)), CapStatus::leaked);
  EXPECT_EQ(judge(cap_record(100, 102.1, 100)), CapStatus::leaked);
  EXPECT_EQ(judge(cap_record(100, 100, 103)), CapStatus::leaked);
}

TEST(judge, less_than_granted_to_a_probe_is_missed) {
  EXPECT_EQ(judge(cap_record(97, 97, 100)), CapStatus::missed);
  EXPECT_EQ(judge(cap_record(100, 97, 97)), CapStatus::missed);
  EXPECT_EQ(judge(cap_record(100, 97, 100, Resource::link)),
            CapStatus::missed);  // a wire in use has to deliver
  CapRecord bent = cap_record(100, 100, 100);
  bent.linearity_error = 0.03;
  EXPECT_EQ(judge(bent), CapStatus::missed);
}

TEST(judge, without_both_probes_it_is_unverified) {
  CapRecord cap = cap_record(100, 100, 100);
  cap.delivered_after.reset();
  EXPECT_EQ(judge(cap), CapStatus::unverified);
}

TEST(judge, a_native_resource_may_be_five_percent_off) {
  CapRecord cap = cap_record(104, 104, 96);
  cap.mechanism = "native";
  EXPECT_EQ(judge(cap), CapStatus::held);
  EXPECT_EQ(judge([&] { return cap.delivered_after = 106, cap; }()), CapStatus::leaked);
}

TEST(judge, the_hosts_own_silicon_may_be_faster_than_its_ceiling_but_not_slower) {
  CapRecord cap = cap_record(99, 99, 112);
  cap.mechanism = "native";
  cap.target_rate_kind = "ratio";
  cap.delivered_during.reset();
  EXPECT_EQ(judge(cap), CapStatus::held);
  cap.delivered_after = 116;
  EXPECT_EQ(judge(cap), CapStatus::leaked);
  cap.delivered_after = 94;
  EXPECT_EQ(judge(cap), CapStatus::missed);
}

}  // namespace
}  // namespace chokepoint
