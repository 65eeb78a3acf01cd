// The product with tiles of 64 x 64; a file of its own, so that tiles compile side by side.
// sass: product_kernel HGMMA.n64>=4 UTMALDG>=2 UTMASTG>=1 STSM>=4 WARPGROUP<=3
#include "kernels/common/cuda/hopper/product.cuh"

namespace chokepoint::hopper {

ProductEntry product_narrow(bool b_is_kn) {
  return b_is_kn ? product_kernel<ProductTileName::narrow, Major::mn>
                 : product_kernel<ProductTileName::narrow, Major::k>;
}

}  // namespace chokepoint::hopper
