// The grouped product with tiles of 128 x 256 in clusters of two; a file of its own: tiles compile side by side.
// sass: grouped_kernel HGMMA.n256>=4 UTMALDG>=4 UTMASTG>=6 STSM>=24 WARPGROUP<=3
#include "kernels/common/cuda/hopper/grouped.cuh"

namespace chokepoint::hopper {

GroupedEntry grouped_wide() { return grouped_kernel<ProductTileName::wide, TensorElement::bf16>; }

}  // namespace chokepoint::hopper
