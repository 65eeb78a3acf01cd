// Prefill with heads of 192 columns; a file of its own, so that tiles compile side by side.
#include "kernels/attention/hopper_prefill.cuh"

namespace chokepoint::hopper {

PrefillEntry prefill_192() { return prefill_kernel<2>; }

}  // namespace chokepoint::hopper
