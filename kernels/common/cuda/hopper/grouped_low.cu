// The grouped product with tiles of 64 x 128; a file of its own: tiles compile side by side.
// sass: grouped_kernel HGMMA.n128>=4 UTMALDG>=3 UTMASTG>=3 STSM>=12 WARPGROUP<=3
#include "kernels/common/cuda/hopper/grouped.cuh"

namespace chokepoint::hopper {

GroupedEntry grouped_low() { return grouped_kernel<ProductTileName::low, TensorElement::bf16>; }

}  // namespace chokepoint::hopper
