// Prefill with heads of 64 columns; a file of its own, so that tiles compile side by side.
#include "kernels/attention/hopper_prefill.cuh"

namespace chokepoint::hopper {

PrefillEntry prefill_64() { return prefill_kernel<0>; }

}  // namespace chokepoint::hopper
