// Caps the scale-out network per direction: a loopback copy plays the wire, a clock each for what is sent and
// received.
#include "harness/caps/cap.hpp"

namespace chokepoint {
namespace {

const Register<Cap> cap{{.name = "network",
                         .resource = Resource::network,
                         .device = "cpu",
                         .mechanism = "resource clock",
                         .needs = "kernels that charge network; no privileges",
                         .install = [](const CapPlan& plan, Pace& pace) {
                           return wire_capped_by_clocks(plan, pace.network_send, pace.network_receive);
                         }}};

}  // namespace
}  // namespace chokepoint
