// Prefill with heads of 128 columns; a file of its own, so that tiles compile side by side.
#include "kernels/attention/hopper_prefill.cuh"

namespace chokepoint::hopper {

PrefillEntry prefill_128() { return prefill_kernel<1>; }

}  // namespace chokepoint::hopper
