#include "harness/base/registry.hpp"

namespace chokepoint {

std::string file_stem(std::string_view path) {
  if (const std::size_t slash = path.rfind('/'); slash != std::string_view::npos) path.remove_prefix(slash + 1);
  return std::string(path.substr(0, path.find('.')));
}

std::vector<std::string>& registry_faults() {
  static std::vector<std::string> faults;
  return faults;
}

}  // namespace chokepoint
