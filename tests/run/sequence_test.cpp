// The measuring sequence: which steps, in which order, and that caps are lifted whatever fails.
#include "harness/run/sequence.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace chokepoint {
namespace {

class FakeDriver {
 public:
  explicit FakeDriver(std::string failing = "") : failing_(std::move(failing)) {}
  void begins(const char* name) { begun.emplace_back(name); }
  void prepare() { step("prepare"); }
  void verify() { step("verify"); }
  void warm_up() { step("warm_up"); }
  void probe_before() { step("probe_before"); }
  void engage() { step("engage"); }
  void sample() { step("sample"); }
  void measure_energy() { step("measure_energy"); }
  void release() noexcept { steps.emplace_back("release"); }
  void verify_output() { step("verify_output"); }
  void probe_after() { step("probe_after"); }
  void conclude() { step("conclude"); }

  std::vector<std::string> steps, begun;

 private:
  void step(const char* name) {
    steps.emplace_back(name);
    if (name == failing_) throw std::runtime_error(name);
  }
  std::string failing_;
};

using Steps = std::vector<std::string>;

TEST(sequence, verifies_before_it_measures_and_probes_on_both_sides) {
  FakeDriver driver;
  measure(driver);
  EXPECT_EQ(driver.steps, (Steps{"prepare", "verify", "probe_before", "warm_up", "engage", "sample",
                                 "measure_energy", "release", "verify_output", "probe_after", "conclude"}));
}

TEST(sequence, each_step_is_announced_by_its_name) {
  FakeDriver driver;
  measure(driver);
  std::erase(driver.steps, "release");  // part of leaving `measure_energy`
  EXPECT_EQ(driver.begun, driver.steps);
}

TEST(sequence, a_wrong_result_is_never_measured) {
  FakeDriver driver("verify");
  EXPECT_THROW(measure(driver), std::runtime_error);
  EXPECT_EQ(driver.steps, (Steps{"prepare", "verify"}));
}

TEST(sequence, the_cap_is_lifted_when_the_kernel_throws) {
  FakeDriver driver("sample");
  EXPECT_THROW(measure(driver), std::runtime_error);
  EXPECT_EQ(driver.steps.back(), "release");
}

TEST(sequence, the_cap_is_lifted_when_engaging_fails_half_way) {
  FakeDriver driver("engage");
  EXPECT_THROW(measure(driver), std::runtime_error);
  EXPECT_EQ(driver.steps.back(), "release");
}

TEST(sequence, a_wrong_timed_output_is_found_with_caps_lifted) {
  FakeDriver driver("verify_output");
  EXPECT_THROW(measure(driver), std::runtime_error);
  EXPECT_EQ(driver.steps, (Steps{"prepare", "verify", "probe_before", "warm_up", "engage", "sample",
                                 "measure_energy", "release", "verify_output"}));
}

}  // namespace
}  // namespace chokepoint
