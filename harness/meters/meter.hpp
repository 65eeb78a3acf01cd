// What reads energy? A counter of joules with a scope; registered from the file that knows the instrument.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "harness/base/registry.hpp"

namespace chokepoint {

class EnergyCounter {
 public:
  virtual ~EnergyCounter() = default;
  // Joules since some fixed moment; grows, wraps of the instrument already undone. Throws Error{io}.
  virtual double joule() = 0;
};

struct EnergyMeter {
  std::string name;
  std::string device;  // kind of device it speaks of
  std::string scope;   // "cpu_package", "gpu_board": scopes are never added up
  // Null when the instrument is missing, not readable, or ticks too slowly for a bare difference of two readings.
  std::function<std::unique_ptr<EnergyCounter>()> open;
  std::function<std::string()> describe;  // one line for `doctor`, with the remedy
};

// The first meter for this kind of device that opens, with its counter; empty when none does.
struct OpenMeter {
  const EnergyMeter* meter;
  std::unique_ptr<EnergyCounter> counter;
};
std::optional<OpenMeter> open_meter(const std::string& device);

}  // namespace chokepoint
