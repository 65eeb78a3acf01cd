// The grouped product in fp8; a file of its own: tiles compile side by side.
// sass: grouped_kernel QGMMA.n128>=8 UTMALDG>=4 UTMASTG>=4 STSM>=16 WARPGROUP<=4
#include "kernels/common/cuda/hopper/grouped.cuh"

namespace chokepoint::hopper {

GroupedEntry grouped_fp8() { return grouped_kernel<ProductTileName::wide, TensorElement::byte>; }

}  // namespace chokepoint::hopper
