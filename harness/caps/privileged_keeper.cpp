#include "harness/caps/privileged_keeper.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/meters/nvml.hpp"

namespace chokepoint {
namespace {

class TurnedKnobs {
 public:
  bool empty() const { return ways_back_.empty(); }

  void lock_sm_clock(const NvmlGpu& gpu, double least_hz, double most_hz) {
    turn([&] { gpu.lock_sm_clock(least_hz, most_hz); }, [gpu] { gpu.reset_sm_clock(); });
  }

  void lock_memory_clock(const NvmlGpu& gpu, double least_hz, double most_hz) {
    turn([&] { gpu.lock_memory_clock(least_hz, most_hz); }, [gpu] { gpu.reset_memory_clock(); });
  }

  void limit_power(const NvmlGpu& gpu, double w) {
    const std::optional<double> before_w = gpu.power_limit_w();
    if (!before_w)
      throw Error(Fault::device, "the present power limit cannot be read, so it could not be put back",
                  "leave the power limit as it is");
    turn([&] { gpu.set_power_limit(w); }, [gpu, w = *before_w] { gpu.set_power_limit(w); });
  }

  void set_nvlink_mode(const std::shared_ptr<const Nvml>& nvml, unsigned mode) {
    const std::optional<unsigned> before = nvml->nvlink_bandwidth_mode();
    if (!before)
      throw Error(Fault::device, "the present NVLink bandwidth mode cannot be read (Hopper and newer have one)",
                  "cap the link by pacing instead");
    turn([&] { nvml->set_nvlink_bandwidth_mode(mode); },
         [nvml, mode = *before] { nvml->set_nvlink_bandwidth_mode(mode); });
  }

  // All of them, last first; those that are refused stay in the list, and the first refusal is thrown.
  void put_back() {
    std::optional<Error> refusal;
    for (auto way_back = ways_back_.end(); way_back != ways_back_.begin();) {
      --way_back;
      try {
        (*way_back)();
        way_back = ways_back_.erase(way_back);
      } catch (const Error& error) {
        if (!refusal) refusal = error;
      }
    }
    if (refusal) throw Error(*refusal);
  }

 private:
  void turn(const std::function<void()>& turn, std::function<void()> way_back) {
    ways_back_.push_back(std::move(way_back));
    try {
      turn();
    } catch (...) {
      ways_back_.pop_back();
      throw;
    }
  }

  std::vector<std::function<void()>> ways_back_;
};

// Nothing that a terminal, a group or a service manager sends may end the keeper before its parent; readers of the
// parent's output do not wait for it; and the kernel, short of memory, takes another process.
void stand_apart() {
  ::setsid();
  ::prctl(PR_SET_NAME, "knob_keeper");
  for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM, SIGALRM, SIGUSR1, SIGUSR2})
    ::signal(signal, SIG_IGN);
  const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  ::dup2(nowhere, STDIN_FILENO);
  ::dup2(nowhere, STDOUT_FILENO);
  const int score = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  [[maybe_unused]] const ssize_t written = ::write(score, "-1000", 5);  // only root may, as it is with knobs
  ::close(score);
}

// Empty when the holder is gone: its end is closed, or, where some other fork of it keeps that open, it is no longer
// our parent.
std::optional<KnobRequest> next_request(int socket, pid_t holder) {
  constexpr int kLook_ms = 250;
  for (;;) {
    pollfd end{socket, POLLIN, 0};
    if (::poll(&end, 1, kLook_ms) <= 0) {
      if (::getppid() != holder) return std::nullopt;
      continue;
    }
    KnobRequest request;
    const ssize_t got = ::recv(socket, &request, sizeof request, 0);
    if (got == sizeof request) return request;
    if (got >= 0 || errno != EINTR) return std::nullopt;
  }
}

void obey(const KnobRequest& request, TurnedKnobs& knobs) {
  using What = KnobRequest::What;
  if (request.what == What::put_back) return knobs.put_back();
  const std::shared_ptr<const Nvml> nvml = Nvml::open();  // every knob that is turned keeps it open
  if (request.what == What::set_nvlink_mode) return knobs.set_nvlink_mode(nvml, static_cast<unsigned>(request.most));
  const NvmlGpu gpu = nvml->find(request.gpu);
  if (request.what == What::lock_sm_clock) return knobs.lock_sm_clock(gpu, request.least, request.most);
  if (request.what == What::lock_memory_clock) return knobs.lock_memory_clock(gpu, request.least, request.most);
  knobs.limit_power(gpu, request.most);
}

KnobAnswer refusing_answer(Fault fault, const char* message, const char* remedy) {
  KnobAnswer answer{false, fault, {}, {}};
  std::snprintf(answer.message, sizeof answer.message, "%s", message);
  std::snprintf(answer.remedy, sizeof answer.remedy, "%s", remedy);
  return answer;
}

KnobAnswer answer_to(const KnobRequest& request, TurnedKnobs& knobs) {
  try {
    obey(request, knobs);
    return {true, Fault::device, {}, {}};
  } catch (const Error& error) {
    return refusing_answer(error.fault(), error.message().c_str(), error.remedy().c_str());
  } catch (const std::exception& error) {
    return refusing_answer(Fault::device, error.what(), "this is a defect of chokepoint; please report it");
  }
}

void tell_what_stays(const Error& refusal) {
  const std::string text = fmt::format("chokepoint: a clock or limit stays changed: {}\n", refusal.what());
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

void put_back_patiently(TurnedKnobs& knobs) {
  constexpr int kMostTries = 50, kPause_us = 100'000;
  for (int tries = 1; !knobs.empty(); ++tries) {
    try {
      knobs.put_back();
    } catch (const Error& error) {
      if (tries == kMostTries) return tell_what_stays(error);
      ::usleep(kPause_us);
    }
  }
}

}  // namespace

void keep_knobs(int socket, pid_t holder) noexcept {
  stand_apart();
  TurnedKnobs knobs;
  while (const std::optional<KnobRequest> request = next_request(socket, holder)) {
    const KnobAnswer answer = answer_to(*request, knobs);
    ::send(socket, &answer, sizeof answer, MSG_NOSIGNAL);  // a holder that is gone is seen by the next look
  }
  put_back_patiently(knobs);
  ::_exit(0);
}

}  // namespace chokepoint
