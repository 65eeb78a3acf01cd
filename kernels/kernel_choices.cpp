#include "kernels/kernel_choices.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"

namespace chokepoint {

const KernelChoices* find_choices(const std::string& operation, const std::string& kernel) {
  return Registry<KernelChoices>::instance().find(operation + "/" + kernel);
}

std::size_t place_of_configuration(const std::string& configuration, std::span<const std::string> known) {
  const auto found = std::find(known.begin(), known.end(), configuration);
  if (found != known.end()) return static_cast<std::size_t>(found - known.begin());
  throw Error(Fault::config, fmt::format("there is no configuration \"{}\" of this kernel and shape", configuration),
              suggestion(configuration, known));
}

}  // namespace chokepoint
