// Caps memory bandwidth: kernels charge the cold bytes of each tile on one clock that all workers share.
#include "harness/caps/cap.hpp"

namespace chokepoint {
namespace {

const Register<Cap> cap{
    {.name = "memory",
     .resource = Resource::memory,
     .device = "cpu",
     .mechanism = "resource clock",
     .needs = "kernels that charge memory; no privileges",
     .install = [](const CapPlan& plan, Pace& pace) { return share_capped_by_clock(plan, pace.memory); }}};

}  // namespace
}  // namespace chokepoint
