// What is done to single elements between the products of tp_block? Compiled for every CPU, chosen at run
// time.
#pragma once

#include <cstdint>

#include "harness/base/dtype.hpp"

namespace chokepoint::tp_block {

// gate = silu(gate) * up, or gate = silu(gate) when `up` is null.
void activate(float* gate, const float* up, std::int64_t count);

// out = arrived + partial, rounded once to `dtype` (f32 or bf16), the type of `arrived` and `out`. `arrived`
// may be null and counts as zero then; for f32, `out` may be `partial`.
void settle(const void* arrived, const float* partial, void* out, Dtype dtype, std::int64_t count);

}  // namespace chokepoint::tp_block
