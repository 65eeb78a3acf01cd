// Caps arithmetic: kernels charge the FLOP of each tile on one clock that all blocks share.
#include "harness/caps/cap.hpp"
#include "harness/caps/cuda/gpu_clock.hpp"

namespace chokepoint {
namespace {

const Register<Cap> cuda_compute_cap{
    {.name = "compute",
     .resource = Resource::compute,
     .device = "cuda",
     .mechanism = "resource clock",
     .needs = "kernels that charge compute; no privileges",
     .install = [](const CapPlan& plan, Device& device, Pace& pace) {
       return share_capped_by_clock(plan, std::make_unique<GpuClock>(device, plan.requested, 0.0), pace.compute);
     }}};

}  // namespace
}  // namespace chokepoint
