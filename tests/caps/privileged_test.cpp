// Knobs that only root may turn: what was turned goes back on every way out, and nothing turns without consent.
#include "harness/caps/privileged.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "harness/base/error.hpp"
#include "tests/fake_nvml/script.hpp"

namespace chokepoint {
namespace {

using Calls = std::vector<std::string>;

PrivilegedKnobs knobs() { return {*PrivilegedConsent::from_flag(true), Nvml::open()->by_index(0)}; }

TEST(privileged, consent_comes_only_from_the_flag) {
  EXPECT_FALSE(PrivilegedConsent::from_flag(false).has_value());
  EXPECT_TRUE(PrivilegedConsent::from_flag(true).has_value());
  static_assert(!std::is_default_constructible_v<PrivilegedConsent>);
  static_assert(!std::is_constructible_v<PrivilegedKnobs, bool, NvmlGpu>);
  static_assert(!std::is_copy_constructible_v<PrivilegedGuard>);
}

TEST(privileged, knobs_go_back_in_reverse_order_when_guards_end) {
  const FakeNvmlScript script("[gpu]\nuuid = GPU-a\nlimit_w = 650\n");
  {
    PrivilegedKnobs gpu = knobs();
    const PrivilegedGuard sm = gpu.lock_sm_clock(1200e6, 1400e6);
    const PrivilegedGuard memory = gpu.lock_memory_clock(1593e6, 1593e6);
    const PrivilegedGuard power = gpu.limit_power(500.0);
    const PrivilegedGuard link = gpu.set_nvlink_bandwidth_mode(3);
    EXPECT_EQ(script.calls(), (Calls{"GPU-a lock_sm 1200 1400", "GPU-a lock_memory 1593 1593",
                                     "GPU-a limit_power 500000", "GPU-a nvlink_mode 3"}));
  }
  const Calls calls = script.calls();
  EXPECT_EQ(Calls(calls.begin() + 4, calls.end()),
            (Calls{"GPU-a nvlink_mode 0", "GPU-a limit_power 650000", "GPU-a reset_memory", "GPU-a reset_sm"}));
}

TEST(privileged, knobs_go_back_when_the_measurement_throws) {
  const FakeNvmlScript script("[gpu]\nuuid = GPU-a\n");
  try {
    const PrivilegedGuard sm = knobs().lock_sm_clock(1200e6, 1200e6);
    throw std::runtime_error("kernel fault");
  } catch (const std::runtime_error&) {
  }
  EXPECT_EQ(script.calls(), (Calls{"GPU-a lock_sm 1200 1200", "GPU-a reset_sm"}));
}

TEST(privileged, a_knob_goes_back_once_however_its_guard_moves) {
  const FakeNvmlScript script("[gpu]\nuuid = GPU-a\n");
  {
    PrivilegedGuard first = knobs().lock_sm_clock(1200e6, 1200e6);
    PrivilegedGuard second = std::move(first);
    second.restore();
    second.restore();
    EXPECT_EQ(script.calls(), (Calls{"GPU-a lock_sm 1200 1200", "GPU-a reset_sm"}));
  }
  EXPECT_EQ(script.calls().size(), 2U);
  {
    PrivilegedGuard guard = knobs().lock_sm_clock(1000e6, 1000e6);
    guard = knobs().lock_memory_clock(1593e6, 1593e6);
    EXPECT_EQ(script.calls().back(), "GPU-a reset_sm");  // what it held before
  }
  EXPECT_EQ(script.calls().back(), "GPU-a reset_memory");
}

TEST(privileged, a_refusal_names_the_remedy_and_leaves_nothing_to_put_back) {
  const FakeNvmlScript script("[gpu]\nforbidden = 1\n");
  try {
    const PrivilegedGuard guard = knobs().lock_sm_clock(1200e6, 1200e6);
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::device);
    EXPECT_EQ(std::string(error.what()),
              "NVML cannot lock the SM clock to 1200 to 1200 MHz: Insufficient Permissions (code 4); run as root, or "
              "have the container started with this permission");
  }
  EXPECT_TRUE(script.calls().empty());
}

TEST(privileged, a_limit_that_cannot_be_read_is_not_changed) {
  const FakeNvmlScript script("[gpu]\nmissing = limit_w\n");
  EXPECT_THROW(static_cast<void>(knobs().limit_power(500.0)), Error);
  EXPECT_TRUE(script.calls().empty());
}

// Runs `program` in a process of its own and returns how it ended, as waitpid tells it.
int ended(const std::function<void()>& program) {
  const pid_t child = ::fork();
  if (child == 0) {
    program();
    ::_exit(99);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

TEST(privileged, ending_signals_put_everything_back_and_then_end_the_process) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
    const FakeNvmlScript script("[gpu]\nuuid = GPU-a\n");
    const int status = ended([&] {
      PrivilegedKnobs gpu = knobs();
      const PrivilegedGuard sm = gpu.lock_sm_clock(1200e6, 1200e6);
      const PrivilegedGuard power = gpu.limit_power(500.0);
      ::kill(::getpid(), signal);
      ::sleep(20);
    });
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == signal) << status;
    EXPECT_EQ(script.calls(), (Calls{"GPU-a lock_sm 1200 1200", "GPU-a limit_power 500000", "GPU-a limit_power 700000",
                                     "GPU-a reset_sm"}));
  }
}

TEST(privileged, a_fork_that_exits_leaves_the_knobs_to_the_parent) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "ThreadSanitizer's own handler loses a signal that a handler raises again";
#endif
  const FakeNvmlScript script("[gpu]\nuuid = GPU-a\n");
  {
    PrivilegedGuard sm = knobs().lock_sm_clock(1200e6, 1200e6);
    EXPECT_EQ(WEXITSTATUS(ended([] { ::exit(3); })), 3);
    const int status = ended([] { ::kill(::getpid(), SIGTERM), ::sleep(20); });
    EXPECT_EQ(WTERMSIG(status), SIGTERM);
    EXPECT_EQ(script.calls(), (Calls{"GPU-a lock_sm 1200 1200"}));
  }
  EXPECT_EQ(script.calls().back(), "GPU-a reset_sm");
}

TEST(privileged, a_child_that_is_killed_leaves_the_knobs_to_the_parent) {
  const FakeNvmlScript script("[gpu]\nuuid = GPU-a\n");
  const int status = ended([&] {
    const PrivilegedGuard sm = knobs().lock_sm_clock(1200e6, 1200e6);
    const int killed = ended([] { ::kill(::getpid(), SIGKILL); });
    if (!WIFSIGNALED(killed)) ::_exit(1);
    ::exit(7);  // the guard is still alive: exit() does not end it
  });
  EXPECT_EQ(WEXITSTATUS(status), 7);
  EXPECT_EQ(script.calls(), (Calls{"GPU-a lock_sm 1200 1200", "GPU-a reset_sm"}));
}

}  // namespace
}  // namespace chokepoint
