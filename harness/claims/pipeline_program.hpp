// What does each rank of a pipeline do, in which order?
#pragma once

#include <vector>

#include "harness/claims/schedule.hpp"

namespace chokepoint {

enum class PassKind : unsigned char {
  forward,
  backward,        // input and weight gradients together
  backward_input,  // the weight gradients come later, as a pass of their own
  weight,
  overlapped,  // a forward and a whole backward pass beside each other
};

// A stage's work on one micro-batch. `overlapped` has both parts, the others one; weight passes count as
// backward.
struct Pass {
  PassKind kind = PassKind::forward;
  int forward_stage = -1, forward_micro_batch = -1;
  int backward_stage = -1, backward_micro_batch = -1;
};

struct PipelineProgram {
  int stages = 0, micro_batches = 0;
  std::vector<std::vector<Pass>> ranks;
};

// Throws Error{config} where `check(plan)` does.
PipelineProgram pipeline_program(const PipelinePlan& plan);

}  // namespace chokepoint
