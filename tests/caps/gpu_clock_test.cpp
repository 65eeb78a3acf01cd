// Caps kept by clocks in a GPU's memory: what device code finds there, and what is said where the GPU's timer is too
// coarse for what was paced.
#include <gtest/gtest.h>

#include <memory>

#include "harness/caps/cap.hpp"
#include "harness/caps/sm_rate.hpp"
#include "harness/caps/timer_tick.hpp"

namespace chokepoint {
namespace {

// Its memory is the host's.
class GpuOnHost final : public Device {
 public:
  explicit GpuOnHost(Json more = Json::object()) {
    facts_.kind = "cuda";
    facts_.more = std::move(more);
  }
  const DeviceFacts& facts() const override { return facts_; }
  double time_s(const std::function<void()>&) override { return 0.0; }
  double now_s() override { return 0.0; }

 private:
  DeviceFacts facts_;
};

// An engaged cap, and the clock that device code charges.
struct Held {
  GpuOnHost device;
  Pace pace;
  std::unique_ptr<InstalledCap> cap;

  explicit Held(const CapPlan& plan, Json more = Json::object()) : device(std::move(more)) {
    cap = find_cap(plan.demand.resource, "cuda")->install(plan, device, pace);
    cap->engage();
  }
  DeviceClock& clock() { return *(pace.link_receive != nullptr ? pace.link_receive : other())->on_device(); }

 private:
  ResourceClock* other() const { return pace.network_receive != nullptr ? pace.network_receive : pace.memory; }
};

CapPlan plan_of(Resource resource, double target_rate, double requested) {
  return {.demand = {.resource = resource, .target_rate = target_rate}, .requested = requested, .ceiling = 1e12};
}

double sm_rate_seen(Held& held) { return 1e12 / held.clock().ps_per_unit_of_sm; }

TEST(gpu_clock, a_multiprocessor_sends_over_a_link_what_the_target_s_would_slowed_as_all_else_is) {
  Held undilated(plan_of(Resource::link, 160e9, 160e9));
  EXPECT_DOUBLE_EQ(sm_rate_seen(undilated), 38.7e9);
  EXPECT_DOUBLE_EQ(undilated.pace.link_send->on_device()->ps_per_unit_of_sm, undilated.clock().ps_per_unit_of_sm);
  Held dilated(plan_of(Resource::link, 450e9, 225e9));  // d = 2
  EXPECT_DOUBLE_EQ(sm_rate_seen(dilated), 19.35e9);
  EXPECT_TRUE(dilated.cap->retune(plan_of(Resource::link, 400e9, 100e9)));  // d = 4
  dilated.cap->engage();
  EXPECT_DOUBLE_EQ(sm_rate_seen(dilated), 9.675e9);
}

TEST(gpu_clock, a_plan_may_say_what_a_multiprocessor_of_the_target_sends) {
  CapPlan plan = plan_of(Resource::link, 160e9, 80e9);
  plan.setting = 20e9;
  Held held(plan);
  EXPECT_DOUBLE_EQ(sm_rate_seen(held), 10e9);
  Held without_target(plan_of(Resource::link, 0.0, 80e9));  // as calibrate asks
  EXPECT_DOUBLE_EQ(sm_rate_seen(without_target), 38.7e9);
}

TEST(gpu_clock, multiprocessors_are_as_fast_as_they_can_where_no_link_is_held) {
  for (Resource resource : {Resource::network, Resource::memory}) {
    Held held(plan_of(resource, 50e9, 50e9));
    EXPECT_GT(held.clock().ps_per_unit, 0.0);
    EXPECT_EQ(held.clock().ps_per_unit_of_sm, 0.0) << to_string(resource);
  }
  Held link(plan_of(Resource::link, 160e9, 160e9));
  link.cap->release();
  EXPECT_EQ(link.clock().ps_per_unit_of_sm, 0.0);
}

// 1000 messages over a link of 160 GB/s, each of so many bytes, as fast as it is.
std::optional<std::string> complaint_about(double message_bytes, Json tick_ns) {
  Held held(plan_of(Resource::link, 160e9, 160e9), {{"globaltimer_tick_ns", std::move(tick_ns)}});
  held.clock().charged = static_cast<std::uint64_t>(1000 * message_bytes);
  held.clock().messages = 1000;
  held.clock().active_ps = static_cast<std::uint64_t>(1000 * message_bytes / 160e9 * 1e12);
  const Delivered delivered = held.cap->delivered(1.0);
  EXPECT_NEAR(*delivered.rate, 160e9, 1e6);
  return too_short_for_timer(delivered, 1e-3, held.cap->tolerance());
}

// 4 MiB take 26.2 us, and 2 % of that are 524 ns; 16 MiB take 104.9 us.
TEST(gpu_clock, a_timer_that_is_too_coarse_for_messages_is_found_though_their_rate_looks_right) {
  const std::optional<std::string> complaint = complaint_about(4 << 20, 1000);
  ASSERT_TRUE(complaint);
  EXPECT_EQ(*complaint,
            "messages of 26.2 us cannot be held within 2 %: the GPU's timer ticks every 1.00 us, and 50.0 us are the "
            "least it takes");
  EXPECT_FALSE(complaint_about(16 << 20, 1000));
  EXPECT_FALSE(complaint_about(4 << 20, 32));
  EXPECT_TRUE(complaint_about(128 << 10, 32));    // 0.8 us
  EXPECT_FALSE(complaint_about(4 << 20, nullptr));  // a device that could not say
}

TEST(too_short_for_timer, launches_count_where_their_clock_may_have_held_them) {
  Delivered delivered{.charged = 1.0, .rate = 1.0, .busy_share = 0.97, .tick_s = 1e-6};
  EXPECT_TRUE(too_short_for_timer(delivered, 30e-6, 0.02));   // a tick is 3.3 %: all of the time, as far as can be told
  EXPECT_FALSE(too_short_for_timer(delivered, 60e-6, 0.02));  // 1.7 %
  delivered.busy_share = 0.9;
  EXPECT_FALSE(too_short_for_timer(delivered, 30e-6, 0.02));  // something else decided
  EXPECT_TRUE(too_short_for_timer(delivered, 5e-6, 0.02));    // unless a tick was all that was missing
  delivered.tick_s = 0.0;
  EXPECT_FALSE(too_short_for_timer(delivered, 5e-6, 0.02));
}

}  // namespace
}  // namespace chokepoint
