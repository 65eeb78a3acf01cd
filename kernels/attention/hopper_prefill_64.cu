// Prefill with heads of 64 columns; a file of its own, so that tiles compile side by side.
// sass: prefill_kernel HGMMA.n128>=8 HGMMA.n64>=16 HGMMA.rs>=16 UTMALDG>=4 UTMASTG>=1 STSM>=4 USETMAXREG>=2
#include "kernels/attention/hopper_prefill.cuh"

namespace chokepoint::hopper {

PrefillEntry prefill_64() { return prefill_kernel<0>; }

}  // namespace chokepoint::hopper
