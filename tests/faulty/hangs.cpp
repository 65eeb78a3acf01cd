// A kernel that hangs, to see that the suite goes on.
#include <chrono>
#include <thread>

#include "tests/faulty/faulty.hpp"

namespace chokepoint {
namespace {
const Register<Kernel> kernel{faulty_kernel("hangs", [](const Tensor&, Tensor&, const Pace&) {
  for (;;) std::this_thread::sleep_for(std::chrono::seconds(1));
})};
}  // namespace
}  // namespace chokepoint
