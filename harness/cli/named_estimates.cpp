#include "harness/cli/named_estimates.hpp"

#include <fmt/format.h>

#include "harness/base/error.hpp"

namespace chokepoint {

std::map<std::string, Estimate> named_estimates(const std::vector<std::string>& texts, const std::string& flag) {
  std::map<std::string, Estimate> values;
  for (const std::string& text : texts) {
    const std::size_t equals = text.rfind('=');
    if (equals == std::string::npos || equals == 0)
      throw Error(Fault::config, fmt::format("{} \"{}\" gives nothing a value", flag, text),
                  fmt::format("write it like {} NAME=2, NAME=1..3 or NAME=1..2..3", flag));
    const std::string name = text.substr(0, equals);
    if (!values.emplace(name, parse_estimate(std::string_view(text).substr(equals + 1), flag + " " + name)).second)
      throw Error(Fault::config, fmt::format("{} gives {} a value twice", flag, name), "keep one");
  }
  return values;
}

}  // namespace chokepoint
