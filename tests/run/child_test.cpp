// Child processes: output arrives whole, crashes and hangs are told apart, and nothing waits for ever.
#include "harness/run/child.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace chokepoint {
namespace {

ChildOutcome shell(const std::string& script, double timeout_s = 20.0, const std::string& input = "") {
  return run_child({"/bin/sh", "-c", script}, input, timeout_s);
}

TEST(child, lines_arrive_and_an_unfinished_one_does_not) {
  const ChildOutcome outcome = shell("echo one; echo two; printf thr");
  EXPECT_EQ(outcome.lines, (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(outcome.trouble, "");
}

TEST(child, input_larger_than_a_pipe_gets_through) {
  const std::string input(1 << 20, 'x');
  EXPECT_EQ(shell("wc -c", 20.0, input).lines.at(0), std::to_string(input.size()));
}

TEST(child, a_child_that_does_not_read_does_not_hurt) {
  EXPECT_EQ(shell("exit 0", 20.0, std::string(1 << 20, 'x')).trouble, "");
}

TEST(child, a_crash_names_its_signal_and_keeps_what_was_said) {
  const ChildOutcome outcome = shell("echo before; kill -SEGV $$");
  EXPECT_EQ(outcome.lines, (std::vector<std::string>{"before"}));
  EXPECT_NE(outcome.trouble.find("crashed (signal 11"), std::string::npos) << outcome.trouble;
}

TEST(child, an_exit_code_is_reported) { EXPECT_EQ(shell("exit 3").trouble, "ended with exit code 3"); }

TEST(child, a_program_that_is_not_there_is_an_exit_code) {
  EXPECT_EQ(run_child({"/nowhere/at/all"}, "", 5.0).trouble, "ended with exit code 127");
}

TEST(child, a_hang_is_stopped) {
  const auto start = std::chrono::steady_clock::now();
  const ChildOutcome outcome = shell("exec sleep 100", 0.5);
  EXPECT_NE(outcome.trouble.find("timed out"), std::string::npos) << outcome.trouble;
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(child, one_that_closes_its_output_and_goes_on_is_stopped_too) {
  const auto start = std::chrono::steady_clock::now();
  EXPECT_NE(shell("exec 1>&-; exec sleep 100").trouble.find("timed out"), std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(15));
}

}  // namespace
}  // namespace chokepoint
