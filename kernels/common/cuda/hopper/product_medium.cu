// The product with tiles of 128 x 192 in clusters of two; a file of its own, so that tiles compile side by side.
// sass: product_kernel HGMMA.n192>=4 UTMALDG>=2 UTMASTG>=2 STSM>=12 USETMAXREG>=2 WARPGROUP<=3
#include "kernels/common/cuda/hopper/product.cuh"

namespace chokepoint::hopper {

ProductEntry product_medium(bool b_is_kn) {
  return b_is_kn ? product_kernel<ProductTileName::medium, Major::mn>
                 : product_kernel<ProductTileName::medium, Major::k>;
}

}  // namespace chokepoint::hopper
