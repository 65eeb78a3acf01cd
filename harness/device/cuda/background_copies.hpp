// How does a GPU copy within its memory while its multiprocessors do something else?
#pragma once

#include <memory>

#include "harness/device/device.hpp"

namespace chokepoint {

// On device `index`. Copies prefer engines that leave the multiprocessors alone, where runtime and driver know that
// wish (CUDA 13.0).
std::unique_ptr<BackgroundCopies> background_copies_on(int index);

}  // namespace chokepoint
