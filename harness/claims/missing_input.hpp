// What does a derivation throw when the claim makes sense, and something that it would be derived from is not known?
#pragma once

#include "harness/base/error.hpp"

namespace chokepoint {

// A rate that a profile lacks, a kernel that nobody measured: the claim is not testable, and nothing in it is wrong.
struct MissingInput : Error {
  using Error::Error;
};

}  // namespace chokepoint
