// A script for the fake NVML, in force while this lives: CHOKEPOINT_NVML names the fake, its file the script.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace chokepoint {

class FakeNvmlScript {
 public:
  explicit FakeNvmlScript(const std::string& text) {
    std::filesystem::create_directories(folder_);
    std::ofstream(script_) << "log = " << log_ << "\n" << text;
    ::setenv("CHOKEPOINT_NVML", FAKE_NVML, 1);
    ::setenv("CHOKEPOINT_FAKE_NVML", script_.c_str(), 1);
  }
  ~FakeNvmlScript() {
    ::unsetenv("CHOKEPOINT_NVML");
    ::unsetenv("CHOKEPOINT_FAKE_NVML");
    std::filesystem::remove_all(folder_);
  }
  FakeNvmlScript(const FakeNvmlScript&) = delete;
  FakeNvmlScript& operator=(const FakeNvmlScript&) = delete;

  // Set and reset calls so far, "<uuid> <call>" each.
  std::vector<std::string> calls() const {
    std::vector<std::string> lines;
    std::ifstream file(log_);
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
  }

 private:
  const std::string folder_ = "/tmp/chokepoint_fake_nvml." + std::to_string(::getpid());
  const std::string script_ = folder_ + "/script", log_ = folder_ + "/log";
};

}  // namespace chokepoint
