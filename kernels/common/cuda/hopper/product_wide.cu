// The product with tiles of 128 x 256 in clusters of two; a file of its own, so that tiles compile side by side.
// sass: product_kernel HGMMA.n256>=4 UTMALDG>=2 UTMASTG>=2 STSM>=16 USETMAXREG>=2 WARPGROUP<=3
#include "kernels/common/cuda/hopper/product.cuh"

namespace chokepoint::hopper {

ProductEntry product_wide(bool b_is_kn) {
  return b_is_kn ? product_kernel<ProductTileName::wide, Major::mn>
                 : product_kernel<ProductTileName::wide, Major::k>;
}

}  // namespace chokepoint::hopper
