// The product of fp8 with tiles of 128 x 192 in clusters of two; a file of its own, so that tiles compile side by side.
// sass: product_kernel QGMMA.n192>=4 UTMALDG>=3 UTMASTG>=3 STSM>=12 USETMAXREG>=2 WARPGROUP<=2
#include "kernels/common/cuda/hopper/product.cuh"

namespace chokepoint::hopper {

ProductEntry product_fp8_wide() { return product_kernel<ProductTileName::fp8_wide, Major::k>; }

}  // namespace chokepoint::hopper
