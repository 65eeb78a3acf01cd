// Which of two kernels counts where one was measured here and the other published by somebody?
#pragma once

namespace chokepoint {

enum class MeasuredUse {
  comparable,  // the measured one, unless it is slower by more than builds of one kernel differ: then it is another
               // implementation, which says what that one does and not what the machine can
  all,         // the measured one, whatever it takes
};
inline constexpr double kMostSlowerBuild = 1.1;  // DeepGEMM changed by 5 % in a month of 2025

}  // namespace chokepoint
