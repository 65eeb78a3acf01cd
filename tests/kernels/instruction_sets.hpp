// Does SIMD code agree with itself on every CPU? Runs a body once per instruction set compiled in and present
// here.
#pragma once

#include <gtest/gtest.h>
#include <hwy/highway.h>

#include <cstdint>

namespace chokepoint {

// Calls body() with each instruction set forced, and lifts the choice afterwards. Returns how many there
// were.
template <class Body>
int on_every_instruction_set(const Body& body) {
  int count = 0;
  hwy::SetSupportedTargetsForTest(0);
  const std::int64_t all = hwy::SupportedTargets();
  for (std::int64_t target = 1; target > 0 && target <= all; target <<= 1) {
    if ((all & target) == 0) continue;
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    body();
    ++count;
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  return count;
}

}  // namespace chokepoint
