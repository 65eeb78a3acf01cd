// The product with tiles of 128 x 128; a file of its own, so that tiles compile side by side.
// sass: product_kernel HGMMA.n128>=4 UTMALDG>=2 UTMASTG>=2 STSM>=8 USETMAXREG>=2 WARPGROUP<=3
#include "kernels/common/cuda/hopper/product.cuh"

namespace chokepoint::hopper {

ProductEntry product_square(bool b_is_kn) {
  return b_is_kn ? product_kernel<ProductTileName::square, Major::mn>
                 : product_kernel<ProductTileName::square, Major::k>;
}

}  // namespace chokepoint::hopper
