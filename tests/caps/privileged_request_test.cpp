// What a run asks for of the knobs that only root may turn: refused without consent, set, told, put back.
#include "harness/caps/privileged_request.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "harness/base/error.hpp"
#include "tests/fake_nvml/script.hpp"

namespace chokepoint {
namespace {

using Calls = std::vector<std::string>;

PrivilegedRequest everything() { return {1200e6, 1593e6, 500.0, "half"}; }

std::string refusal(const PrivilegedRequest& request, bool allow_privileged, const std::string& device) {
  try {
    check(request, allow_privileged, device);
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::config);
    return error.what();
  }
  return "";
}

TEST(privileged_request, each_knob_alone_is_refused_without_consent) {
  const FakeNvmlScript script("[gpu]\nuuid = GPU-a\n");
  for (const PrivilegedRequest& request :
       {PrivilegedRequest{1200e6, {}, {}, {}}, PrivilegedRequest{{}, 1593e6, {}, {}},
        PrivilegedRequest{{}, {}, 500.0, {}}, PrivilegedRequest{{}, {}, {}, "half"}}) {
    EXPECT_NE(refusal(request, false, "cuda:0").find("--allow-privileged"), std::string::npos);
    EXPECT_EQ(refusal(request, true, "cuda:0"), "");
    EXPECT_THROW(static_cast<void>(turn_knobs(request, false, Nvml::open()->by_index(0))), Error);
  }
  EXPECT_TRUE(script.calls().empty());
}

TEST(privileged_request, nothing_asked_needs_no_consent_and_turns_nothing) {
  const FakeNvmlScript script("[gpu]\nuuid = GPU-a\n");
  EXPECT_EQ(refusal({}, false, "cpu"), "");
  EXPECT_TRUE(turn_knobs({}, false, Nvml::open()->by_index(0)).empty());
  EXPECT_TRUE(script.calls().empty());
}

TEST(privileged_request, what_makes_no_sense_is_refused) {
  EXPECT_NE(refusal(everything(), true, "cpu").find("cpu"), std::string::npos);
  EXPECT_NE(refusal({0.0, {}, {}, {}}, true, "cuda:0").find("--lock-sm-clock"), std::string::npos);
  EXPECT_NE(refusal({{}, -1.0, {}, {}}, true, "cuda:0").find("--lock-memory-clock"), std::string::npos);
  EXPECT_NE(refusal({{}, {}, 0.0, {}}, true, "cuda:0").find("--power-limit"), std::string::npos);
  EXPECT_NE(refusal({{}, {}, {}, "third"}, true, "cuda:0").find("three-quarter"), std::string::npos);
}

TEST(privileged_request, everything_is_set_and_goes_back_when_the_run_throws) {
  const FakeNvmlScript script("[gpu]\nuuid = GPU-a\nlimit_w = 650\n");
  try {
    const auto guards = turn_knobs(everything(), true, Nvml::open()->by_index(0));
    EXPECT_EQ(script.calls(), (Calls{"GPU-a lock_sm 1200 1200", "GPU-a lock_memory 1593 1593",
                                     "GPU-a limit_power 500000", "GPU-a nvlink_mode 3"}));
    throw std::runtime_error("kernel fault");
  } catch (const std::runtime_error&) {
  }
  const Calls calls = script.calls();
  ASSERT_EQ(calls.size(), 8U);
  for (const char* back : {"GPU-a reset_sm", "GPU-a reset_memory", "GPU-a limit_power 650000", "GPU-a nvlink_mode 0"})
    EXPECT_EQ(std::count(calls.begin() + 4, calls.end(), back), 1) << back;
}

TEST(privileged_request, a_refused_knob_takes_back_those_before_it) {
  const FakeNvmlScript script("[gpu]\nuuid = GPU-a\nmissing = limit_w\n");
  EXPECT_THROW(static_cast<void>(turn_knobs(everything(), true, Nvml::open()->by_index(0))), Error);
  const Calls calls = script.calls();
  ASSERT_EQ(calls.size(), 4U);
  EXPECT_EQ(std::count(calls.begin(), calls.end(), "GPU-a reset_sm"), 1);
  EXPECT_EQ(std::count(calls.begin(), calls.end(), "GPU-a reset_memory"), 1);
}

TEST(privileged_request, records_tell_what_was_asked_and_nothing_else) {
  EXPECT_EQ(to_json(PrivilegedRequest{}), Json::object());
  EXPECT_EQ(to_json(PrivilegedRequest{{}, {}, 500.0, "half"}), (Json{{"power_limit_w", 500.0}, {"nvlink_mode", "half"}}));
}

}  // namespace
}  // namespace chokepoint
