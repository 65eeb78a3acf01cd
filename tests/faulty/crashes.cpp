// A kernel that crashes, to see that the suite goes on.
#include <csignal>

#include "tests/faulty/faulty.hpp"

namespace chokepoint {
namespace {
const Register<Kernel> kernel{
    faulty_kernel("crashes", [](const Tensor&, Tensor&, const Pace&) { std::raise(SIGSEGV); })};
}  // namespace
}  // namespace chokepoint
