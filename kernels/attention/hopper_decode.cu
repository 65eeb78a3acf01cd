// Decode of heads with keys and values of their own; a file of its own, so that kernels compile side by side.
// sass: decode_kernelILm0E HGMMA.n64>=8 HGMMA.rs>=4 UTMALDG>=1 WARPGROUP<=4
// sass: decode_kernelILm1E HGMMA.n64>=8 HGMMA.n128>=4 HGMMA.rs>=4 UTMALDG>=1 WARPGROUP<=4
// sass: decode_kernelILm2E HGMMA.n64>=16 HGMMA.n256>=4 HGMMA.rs>=4 UTMALDG>=1 WARPGROUP<=4
#include "kernels/attention/hopper_decode.cuh"

namespace chokepoint::hopper {

DecodeEntry decode_entry(std::size_t tile) {
  constexpr DecodeEntry kEntries[] = {decode_kernel<0>, decode_kernel<1>, decode_kernel<2>};
  static_assert(std::size(kEntries) == kDecodeTiles.size());
  return kEntries[tile];
}

}  // namespace chokepoint::hopper
