// Decode of absorbed MLA; a file of its own, so that kernels compile side by side.
// sass: latent_kernel HGMMA.n64>=72 HGMMA.n256>=16 HGMMA.rs>=16 UTMALDG>=3 STSM>=8 USETMAXREG>=2
#include "kernels/attention/hopper_latent.cuh"

namespace chokepoint::hopper {

LatentEntry latent_entry() { return latent_kernel; }

}  // namespace chokepoint::hopper
