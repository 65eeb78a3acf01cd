// Caps the scale-up link per direction: a loopback copy plays the wire, a clock each for what is sent and
// received.
#include <fmt/format.h>

#include "harness/caps/cap.hpp"
#include "harness/caps/cuda/gpu_clock.hpp"
#include "harness/caps/sm_rate.hpp"

namespace chokepoint {
namespace {

const Register<Cap> cuda_link_cap{
    {.name = "link",
     .resource = Resource::link,
     .device = "cuda",
     .mechanism = fmt::format("resource clock, at most {:.1f} GB/s per SM", 1e-9 * kLinkRatePerSm),
     .needs = "kernels that charge link; no privileges",
     .install = [](const CapPlan& plan, Device& device, Pace& pace) {
       const auto clock = [&] { return std::make_unique<GpuClock>(device, plan.requested, plan.latency_s); };
       return wire_capped_by_clocks(plan, clock(), clock(), pace.link_send, pace.link_receive);
     }}};

}  // namespace
}  // namespace chokepoint
