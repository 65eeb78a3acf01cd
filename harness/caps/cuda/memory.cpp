// Caps memory bandwidth: kernels charge the cold bytes of each tile on one clock that all blocks share.
#include "harness/caps/cap.hpp"
#include "harness/caps/cuda/gpu_clock.hpp"

namespace chokepoint {
namespace {

const Register<Cap> cuda_memory_cap{
    {.name = "memory",
     .resource = Resource::memory,
     .device = "cuda",
     .mechanism = "resource clock",
     .needs = "kernels that charge memory; no privileges",
     .install = [](const CapPlan& plan, Device& device, Pace& pace) {
       return share_capped_by_clock(plan, std::make_unique<GpuClock>(device, plan.requested, 0.0), pace.memory);
     }}};

}  // namespace
}  // namespace chokepoint
