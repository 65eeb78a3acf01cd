// What each rank does, pass by pass: small programs written down by hand from their published descriptions.
#include "harness/claims/pipeline_program.hpp"

#include <gtest/gtest.h>

#include <string>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

// "F3@1" is the forward pass of micro-batch 3 on stage 1; B a whole backward pass, I its input part, W its
// weight part, and F3@1+B0@2 a pair.
std::string text_of(const Pass& pass) {
  const std::string forward =
      "F" + std::to_string(pass.forward_micro_batch) + "@" + std::to_string(pass.forward_stage);
  const std::string backward =
      std::to_string(pass.backward_micro_batch) + "@" + std::to_string(pass.backward_stage);
  switch (pass.kind) {
    case PassKind::forward:
      return forward;
    case PassKind::backward:
      return "B" + backward;
    case PassKind::backward_input:
      return "I" + backward;
    case PassKind::weight:
      return "W" + backward;
    case PassKind::overlapped:
      return forward + "+B" + backward;
  }
  return "";
}

std::string text_of(const PipelinePlan& plan, int rank) {
  const PipelineProgram program = pipeline_program(plan);
  std::string text;
  for (const Pass& pass : program.ranks.at(rank)) text += (text.empty() ? "" : " ") + text_of(pass);
  return text;
}

TEST(pipeline_program, one_f_one_b) {
  const PipelinePlan plan{Schedule::one_f_one_b, 2, 3};
  EXPECT_EQ(text_of(plan, 0), "F0@0 F1@0 B0@0 F2@0 B1@0 B2@0");
  EXPECT_EQ(text_of(plan, 1), "F0@1 B0@1 F1@1 B1@1 F2@1 B2@1");
}

TEST(pipeline_program, interleaved_takes_chunks_in_turn_and_backward_from_the_last) {
  const PipelinePlan plan{Schedule::interleaved, 2, 2, 2};
  EXPECT_EQ(text_of(plan, 0), "F0@0 F1@0 F0@2 F1@2 B0@2 B1@2 B0@0 B1@0");
  EXPECT_EQ(text_of(plan, 1), "F0@1 F1@1 F0@3 B0@3 F1@3 B1@3 B0@1 B1@1");
}

TEST(pipeline_program, zb_h1_puts_off_as_many_weight_passes_as_its_rank) {
  const PipelinePlan plan{Schedule::zb_h1, 2, 3};
  EXPECT_EQ(text_of(plan, 0), "F0@0 F1@0 I0@0 W0@0 F2@0 I1@0 W1@0 I2@0 W2@0");
  EXPECT_EQ(text_of(plan, 1), "F0@1 I0@1 F1@1 I1@1 W0@1 F2@1 I2@1 W1@1 W2@1");
}

// Micro-batches 0 to 3 enter at stage 0 of rank 0, 4 to 7 at stage 0 of rank 3. Steps 1 to 8 of dualpipe.py,
// in groups.
TEST(pipeline_program, dualpipe) {
  const PipelinePlan plan{Schedule::dualpipe, 4, 8};
  EXPECT_EQ(text_of(plan, 0),
            "F0@0 F1@0 "
            "F2@0 F4@3 "
            "I4@3 W4@3 F5@3 "
            "F3@0+B5@3 F6@3+B0@0 "
            "B6@3 F7@3+B1@0 "
            "B7@3 I2@0 "
            "W2@0 I3@0 "
            "W3@0");
  EXPECT_EQ(text_of(plan, 1),
            "F0@1 F4@2 F1@1 F5@2 "
            "F2@1 B4@2 F6@2+B0@1 F3@1+B5@2 F7@2+B1@1 "
            "B6@2 B2@1 I7@2 I3@1 "
            "W7@2 W3@1");
}

TEST(pipeline_program, the_second_half_of_dualpipes_ranks_mirrors_the_first) {
  const PipelinePlan plan{Schedule::dualpipe, 4, 8};
  EXPECT_EQ(text_of(plan, 3),
            "F4@0 F5@0 F6@0 F0@3 I0@3 W0@3 F1@3 F7@0+B1@3 F2@3+B4@0 B2@3 F3@3+B5@0 B3@3 I6@0 W6@0 I7@0 W7@0");
}

TEST(pipeline_program, dualpipev_sends_every_micro_batch_there_and_back) {
  const PipelinePlan plan{Schedule::dualpipev, 2, 4};
  EXPECT_EQ(text_of(plan, 0),
            "F0@0 F1@0 F2@0 F0@3 I0@3 W0@3 F1@3 F3@0+B1@3 F2@3+B0@0 B2@3 F3@3+B1@0 B3@3 I2@0 W2@0 I3@0 W3@0");
  EXPECT_EQ(text_of(plan, 1),
            "F0@1 F0@2 F1@1 F1@2 F2@1 B0@2 F2@2+B0@1 F3@1+B1@2 F3@2+B1@1 B2@2 B2@1 I3@2 I3@1 W3@2 W3@1");
}

TEST(pipeline_program, what_a_schedule_cannot_run_has_no_program) {
  EXPECT_THROW(pipeline_program({Schedule::dualpipe, 4, 6}), Error);
}

}  // namespace
}  // namespace chokepoint
