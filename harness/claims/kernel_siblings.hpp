// Which kernel rows hold for a machine that nobody published any for? Those of its siblings, scaled.
#pragma once

#include <vector>

#include "harness/claims/kernel_table.hpp"
#include "harness/model/profile.hpp"

namespace chokepoint {

// The machine's own rows; for kernels it has none of at any size, those of the nearest machine of the same
// architecture that has some, scaled (harness/claims/kernel_scaling.hpp) and saying so in their note. Rows
// without known work (parts of a layer) are taken over where the two do not differ in compute and memory.
// Rows of transfers are where the network is the same and the link no slower (within a node: the same).
KernelTable kernel_table_for(const Profile& machine, const std::vector<KernelFile>& files,
                             const std::vector<Profile>& profiles);

}  // namespace chokepoint
