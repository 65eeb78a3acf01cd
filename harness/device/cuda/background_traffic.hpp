// How do some of a GPU's multiprocessors keep its memory busy, at a rate, while the others work?
#pragma once

#include <memory>

#include "harness/device/device.hpp"

namespace chokepoint {

// On the last `multiprocessors` of the current device. They are not withheld from others: what is launched there without
// a restriction shares them. While it flows, nothing may wait for the whole device (cudaDeviceSynchronize, cudaFree,
// the legacy stream, the first launch of a kernel): such a call returns when the traffic ends by itself.
std::unique_ptr<BackgroundTraffic> background_traffic_on(int multiprocessors);

}  // namespace chokepoint
