// The roofline: the slowest resource decides, resources without a rate do not.
#include "harness/model/roofline.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

Roof roof(double flop_per_s, double memory_bytes_per_s) {
  Roof roof;
  roof.rate[Resource::compute] = flop_per_s;
  roof.rate[Resource::memory] = memory_bytes_per_s;
  return roof;
}

TEST(roofline, the_slowest_resource_decides) {
  // 1e12 FLOP at 1e14/s: 10 ms; 1e10 B at 2e12/s: 5 ms.
  const Work work{.flop = 1e12, .memory_bytes = 1e10};
  EXPECT_DOUBLE_EQ(roofline_time_s(work, roof(1e14, 2e12)), 0.010);
  EXPECT_EQ(bound_by(work, roof(1e14, 2e12)), Resource::compute);
  EXPECT_DOUBLE_EQ(roofline_time_s(work, roof(1e14, 1e11)), 0.100);
  EXPECT_EQ(bound_by(work, roof(1e14, 1e11)), Resource::memory);
}

TEST(roofline, link_and_network_are_roofs_too_and_latency_is_not) {
  const Work work{
      .flop = 1e9, .link_bytes = 4e9, .network_bytes = 1e9, .link_messages = 1e6, .network_messages = 1e6};
  Roof all = roof(1e12, 1e12);
  all.rate[Resource::link] = 160e9;    // 25 ms
  all.rate[Resource::network] = 50e9;  // 20 ms
  EXPECT_DOUBLE_EQ(roofline_time_s(work, all), 0.025);
  EXPECT_EQ(bound_by(work, all), Resource::link);
  all.rate[Resource::network] = 25e9;  // 40 ms
  EXPECT_DOUBLE_EQ(roofline_time_s(work, all), 0.040);
  EXPECT_EQ(bound_by(work, all), Resource::network);
}

TEST(roofline, a_resource_without_a_rate_is_no_limit) {
  const Work work{.flop = 1e12, .memory_bytes = 1e10, .link_bytes = 1e15};
  EXPECT_EQ(bound_by(work, roof(1e14, 2e12)), Resource::compute);
  EXPECT_EQ(roofline_time_s(work, Roof{}), 0);
  EXPECT_EQ(bound_by(work, Roof{}), std::nullopt);
  EXPECT_EQ(bound_by(Work{}, roof(1e14, 2e12)), std::nullopt);
}

TEST(roofline, half_the_rate_takes_twice_the_time) {
  const Work work{.flop = 3e12, .memory_bytes = 1};
  EXPECT_DOUBLE_EQ(roofline_time_s(work, roof(5e13, 1e12)), 2 * roofline_time_s(work, roof(1e14, 1e12)));
}

TEST(roofline, rates_and_work_that_make_no_sense_are_errors) {
  const Work work{.flop = 1e12};
  for (double rate : {0.0, -1.0, std::nan(""), HUGE_VAL}) {
    EXPECT_THROW(roofline_time_s(work, roof(rate, 1e12)), Error) << rate;
    EXPECT_THROW(bound_by(work, roof(rate, 1e12)), Error) << rate;
  }
  for (double flop : {-1.0, std::nan(""), HUGE_VAL})
    EXPECT_THROW(roofline_time_s(Work{.flop = flop}, roof(1e14, 1e12)), Error) << flop;
}

}  // namespace
}  // namespace chokepoint
