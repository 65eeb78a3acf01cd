// Caps arithmetic: kernels charge the FLOP of each tile on one clock that all workers share.
#include "harness/caps/cap.hpp"
#include "harness/caps/software_clock.hpp"

namespace chokepoint {
namespace {

const Register<Cap> compute_cap{
    {.name = "compute",
     .resource = Resource::compute,
     .device = "cpu",
     .mechanism = "resource clock",
     .needs = "kernels that charge compute; no privileges",
     .install = [](const CapPlan& plan, Device&, Pace& pace) {
       return share_capped_by_clock(plan, std::make_unique<SoftwareClock>(plan.requested, 0.0), pace.compute);
     }}};

}  // namespace
}  // namespace chokepoint
