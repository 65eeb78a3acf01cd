// Prefill with heads of 256 columns; a file of its own, so that tiles compile side by side.
// sass: prefill_kernel HGMMA.n80>=32 HGMMA.n256>=10 HGMMA.rs>=10 UTMALDG>=12 UTMASTG>=4 STSM>=16 USETMAXREG>=2
#include "kernels/attention/hopper_prefill.cuh"

namespace chokepoint::hopper {

PrefillEntry prefill_256() { return prefill_kernel<3>; }

}  // namespace chokepoint::hopper
