// Prefill with heads of 128 columns; a file of its own, so that tiles compile side by side.
// sass: prefill_kernel HGMMA.n128>=32 HGMMA.rs>=16 UTMALDG>=8 UTMASTG>=2 STSM>=8 USETMAXREG>=2
#include "kernels/attention/hopper_prefill.cuh"

namespace chokepoint::hopper {

PrefillEntry prefill_128() { return prefill_kernel<1>; }

}  // namespace chokepoint::hopper
