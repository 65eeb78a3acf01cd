// Caps arithmetic: kernels charge the FLOP of each tile on one clock that all workers share.
#include "harness/caps/cap.hpp"

namespace chokepoint {
namespace {

const Register<Cap> cap{
    {.name = "compute",
     .resource = Resource::compute,
     .device = "cpu",
     .mechanism = "resource clock",
     .needs = "kernels that charge compute; no privileges",
     .install = [](const CapPlan& plan, Pace& pace) { return share_capped_by_clock(plan, pace.compute); }}};

}  // namespace
}  // namespace chokepoint
