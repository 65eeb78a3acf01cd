// How does a core stream with its widest vectors? The two loops of `stream`, compiled for every CPU and
// chosen at run time.
#pragma once

#include <cstdint>

namespace chokepoint::stream {

// a = b. `a` is 64-byte aligned. `bypass` writes past the caches (non-temporal stores): no line is read
// before it is overwritten, which pays when `a` is not read again soon.
void copy(const float* b, float* a, std::int64_t elements, bool bypass);

// a = b + factor * c, otherwise as above.
void triad(const float* b, const float* c, float factor, float* a, std::int64_t elements, bool bypass);

}  // namespace chokepoint::stream
