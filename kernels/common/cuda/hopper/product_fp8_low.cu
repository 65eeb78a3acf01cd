// The products of fp8 with tiles of 64 x 128, 64 x 64 and 128 x 128, for products with few tiles.
// sass: product_kernel QGMMA>=4 UTMALDG>=3 UTMASTG>=1 STSM>=4 WARPGROUP<=2
#include "kernels/common/cuda/hopper/product.cuh"

namespace chokepoint::hopper {

ProductEntry product_fp8_square() { return product_kernel<ProductTileName::fp8_square, Major::k>; }
ProductEntry product_fp8_low() { return product_kernel<ProductTileName::fp8_low, Major::k>; }
ProductEntry product_fp8_narrow() { return product_kernel<ProductTileName::fp8_narrow, Major::k>; }

}  // namespace chokepoint::hopper
