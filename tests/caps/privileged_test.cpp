// Knobs that only root may turn: what was turned goes back on every way out, and nothing turns without consent.
#include "harness/caps/privileged.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "harness/base/error.hpp"
#include "tests/fake_nvml/script.hpp"

namespace chokepoint {
namespace {

using Calls = std::vector<std::string>;

constexpr const char* kOneGpu = "[gpu]\nuuid = GPU-a\nlimit_w = 650\n";
const Calls kTurned = {"GPU-a lock_sm 1200 1400", "GPU-a lock_memory 1593 1593", "GPU-a limit_power 500000",
                       "GPU-a nvlink_mode 3"};
const Calls kBack = {"GPU-a nvlink_mode 0", "GPU-a limit_power 650000", "GPU-a reset_memory", "GPU-a reset_sm"};

Calls turned_and_back() {
  Calls calls = kTurned;
  calls.insert(calls.end(), kBack.begin(), kBack.end());
  return calls;
}

void turn_all(PrivilegedKnobs& knobs) {
  knobs.lock_sm_clock("GPU-a", 1200e6, 1400e6);
  knobs.lock_memory_clock("GPU-a", 1593e6, 1593e6);
  knobs.limit_power("GPU-a", 500.0);
  knobs.set_nvlink_bandwidth_mode(3);
}

// Runs `program` in a process of its own, which leaves no core file and hangs no longer than 30 s, and returns its id.
pid_t started(const std::function<void()>& program) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::alarm(30);
  program();
  ::_exit(0);
}

int end_of(pid_t process) {
  int status = 0;
  ::waitpid(process, &status, 0);
  return status;
}

PrivilegedConsent consent() { return *PrivilegedConsent::from_flag(true); }

TEST(privileged, consent_comes_only_from_the_flag) {
  EXPECT_FALSE(PrivilegedConsent::from_flag(false).has_value());
  EXPECT_TRUE(PrivilegedConsent::from_flag(true).has_value());
  static_assert(!std::is_default_constructible_v<PrivilegedConsent>);
  static_assert(!std::is_default_constructible_v<PrivilegedKnobs> && !std::is_constructible_v<PrivilegedKnobs, bool>);
  static_assert(!std::is_copy_constructible_v<PrivilegedKnobs>);
}

TEST(privileged, knobs_go_back_last_first_when_their_owner_ends) {
  const FakeNvmlScript script(kOneGpu);
  {
    PrivilegedKnobs knobs(consent());
    EXPECT_TRUE(script.calls().empty());
    turn_all(knobs);
    EXPECT_EQ(script.calls(), kTurned);
  }
  EXPECT_EQ(script.calls(), turned_and_back());
  EXPECT_TRUE(::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD) << "no zombie";
}

TEST(privileged, knobs_go_back_when_the_measurement_throws) {
  const FakeNvmlScript script(kOneGpu);
  try {
    PrivilegedKnobs knobs(consent());
    turn_all(knobs);
    throw std::runtime_error("kernel fault");
  } catch (const std::runtime_error&) {
  }
  EXPECT_EQ(script.calls(), turned_and_back());
}

TEST(privileged, what_is_put_back_by_hand_goes_back_once_and_can_be_turned_again) {
  const FakeNvmlScript script(kOneGpu);
  {
    PrivilegedKnobs knobs(consent());
    turn_all(knobs);
    knobs.put_back();
    EXPECT_EQ(script.calls(), turned_and_back());
    knobs.put_back();
    EXPECT_EQ(script.calls(), turned_and_back());
    knobs.lock_sm_clock("GPU-a", 1000e6, 1000e6);
  }
  Calls calls = turned_and_back();
  calls.insert(calls.end(), {"GPU-a lock_sm 1000 1000", "GPU-a reset_sm"});
  EXPECT_EQ(script.calls(), calls);
}

TEST(privileged, a_refusal_names_the_remedy_and_leaves_nothing_to_put_back) {
  const FakeNvmlScript script("[gpu]\nuuid = GPU-a\nforbidden = 1\n");
  try {
    PrivilegedKnobs(consent()).lock_sm_clock("GPU-a", 1200e6, 1200e6);
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::device);
    EXPECT_EQ(std::string(error.what()),
              "NVML cannot lock the SM clock to 1200 to 1200 MHz: Insufficient Permissions (code 4); run as root, or "
              "have the container started with this permission");
  }
  EXPECT_TRUE(script.calls().empty());
}

TEST(privileged, a_refused_knob_is_not_put_back) {
  const std::string obstacle = "/tmp/chokepoint_obstacle." + std::to_string(::getpid());
  const FakeNvmlScript script(std::string(kOneGpu) + "forbidden_while = " + obstacle + "\n");
  {
    PrivilegedKnobs knobs(consent());
    std::ofstream(obstacle).put('x');
    EXPECT_THROW(knobs.lock_sm_clock("GPU-a", 1200e6, 1200e6), Error);
    ::unlink(obstacle.c_str());
  }
  EXPECT_TRUE(script.calls().empty());
}

TEST(privileged, a_limit_that_cannot_be_read_is_not_changed) {
  const FakeNvmlScript script("[gpu]\nuuid = GPU-a\nmissing = limit_w\n");
  EXPECT_THROW(PrivilegedKnobs(consent()).limit_power("GPU-a", 500.0), Error);
  EXPECT_TRUE(script.calls().empty());
}

TEST(privileged, what_the_driver_refuses_to_put_back_is_told_and_tried_again) {
  const std::string obstacle = "/tmp/chokepoint_obstacle." + std::to_string(::getpid());
  const FakeNvmlScript script(std::string(kOneGpu) + "forbidden_while = " + obstacle + "\n");
  pid_t remover = -1;
  {
    PrivilegedKnobs knobs(consent());
    turn_all(knobs);
    std::ofstream(obstacle).put('x');
    EXPECT_THROW(knobs.put_back(), Error);
    EXPECT_EQ(script.calls(), kTurned);
    remover = started([&] { ::usleep(300'000), ::unlink(obstacle.c_str()); });
  }
  EXPECT_EQ(script.calls(), turned_and_back());
  end_of(remover);
}

// One process may have one keeper; zero when it has none.
pid_t only_child() {
  pid_t child = 0;
  const std::string self = std::to_string(::getpid());
  std::ifstream("/proc/" + self + "/task/" + self + "/children") >> child;
  return child;
}

TEST(privileged, the_keeper_is_out_of_reach_of_terminals_and_of_polite_signals) {
  const FakeNvmlScript script(kOneGpu);
  {
    PrivilegedKnobs knobs(consent());
    turn_all(knobs);
    const pid_t keeper = only_child();
    ASSERT_GT(keeper, 0);
    EXPECT_EQ(::getsid(keeper), keeper);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE}) ::kill(keeper, signal);
    EXPECT_EQ(script.calls(), kTurned);
  }
  EXPECT_EQ(script.calls(), turned_and_back());
}

TEST(privileged, a_keeper_that_was_killed_is_told_and_not_waited_for) {
  const FakeNvmlScript script(kOneGpu);
  PrivilegedKnobs knobs(consent());
  turn_all(knobs);
  const pid_t keeper = only_child();
  ASSERT_GT(keeper, 0);
  ::kill(keeper, SIGKILL);
  try {
    knobs.put_back();
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::device);
    EXPECT_NE(error.remedy().find("nvidia-smi -rgc -rmc"), std::string::npos);
  }
}

// Adopts and buries, while it lives, keepers whose holder has ended.
class Undertaker {
 public:
  Undertaker() { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }
  ~Undertaker() { ::prctl(PR_SET_CHILD_SUBREAPER, 0); }

  // Whether every keeper ends, and ends well, within a second.
  bool all_are_gone_within_a_second() const {
    for (int waited_ms = 0; waited_ms < 1000; ++waited_ms) {
      int status = 0;
      const pid_t gone = ::waitpid(-1, &status, WNOHANG);
      if (gone < 0) return errno == ECHILD;
      if (gone > 0 && status != 0) return false;
      if (gone == 0) ::usleep(1000);
    }
    return false;
  }
};

void write_to_nobody() {
  int ends[2];
  if (::pipe(ends) != 0) return;
  ::signal(SIGPIPE, SIG_DFL);
  ::close(ends[0]);
  [[maybe_unused]] const ssize_t written = ::write(ends[1], "report", 6);
}

void raise_by_default(int signal) {
  ::signal(signal, SIG_DFL);  // a sanitizer's handler would come first
  ::raise(signal);
}

void throw_to_nobody() noexcept {
  const std::function<void()> fault = [] { throw std::runtime_error("nobody catches this"); };
  fault();
}

struct WayOut {
  std::string name;
  std::function<void()> leave;
  int signal;  // that the holder dies of; 0 where it ends by itself
};

std::vector<WayOut> ways_out() {
  std::vector<WayOut> ways = {
      {"its end", [] {}, 0},
      {"exit()", [] { ::exit(0); }, 0},
      {"_exit()", [] { ::_exit(0); }, 0},
      {"abort()", [] { ::signal(SIGABRT, SIG_DFL), std::abort(); }, SIGABRT},
      {"an uncaught exception", throw_to_nobody, SIGABRT},
      {"a write to a closed pipe", write_to_nobody, SIGPIPE},
  };
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGKILL, SIGTERM, SIGINT, SIGHUP, SIGQUIT})
    ways.push_back({::strsignal(signal), [signal] { raise_by_default(signal); }, signal});
  return ways;
}

TEST(privileged, knobs_go_back_once_and_last_first_on_every_way_out) {
  const Undertaker undertaker;
  for (const WayOut& way : ways_out()) {
    SCOPED_TRACE(way.name);
    const FakeNvmlScript script(kOneGpu);
    const int status = end_of(started([&] {
      PrivilegedKnobs knobs(consent());
      turn_all(knobs);
      way.leave();
    }));
    EXPECT_EQ(WIFSIGNALED(status) ? WTERMSIG(status) : 0, way.signal);
    EXPECT_TRUE(undertaker.all_are_gone_within_a_second());
    EXPECT_EQ(script.calls(), turned_and_back());
  }
}

TEST(privileged, a_kill_at_any_moment_leaves_nothing_turned) {
  const Undertaker undertaker;
  const FakeNvmlScript script(kOneGpu);
  for (int delay_us = 0; delay_us < 30'000; delay_us += 1'500) {
    const pid_t holder = started([&] {
      PrivilegedKnobs knobs(consent());
      for (;;) turn_all(knobs), knobs.put_back();
    });
    ::usleep(static_cast<useconds_t>(delay_us));
    ::kill(holder, SIGKILL);
    EXPECT_EQ(WTERMSIG(end_of(holder)), SIGKILL);
    EXPECT_TRUE(undertaker.all_are_gone_within_a_second());
  }
  const Calls calls = script.calls();
  EXPECT_FALSE(calls.empty());
  for (std::size_t i = 0; i < kTurned.size(); ++i)
    EXPECT_EQ(std::count(calls.begin(), calls.end(), kTurned[i]),
              std::count(calls.begin(), calls.end(), kBack[kBack.size() - 1 - i]))
        << kTurned[i];
  EXPECT_EQ(std::count(kBack.begin(), kBack.end(), calls.back()), 1);
}

TEST(privileged, forks_and_killed_children_leave_the_knobs_to_their_holder) {
  const FakeNvmlScript script(kOneGpu);
  {
    auto knobs = std::make_unique<PrivilegedKnobs>(consent());
    turn_all(*knobs);
    EXPECT_EQ(WEXITSTATUS(end_of(started([] { ::exit(3); }))), 3);
    EXPECT_EQ(end_of(started([&] { knobs.reset(); })), 0);
    for (const int signal : {SIGTERM, SIGKILL})
      EXPECT_EQ(WTERMSIG(end_of(started([&] { raise_by_default(signal); }))), signal);
    EXPECT_EQ(script.calls(), kTurned);
  }
  EXPECT_EQ(script.calls(), turned_and_back());
}

// A child that inherits everything and lives until this process wants it to end.
class LongLivedChild {
 public:
  LongLivedChild() { EXPECT_EQ(::pipe(patience_), 0); }
  ~LongLivedChild() { let_go(); }
  pid_t start() const {
    return started([this] {
      ::close(patience_[1]);
      char none;
      [[maybe_unused]] const ssize_t got = ::read(patience_[0], &none, 1);
    });
  }
  void let_go() {
    for (int& end : patience_) ::close(std::exchange(end, -1));
  }

 private:
  int patience_[2] = {-1, -1};
};

TEST(privileged, knobs_go_back_though_a_child_outlives_their_owner) {
  const FakeNvmlScript script(kOneGpu);
  LongLivedChild child;
  pid_t its_id = 0;
  {
    PrivilegedKnobs knobs(consent());
    turn_all(knobs);
    its_id = child.start();
  }
  EXPECT_EQ(script.calls(), turned_and_back());
  child.let_go();
  EXPECT_EQ(end_of(its_id), 0);
}

TEST(privileged, knobs_go_back_though_a_child_outlives_a_holder_that_is_killed) {
  const Undertaker undertaker;
  const FakeNvmlScript script(kOneGpu);
  LongLivedChild child;
  const int status = end_of(started([&] {
    PrivilegedKnobs knobs(consent());
    turn_all(knobs);
    child.start();
    raise_by_default(SIGKILL);
  }));
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  for (int waited_ms = 0; waited_ms < 1000 && script.calls() != turned_and_back(); ++waited_ms) ::usleep(1000);
  EXPECT_EQ(script.calls(), turned_and_back());
  child.let_go();
  EXPECT_TRUE(undertaker.all_are_gone_within_a_second());
}

}  // namespace
}  // namespace chokepoint
