#include "harness/base/files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

[[noreturn]] void fail(std::string_view doing, const std::string& path, int code) {
  const char* remedy = code == ENOSPC   ? "free some space or choose another folder"
                       : code == EACCES ? "choose a folder you may write to, or change its permissions"
                       : code == ENOENT ? "check the path"
                       : code == EROFS  ? "choose a folder on a writable file system"
                                        : "check the path and the file system";
  throw Error(Fault::io, fmt::format("cannot {} {}: {}", doing, path, std::strerror(code)), remedy);
}

class Descriptor {
 public:
  Descriptor(const std::string& path, int flags, std::string_view doing) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {
    if (fd_ < 0) fail(doing, path, errno);
  }
  ~Descriptor() { ::close(fd_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

void write_all(int fd, std::string_view data, const std::string& path) {
  while (!data.empty()) {
    const ssize_t written = ::write(fd, data.data(), data.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("write", path, errno);
    data.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(fd) != 0 && errno != EINVAL && errno != EROFS) fail("flush", path, errno);
}

}  // namespace

std::string read_file(const std::string& path) {
  const Descriptor file(path, O_RDONLY, "read");
  std::string content;
  char buffer[1 << 16];
  for (;;) {
    const ssize_t got = ::read(file.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("read", path, errno);
    if (got == 0) return content;
    content.append(buffer, static_cast<std::size_t>(got));
  }
}

void replace_file(const std::string& path, std::string_view content) {
  const std::string neighbour = fmt::format("{}.{}.tmp", path, ::getpid());
  try {
    write_all(Descriptor(neighbour, O_WRONLY | O_CREAT | O_TRUNC, "create").get(), content, neighbour);
    if (::rename(neighbour.c_str(), path.c_str()) != 0) fail("replace", path, errno);
  } catch (...) {
    ::unlink(neighbour.c_str());
    throw;
  }
}

void append_line(const std::string& path, std::string_view line) {
  const Descriptor file(path, O_RDWR | O_CREAT | O_APPEND, "open");
  std::string data;
  const off_t size = ::lseek(file.get(), 0, SEEK_END);
  char last = '\n';
  if (size > 0 && ::pread(file.get(), &last, 1, size - 1) == 1 && last != '\n') data = "\n";
  data += line;
  data += '\n';
  write_all(file.get(), data, path);
}

void require_writable_folder(const std::string& path) {
  std::error_code code;
  std::filesystem::create_directories(path, code);
  if (code) fail("create the folder", path, code.value());
  const std::string probe = fmt::format("{}/.writable.{}", path, ::getpid());
  try {
    write_all(Descriptor(probe, O_WRONLY | O_CREAT | O_TRUNC, "write into").get(), "x", probe);
  } catch (...) {
    ::unlink(probe.c_str());
    throw;
  }
  ::unlink(probe.c_str());
}

}  // namespace chokepoint
