// Which NCCL is at hand? Only its version is read: ranks on several GPUs are not played yet.
#include <fmt/format.h>

#include <array>

#include "harness/base/library.hpp"
#include "harness/base/registry.hpp"

namespace chokepoint {
namespace {

std::string describe() {
  const std::array<std::string, 2> names = {"libnccl.so.2", "libnccl.so"};
  const auto library = Library::open(names);
  if (!library) return "libnccl.so.2 not found; put its folder into CHOKEPOINT_LIBRARY_PATH. Nothing needs it on one GPU";
  int version = 0;
  auto* get_version = library->find<int(int*)>("ncclGetVersion");
  if (get_version == nullptr || get_version(&version) != 0)
    return fmt::format("{} does not tell its version; install another", library->name());
  return fmt::format("{}.{}.{}, {}", version / 10000, version / 100 % 100, version % 100, library->name());
}

const Register<OptionalLibrary> library{{.name = "nccl", .describe = describe}};

}  // namespace
}  // namespace chokepoint
