// Decode of absorbed MLA; a file of its own, so that kernels compile side by side.
#include "kernels/attention/hopper_latent.cuh"

namespace chokepoint::hopper {

LatentEntry latent_entry() { return latent_kernel; }

}  // namespace chokepoint::hopper
