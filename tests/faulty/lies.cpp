// A kernel whose output is right but for one element.
#include <cstring>

#include "tests/faulty/faulty.hpp"

namespace chokepoint {
namespace {
const Register<Kernel> kernel{faulty_kernel("lies", [](const Tensor& from, Tensor& to, const Pace& pace) {
  if (pace.memory != nullptr)
    pace.memory->wait(pace.memory->reserve(2.0 * static_cast<double>(from.bytes())));
  std::memcpy(to.data(), from.data(), static_cast<std::size_t>(from.bytes()));
  to.set(to.count() / 2, 7.0);
})};
}  // namespace
}  // namespace chokepoint
