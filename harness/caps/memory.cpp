// Caps memory bandwidth: kernels charge the cold bytes of each tile on one clock that all workers share.
#include "harness/caps/cap.hpp"
#include "harness/caps/software_clock.hpp"

namespace chokepoint {
namespace {

const Register<Cap> memory_cap{
    {.name = "memory",
     .resource = Resource::memory,
     .device = "cpu",
     .mechanism = "resource clock",
     .needs = "kernels that charge memory; no privileges",
     .install = [](const CapPlan& plan, Device&, Pace& pace) {
       return share_capped_by_clock(plan, std::make_unique<SoftwareClock>(plan.requested, 0.0), pace.memory);
     }}};

}  // namespace
}  // namespace chokepoint
