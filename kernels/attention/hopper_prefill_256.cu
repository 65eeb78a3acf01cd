// Prefill with heads of 256 columns; a file of its own, so that tiles compile side by side.
#include "kernels/attention/hopper_prefill.cuh"

namespace chokepoint::hopper {

PrefillEntry prefill_256() { return prefill_kernel<3>; }

}  // namespace chokepoint::hopper
