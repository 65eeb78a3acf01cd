// What a cap says about a run: what becomes of it in the target's record.
#include "harness/run/cap_probes.hpp"

#include <gtest/gtest.h>

#include "tests/run/fake_device.hpp"

namespace chokepoint {
namespace {

class Paced final : public InstalledCap {
 public:
  explicit Paced(Delivered delivered) : delivered_(delivered) {}
  void engage() override {}
  void release() noexcept override {}
  void reset_tally() override {}
  Delivered delivered(double) const override { return delivered_; }

 private:
  Delivered delivered_;
};

// Ten launches of 100 us that sent 1000 bytes each.
std::vector<std::string> complaints_after(const Delivered& delivered) {
  Arm arm;
  arm.plans = {{.demand = {.resource = Resource::link}, .requested = 1e9}};
  arm.cap_records.emplace_back();
  arm.caps.push_back(std::make_unique<Paced>(delivered));
  arm.record.work.link_bytes = 1000.0;
  FakeDevice device([](std::size_t) { return 1e-4; });
  arm.timer = device.timer({[] {}});
  arm.rule.emplace(SamplingPlan{});
  for (int i = 0; i < 10; ++i) arm.rule->add(1e-4, 0.0);
  arm.sampled_s = 1e-3;
  note_delivered(arm);
  EXPECT_EQ(arm.cap_records[0].delivered_during, delivered.rate);
  return arm.complaints;
}

TEST(cap_probes, a_run_whose_timer_was_too_coarse_is_complained_about) {
  Delivered delivered{.charged = 10'000.0, .rate = 1e9, .busy_share = 0.5, .tick_s = 1e-6, .owed_per_message_s = 1e-5};
  const std::vector<std::string> complaints = complaints_after(delivered);
  ASSERT_EQ(complaints.size(), 1U);
  EXPECT_EQ(complaints[0].find("link cap: messages of 10.0 us cannot be held within 2 %"), 0U) << complaints[0];
  delivered.tick_s = 32e-9;
  EXPECT_TRUE(complaints_after(delivered).empty());
}

TEST(cap_probes, a_kernel_that_charged_less_than_its_work_is_complained_about) {
  EXPECT_EQ(complaints_after({.charged = 9'700.0, .rate = 1e9}).size(), 1U);
  EXPECT_TRUE(complaints_after({.charged = 9'900.0, .rate = 1e9}).empty());
}

}  // namespace
}  // namespace chokepoint
