// Caps the scale-out network per direction: a loopback copy plays the wire, a clock each for what is sent and
// received.
#include "harness/caps/cap.hpp"
#include "harness/caps/software_clock.hpp"

namespace chokepoint {
namespace {

const Register<Cap> network_cap{
    {.name = "network",
     .resource = Resource::network,
     .device = "cpu",
     .mechanism = "resource clock",
     .needs = "kernels that charge network; no privileges",
     .install = [](const CapPlan& plan, Device&, Pace& pace) {
       const auto clock = [&] { return std::make_unique<SoftwareClock>(plan.requested, plan.latency_s); };
       return wire_capped_by_clocks(plan, clock(), clock(), pace.network_send, pace.network_receive);
     }}};

}  // namespace
}  // namespace chokepoint
