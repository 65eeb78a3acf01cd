#include "harness/run/architecture.hpp"

#include <fmt/format.h>

#include <charconv>

namespace chokepoint {

int sm_of(const DeviceFacts& facts) {
  int sm = 0;
  const std::string& name = facts.architecture;
  if (name.starts_with("sm_")) std::from_chars(name.data() + 3, name.data() + name.size(), sm);
  return sm;
}

std::optional<std::string> architecture_obstacle(const Kernel& kernel, const DeviceFacts& facts) {
  if (kernel.least_sm == 0) return std::nullopt;
  const int sm = sm_of(facts);
  if (kernel.exactly_that_sm && sm != kernel.least_sm)
    return fmt::format("kernel {} is written for sm_{}a, and this is {}", kernel.name, kernel.least_sm,
                       facts.architecture);
  if (sm < kernel.least_sm)
    return fmt::format("kernel {} needs sm_{} or later, and this is {}", kernel.name, kernel.least_sm,
                       facts.architecture);
  return std::nullopt;
}

}  // namespace chokepoint
