// What does chokepoint throw when something cannot go on? One type, with a fault class and a remedy.
#pragma once

#include <exception>
#include <source_location>
#include <string>
#include <string_view>

namespace chokepoint {

enum class Fault {
  config,         // a file, flag or shape the user gave is wrong
  unsupported,    // asked for something this kernel, device or build does not do
  cap_not_held,   // a resource limit was not what was asked for
  wrong_result,   // a kernel's output differs from the reference
  device,         // the device, driver or child process failed
  io,             // reading or writing a file failed
};

std::string_view to_string(Fault fault);

// `what()` reads "message; remedy". Messages name the value and the limit, the remedy names the next step.
class Error : public std::exception {
 public:
  Error(Fault fault, std::string message, std::string remedy,
        std::source_location at = std::source_location::current());

  Fault fault() const { return fault_; }
  const std::string& message() const { return message_; }
  const std::string& remedy() const { return remedy_; }
  const std::source_location& at() const { return at_; }
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  Fault fault_;
  std::string message_, remedy_, text_;
  std::source_location at_;
};

}  // namespace chokepoint
