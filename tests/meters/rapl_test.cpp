// RAPL: packages are summed, sub-domains are not, wraps are undone, and what cannot be read is absent.
#include "harness/meters/rapl.hpp"

#include "harness/meters/power_polls.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

class RaplTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(root_); }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void write(const std::string& domain, double energy_uj, double range_uj = 1e9) const {
    std::filesystem::create_directories(root_ + "/" + domain);
    std::ofstream(root_ + "/" + domain + "/energy_uj") << std::fixed << energy_uj;
    std::ofstream(root_ + "/" + domain + "/max_energy_range_uj") << std::fixed << range_uj;
  }

  const std::string root_ = "/tmp/chokepoint_rapl." + std::to_string(::getpid());
};

TEST_F(RaplTest, packages_are_summed_and_sub_domains_are_not) {
  write("intel-rapl:0", 1e6);
  write("intel-rapl:0:0", 5e6);  // core, inside package 0
  write("intel-rapl:1", 2e6);
  const auto counter = open_rapl(root_);
  ASSERT_NE(counter, nullptr);
  EXPECT_DOUBLE_EQ(counter->joule(), 0.0);
  write("intel-rapl:0", 4e6);
  write("intel-rapl:0:0", 9e6);
  write("intel-rapl:1", 2.5e6);
  EXPECT_DOUBLE_EQ(counter->joule(), 3.5);  // 3 J + 0.5 J
}

TEST_F(RaplTest, a_counter_that_wraps_goes_on_counting) {
  write("intel-rapl:0", 9e6, 10e6);
  const auto counter = open_rapl(root_);
  write("intel-rapl:0", 1e6, 10e6);
  EXPECT_DOUBLE_EQ(counter->joule(), 2.0);  // 1 J up to the wrap, 1 J after it
}

// 10 W for a second, then 30 W for another, read every half second.
TEST_F(RaplTest, polls_between_launches_become_a_trace_of_power) {
  write("intel-rapl:0", 0);
  const auto counter = open_rapl(root_);
  PowerPolls polls(*counter, "rapl", 100.0, 0.5);
  for (const double t_s : {0.25, 0.5, 1.0, 1.5}) {
    write("intel-rapl:0", 1e6 * (10 * std::min(t_s, 1.0) + 30 * std::max(0.0, t_s - 1.0)));
    polls.poll(100.0 + t_s);
  }
  write("intel-rapl:0", 40e6);
  EXPECT_DOUBLE_EQ(polls.finish(102.0), 40.0);
  const std::optional<RecordedTrace> trace = polls.trace();
  ASSERT_TRUE(trace);
  ASSERT_EQ(trace->points.size(), 4U) << "a reading that comes too soon is left for the next";
  EXPECT_DOUBLE_EQ(trace->points[0].t_s, 0.25);
  EXPECT_DOUBLE_EQ(trace->points[0].power_w, 10.0);
  EXPECT_DOUBLE_EQ(trace->points[3].t_s, 1.75);
  EXPECT_DOUBLE_EQ(trace->points[3].power_w, 30.0);
  EXPECT_DOUBLE_EQ(trace->windows_s.at(0).high, 2.0);
  EXPECT_EQ(trace->source, "rapl");
}

TEST_F(RaplTest, a_run_shorter_than_two_readings_has_no_trace) {
  write("intel-rapl:0", 0);
  const auto counter = open_rapl(root_);
  PowerPolls polls(*counter, "rapl", 0.0, 0.5);
  polls.finish(0.1);
  EXPECT_FALSE(polls.trace());
}

TEST_F(RaplTest, nothing_to_read_is_absent_and_a_loss_is_an_error) {
  EXPECT_EQ(open_rapl(root_), nullptr);
  EXPECT_EQ(open_rapl(root_ + "/nowhere"), nullptr);
  write("intel-rapl:0", 1e6);
  const auto counter = open_rapl(root_);
  std::filesystem::remove_all(root_ + "/intel-rapl:0");
  EXPECT_THROW(counter->joule(), Error);
}

}  // namespace
}  // namespace chokepoint
