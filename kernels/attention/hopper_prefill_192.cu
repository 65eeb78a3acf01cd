// Prefill with heads of 192 columns; a file of its own, so that tiles compile side by side.
// sass: prefill_kernel HGMMA.n128>=40 HGMMA.rs>=16 UTMALDG>=8 UTMASTG>=2 STSM>=8 USETMAXREG>=2
#include "kernels/attention/hopper_prefill.cuh"

namespace chokepoint::hopper {

PrefillEntry prefill_192() { return prefill_kernel<2>; }

}  // namespace chokepoint::hopper
