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

NvmlGpu first_gpu() { return Nvml::open()->by_index(0); }

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
    EXPECT_THROW(knobs_for(request, false), Error);
  }
  EXPECT_TRUE(script.calls().empty());
}

TEST(privileged_request, nothing_asked_needs_no_consent_and_turns_nothing) {
  EXPECT_EQ(refusal({}, false, "cpu"), "");
  EXPECT_EQ(knobs_for({}, false), nullptr);
  EXPECT_EQ(knobs_for({}, true), nullptr);
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
  const Calls turned = {"GPU-a lock_sm 1200 1200", "GPU-a lock_memory 1593 1593", "GPU-a limit_power 500000",
                        "GPU-a nvlink_mode 3"};
  try {
    const auto knobs = knobs_for(everything(), true);
    EXPECT_TRUE(script.calls().empty());
    turn_knobs(everything(), first_gpu(), *knobs);
    EXPECT_EQ(script.calls(), turned);
    throw std::runtime_error("kernel fault");
  } catch (const std::runtime_error&) {
  }
  const Calls calls = script.calls();
  ASSERT_EQ(calls.size(), 8U);
  EXPECT_EQ(Calls(calls.begin() + 4, calls.end()),
            (Calls{"GPU-a nvlink_mode 0", "GPU-a limit_power 650000", "GPU-a reset_memory", "GPU-a reset_sm"}));
}

TEST(privileged_request, a_refused_knob_takes_back_those_before_it) {
  const FakeNvmlScript script("[gpu]\nuuid = GPU-a\nmissing = limit_w\n");
  {
    const auto knobs = knobs_for(everything(), true);
    EXPECT_THROW(turn_knobs(everything(), first_gpu(), *knobs), Error);
  }
  EXPECT_EQ(script.calls(), (Calls{"GPU-a lock_sm 1200 1200", "GPU-a lock_memory 1593 1593", "GPU-a reset_memory",
                                   "GPU-a reset_sm"}));
}

// What the first GPU refuses of a request; empty when it takes all of it.
std::string refusal_on_gpu(const PrivilegedRequest& request) {
  try {
    check_on(request, first_gpu());
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::config);
    return error.what();
  }
  return "";
}

TEST(privileged_request, a_clock_that_the_gpu_lacks_is_refused_with_the_nearest_ones) {
  const FakeNvmlScript script("[gpu]\nname = Card\nmemory_clocks = 2619 1593\nsm_clocks@1593 = 1200 1000 50\n");
  EXPECT_EQ(refusal_on_gpu({1210e6, {}, {}, {}}),
            "--lock-sm-clock is 1210 MHz, which Card with its memory at 2619 MHz does not support; choose 1215, 1200, "
            "1230 or 1185 MHz; `nvidia-smi -q -d SUPPORTED_CLOCKS` lists all");
  EXPECT_EQ(refusal_on_gpu({{}, 1600e6, {}, {}}),
            "--lock-memory-clock is 1600 MHz, which Card does not support; choose 1593 or 2619 MHz; `nvidia-smi -q -d "
            "SUPPORTED_CLOCKS` lists all");
  EXPECT_EQ(refusal_on_gpu({1215e6, {}, {}, {}}), "");
  EXPECT_NE(refusal_on_gpu({1215e6, 1593e6, {}, {}}).find("memory at 1593 MHz"), std::string::npos);
  EXPECT_EQ(refusal_on_gpu({1150e6, 1593e6, {}, {}}), "");
  EXPECT_NE(refusal_on_gpu({1200.4e6, {}, {}, {}}).find("is 1200.4 MHz"), std::string::npos);
}

TEST(privileged_request, a_power_limit_beyond_the_boards_is_refused_with_its_range) {
  const FakeNvmlScript script("[gpu]\nname = Card\nleast_limit_w = 200\nmost_limit_w = 700\n");
  EXPECT_EQ(refusal_on_gpu({{}, {}, 701.0, {}}),
            "--power-limit is 701 W, which Card does not take; choose 200 to 700 W");
  EXPECT_EQ(refusal_on_gpu({{}, {}, 200.0, {}}), "");
}

TEST(privileged_request, what_the_gpu_does_not_list_is_left_to_the_driver) {
  const FakeNvmlScript script("[gpu]\nuuid = GPU-a\nmissing = memory_clocks sm_clocks least_limit_w\n");
  EXPECT_EQ(refusal_on_gpu({1201e6, 1600e6, 900.0, {}}), "");
}

TEST(privileged_request, nothing_is_turned_when_one_value_is_refused) {
  const FakeNvmlScript script("[gpu]\nuuid = GPU-a\n");
  {
    const PrivilegedRequest request{1200e6, 1593e6, 900.0, {}};
    const auto knobs = knobs_for(request, true);
    EXPECT_THROW(turn_knobs(request, first_gpu(), *knobs), Error);
  }
  EXPECT_TRUE(script.calls().empty());
}

TEST(privileged_request, records_tell_what_was_asked_and_nothing_else) {
  EXPECT_EQ(to_json(PrivilegedRequest{}), Json::object());
  EXPECT_EQ(to_json(PrivilegedRequest{{}, {}, 500.0, "half"}), (Json{{"power_limit_w", 500.0}, {"nvlink_mode", "half"}}));
}

}  // namespace
}  // namespace chokepoint
