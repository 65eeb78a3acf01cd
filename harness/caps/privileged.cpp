#include "harness/caps/privileged.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "harness/base/error.hpp"
#include "harness/caps/privileged_keeper.hpp"

namespace chokepoint {
namespace {

KnobRequest request_for(KnobRequest::What what, const std::string& gpu, double least, double most) {
  KnobRequest request{what, {}, least, most};
  if (gpu.size() >= sizeof request.gpu)
    throw Error(Fault::device, fmt::format("\"{}\" is no GPU's bus id or UUID", gpu), "see `nvidia-smi -L`");
  std::memcpy(request.gpu, gpu.c_str(), gpu.size() + 1);
  return request;
}

// Empty when the keeper is gone.
std::optional<KnobAnswer> exchanged(int socket, const KnobRequest& request) {
  KnobAnswer answer{};
  if (::send(socket, &request, sizeof request, MSG_NOSIGNAL) != sizeof request) return std::nullopt;
  ssize_t got = 0;
  do got = ::recv(socket, &answer, sizeof answer, 0);
  while (got < 0 && errno == EINTR);
  return got == sizeof answer ? std::optional(answer) : std::nullopt;
}

}  // namespace

PrivilegedKnobs::PrivilegedKnobs(PrivilegedConsent) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    throw Error(Fault::device, fmt::format("no socket to a process that keeps clocks: {}", std::strerror(errno)),
                "close other programs or raise the limit of open files");
  constexpr timeval kPatience{30, 0};  // a driver that hangs in the keeper is not waited for
  ::setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  const pid_t holder = ::getpid();
  keeper_ = ::fork();
  if (keeper_ == 0) {
    ::close(ends[0]);
    keep_knobs(ends[1], holder);
  }
  ::close(ends[1]);
  socket_ = ends[0];
  if (keeper_ > 0) return;
  ::close(socket_);
  throw Error(Fault::device, fmt::format("cannot start a process that keeps clocks: {}", std::strerror(errno)),
              "close other programs or raise the limit of processes");
}

// Waits for a keeper that puts back, but not forever for one that hangs in the driver. It is told first, since closing
// is not seen while a fork of this process holds the socket open. A fork's copy, whose child it is not, tells nothing.
PrivilegedKnobs::~PrivilegedKnobs() {
  if (::waitpid(keeper_, nullptr, WNOHANG) == 0) ::shutdown(socket_, SHUT_RDWR);
  ::close(socket_);
  constexpr int kMostWait_ms = 10'000;
  for (int waited_ms = 0; waited_ms < kMostWait_ms && ::waitpid(keeper_, nullptr, WNOHANG) == 0; ++waited_ms)
    ::usleep(1000);
}

void PrivilegedKnobs::ask(const KnobRequest& request) const {
  const std::optional<KnobAnswer> answer = exchanged(socket_, request);
  if (!answer)
    throw Error(Fault::device, "the process that turns clocks and limits has been ended, so they stay as they are",
                "see them with `nvidia-smi -q -d CLOCK,POWER`; `nvidia-smi -rgc -rmc` unlocks the clocks");
  if (!answer->is_done) throw Error(answer->fault, answer->message, answer->remedy);
}

void PrivilegedKnobs::lock_sm_clock(const std::string& gpu, double least_hz, double most_hz) {
  ask(request_for(KnobRequest::What::lock_sm_clock, gpu, least_hz, most_hz));
}

void PrivilegedKnobs::lock_memory_clock(const std::string& gpu, double least_hz, double most_hz) {
  ask(request_for(KnobRequest::What::lock_memory_clock, gpu, least_hz, most_hz));
}

void PrivilegedKnobs::limit_power(const std::string& gpu, double w) {
  ask(request_for(KnobRequest::What::limit_power, gpu, w, w));
}

void PrivilegedKnobs::set_nvlink_bandwidth_mode(unsigned mode) {
  ask(request_for(KnobRequest::What::set_nvlink_mode, "", mode, mode));
}

void PrivilegedKnobs::put_back() { ask(request_for(KnobRequest::What::put_back, "", 0.0, 0.0)); }

}  // namespace chokepoint
