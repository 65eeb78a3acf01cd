#include "harness/caps/privileged.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "harness/base/error.hpp"

namespace chokepoint {

namespace {

using Restore = std::function<void()>;

constexpr std::array kEndingSignals = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

// A fork inherits all of this but the watching thread, and must not put back what its parent holds.
pid_t watched_process = 0;
int wake_pipe[2] = {-1, -1};
std::array<struct sigaction, kEndingSignals.size()> handlers_before;

// All that async-signal-safe code may do: tell the watching thread which signal came.
void on_signal(int signal) {
  if (::getpid() != watched_process) {
    ::signal(signal, SIG_DFL);
    ::raise(signal);
    return;
  }
  const int errno_before = errno;
  const auto number = static_cast<unsigned char>(signal);
  [[maybe_unused]] const ssize_t written = ::write(wake_pipe[1], &number, 1);
  errno = errno_before;
}

// Knobs that are turned now, in the order they were; put back last first. Never destroyed, since exit() and the
// watching thread use it when other statics are gone.
class Ledger {
 public:
  static Ledger& instance() {
    static Ledger& ledger = *new Ledger;
    return ledger;
  }

  // Under one lock, so that no signal falls between turning a knob and knowing how to put it back.
  std::uint64_t hold(const std::function<void()>& turn, Restore put_back) {
    const std::lock_guard lock(mutex_);
    if (is_ending_) throw Error(Fault::device, "the program is ending, so no clock or limit is changed", "run it again");
    if (watched_process != ::getpid()) watch();
    turn();
    entries_.push_back({++last_id_, std::move(put_back)});
    return last_id_;
  }

  // Once per id; later calls do nothing.
  void settle(std::uint64_t id) {
    const std::lock_guard lock(mutex_);
    if (watched_process != ::getpid()) return;
    const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.id == id; });
    if (found == entries_.end()) return;
    const Restore put_back = std::move(found->put_back);
    entries_.erase(found);
    put_back();
  }

  void settle_all() noexcept {
    const std::lock_guard lock(mutex_);
    if (watched_process != ::getpid()) return;
    is_ending_ = true;
    for (; !entries_.empty(); entries_.pop_back()) tell_failure(entries_.back().put_back);
  }

  // On a way out nothing may throw, so a refusal goes to standard error.
  static void tell_failure(const Restore& action) noexcept {
    try {
      action();
    } catch (const std::exception& error) {
      const std::string text = fmt::format("chokepoint: a clock or limit stays changed: {}\n", error.what());
      [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    }
  }

 private:
  struct Entry {
    std::uint64_t id;
    Restore put_back;
  };

  // A thread puts everything back when a signal comes, since NVML may not be called from a handler, and then lets
  // the signal do what it would have done.
  void watch() {
    const bool is_forked = watched_process != 0;
    entries_.clear();
    if (::pipe2(wake_pipe, O_CLOEXEC) != 0)
      throw Error(Fault::device, "no pipe for watching signals can be opened", "close some files");
    if (!is_forked) std::atexit([] { Ledger::instance().settle_all(); });
    std::thread([] {
      unsigned char signal = 0;
      while (::read(wake_pipe[0], &signal, 1) == 1) {
        instance().settle_all();
        for (std::size_t i = 0; i < kEndingSignals.size(); ++i)
          if (kEndingSignals[i] == signal) ::sigaction(signal, &handlers_before[i], nullptr);
        ::kill(::getpid(), signal);
      }
    }).detach();
    for (std::size_t i = 0; i < kEndingSignals.size(); ++i) {
      if (!is_forked) ::sigaction(kEndingSignals[i], nullptr, &handlers_before[i]);
      if (handlers_before[i].sa_handler == SIG_IGN) continue;  // under nohup a signal does not end us
      struct sigaction action {};
      action.sa_handler = on_signal;
      action.sa_flags = SA_RESTART;
      ::sigaction(kEndingSignals[i], &action, nullptr);
    }
    watched_process = ::getpid();
  }

  std::mutex mutex_;
  std::vector<Entry> entries_;
  std::uint64_t last_id_ = 0;
  bool is_ending_ = false;
};

}  // namespace

PrivilegedGuard& PrivilegedGuard::operator=(PrivilegedGuard&& other) noexcept {
  std::swap(id_, other.id_);  // what this held goes back with `other`
  return *this;
}

PrivilegedGuard::~PrivilegedGuard() {
  Ledger::tell_failure([this] { restore(); });
}

void PrivilegedGuard::restore() {
  if (id_ != 0) Ledger::instance().settle(std::exchange(id_, 0));
}

PrivilegedKnobs::PrivilegedKnobs(PrivilegedConsent, NvmlGpu gpu) : gpu_(std::move(gpu)) {}

PrivilegedGuard PrivilegedKnobs::hold(const std::function<void()>& turn, std::function<void()> put_back) {
  return PrivilegedGuard(Ledger::instance().hold(turn, std::move(put_back)));
}

PrivilegedGuard PrivilegedKnobs::lock_sm_clock(double least_hz, double most_hz) {
  return hold([&] { gpu_.lock_sm_clock(least_hz, most_hz); }, [gpu = gpu_] { gpu.reset_sm_clock(); });
}

PrivilegedGuard PrivilegedKnobs::lock_memory_clock(double least_hz, double most_hz) {
  return hold([&] { gpu_.lock_memory_clock(least_hz, most_hz); }, [gpu = gpu_] { gpu.reset_memory_clock(); });
}

PrivilegedGuard PrivilegedKnobs::limit_power(double w) {
  const std::optional<double> before_w = gpu_.power_limit_w();
  if (!before_w)
    throw Error(Fault::device, "the present power limit cannot be read, so it could not be put back",
                "leave the power limit as it is");
  return hold([&] { gpu_.set_power_limit(w); }, [gpu = gpu_, w = *before_w] { gpu.set_power_limit(w); });
}

PrivilegedGuard PrivilegedKnobs::set_nvlink_bandwidth_mode(unsigned mode) {
  const std::optional<unsigned> before = gpu_.library().nvlink_bandwidth_mode();
  if (!before)
    throw Error(Fault::device, "the present NVLink bandwidth mode cannot be read (Hopper and newer have one)",
                "cap the link by pacing instead");
  return hold([&] { gpu_.library().set_nvlink_bandwidth_mode(mode); },
              [gpu = gpu_, mode = *before] { gpu.library().set_nvlink_bandwidth_mode(mode); });
}

}  // namespace chokepoint
