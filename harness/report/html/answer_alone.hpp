// What is the answer where no two targets are compared: of a machine alone, or under ever tighter caps?
#pragma once

#include <vector>

#include "harness/report/html/answer.hpp"
#include "harness/report/sweeps.hpp"

namespace chokepoint {

PageAnswer answer_of_sweeps(const PictureInput& input, const std::vector<Sweep>& sweeps);  // at least one

PageAnswer answer_of_machine(const PictureInput& input);  // the fastest record of each case

}  // namespace chokepoint
