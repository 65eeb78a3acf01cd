#include "harness/run/child.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

struct Pipe {
  int read = -1, write = -1;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
      throw Error(Fault::device, fmt::format("no pipe to a child process: {}", std::strerror(errno)),
                  "close other programs or raise the limit of open files");
    read = ends[0];
    write = ends[1];
  }
  ~Pipe() {
    close_read();
    close_write();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void close_read() { close_end(read); }
  void close_write() { close_end(write); }

 private:
  static void close_end(int& end) {
    if (end >= 0) ::close(end);
    end = -1;
  }
};

[[noreturn]] void become(const std::vector<std::string>& command, const Pipe& in, const Pipe& out,
                         pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a killed run leaves no child behind
  if (::getppid() != parent) ::_exit(127);
  ::dup2(in.read, STDIN_FILENO);
  ::dup2(out.write, STDOUT_FILENO);
  ::signal(SIGPIPE, SIG_DFL);
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

std::string trouble_of(int status, bool timed_out, double timeout_s) {
  if (timed_out) return fmt::format("timed out after {:.0f} s and was stopped", timeout_s);
  if (WIFSIGNALED(status))
    return fmt::format("crashed (signal {}, {})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
  if (WEXITSTATUS(status) != 0) return fmt::format("ended with exit code {}", WEXITSTATUS(status));
  return {};
}

}  // namespace

ChildOutcome run_child(const std::vector<std::string>& command, const std::string& input, double timeout_s,
                       const std::function<void()>& tick,
                       const std::function<void(const std::string&)>& on_line) {
  using Clock = std::chrono::steady_clock;
  Pipe in, out;
  const pid_t self = ::getpid(), child = ::fork();
  if (child < 0)
    throw Error(Fault::device, fmt::format("cannot start a child process: {}", std::strerror(errno)),
                "close other programs or raise the limit of processes");
  if (child == 0) become(command, in, out, self);
  in.close_read();
  out.close_write();

  struct sigaction ignore {
  }, before{};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, &before);  // a child that dies early must not take us along
  ::fcntl(in.write, F_SETFL, O_NONBLOCK);
  std::size_t sent = 0;
  std::string text;
  bool timed_out = false;
  const auto patience = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(timeout_s));
  Clock::time_point deadline = Clock::now() + patience;
  ChildOutcome outcome;
  for (bool open = true; open;) {
    if (Clock::now() > deadline) {
      timed_out = true;
      ::kill(child, SIGKILL);
      break;
    }
    if (sent == input.size()) in.close_write();
    pollfd ends[2] = {{out.read, POLLIN, 0}, {in.write, POLLOUT, 0}};
    ::poll(ends, in.write >= 0 ? 2 : 1, 100);
    if (tick) tick();
    if (in.write >= 0 && (ends[1].revents & (POLLOUT | POLLERR)) != 0) {
      const ssize_t wrote = ::write(in.write, input.data() + sent, input.size() - sent);
      if (wrote > 0) sent += static_cast<std::size_t>(wrote);
      if (wrote < 0 && errno != EAGAIN && errno != EINTR) in.close_write();
    }
    if ((ends[0].revents & (POLLIN | POLLHUP)) != 0) {
      char buffer[1 << 16];
      const ssize_t got = ::read(out.read, buffer, sizeof buffer);
      if (got > 0) text.append(buffer, static_cast<std::size_t>(got));
      for (std::size_t end; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1)) {
        outcome.lines.push_back(text.substr(0, end));
        try {
          if (on_line) on_line(outcome.lines.back());
        } catch (...) {
          ::kill(child, SIGKILL);
          ::waitpid(child, nullptr, 0);
          ::sigaction(SIGPIPE, &before, nullptr);
          throw;
        }
        deadline = Clock::now() + patience;
      }
      if (got == 0 || (got < 0 && errno != EINTR)) open = false;
    }
  }
  ::sigaction(SIGPIPE, &before, nullptr);
  // Its output is closed: give it a moment to end, no more.
  int status = 0;
  for (int tries = 0; ::waitpid(child, &status, WNOHANG) == 0; ++tries) {
    if (tries == 200) {
      timed_out = true;
      ::kill(child, SIGKILL);
    }
    ::usleep(10'000);
  }
  outcome.trouble = trouble_of(status, timed_out, timeout_s);
  return outcome;
}

}  // namespace chokepoint
