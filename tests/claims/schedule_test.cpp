// Schedules have names, refuse what they cannot run and say what they can; closed forms are the published
// ones.
#include "harness/claims/schedule.hpp"

#include <gtest/gtest.h>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

std::string refusal(const PipelinePlan& plan) {
  EXPECT_FALSE(can_run(plan));
  try {
    check(plan);
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::config);
    return error.what();
  }
  return "";
}

TEST(schedule, names_are_read_back) {
  for (const std::string& name : schedule_names()) EXPECT_EQ(to_string(parse_schedule(name)), name);
  EXPECT_EQ(schedule_names().size(), 5u);
}

TEST(schedule, an_unknown_name_is_an_error_with_the_nearest_one) {
  try {
    parse_schedule("dualpip");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::config);
    EXPECT_NE(std::string(error.what()).find("\"dualpipe\""), std::string::npos) << error.what();
  }
}

TEST(schedule, dualpipe_needs_twice_as_many_micro_batches_as_ranks) {
  const std::string text = refusal({Schedule::dualpipe, 16, 24});
  EXPECT_EQ(text,
            "dualpipe on 16 ranks needs at least 32 micro-batches, not 24; raise micro-batches to 32, lower "
            "ranks to "
            "12, or take 1f1b or zb-h1");
  EXPECT_TRUE(can_run({Schedule::dualpipe, 16, 32}));
  EXPECT_FALSE(can_run({Schedule::dualpipev, 8, 15}));
  EXPECT_TRUE(can_run({Schedule::dualpipev, 8, 17}));
}

TEST(schedule, dualpipe_needs_even_numbers) {
  EXPECT_EQ(refusal({Schedule::dualpipe, 16, 121}),
            "dualpipe feeds 121 micro-batches from two ends, and that is an odd number; take 122");
  EXPECT_EQ(refusal({Schedule::dualpipe, 7, 120}),
            "dualpipe pairs ranks, and 7 ranks is an odd number; take an even number");
}

TEST(schedule, interleaved_needs_a_multiple_of_its_ranks) {
  EXPECT_EQ(refusal({Schedule::interleaved, 16, 40, 2}),
            "interleaved takes micro-batches in groups of 16 ranks, and 40 is no multiple; take 48");
  EXPECT_FALSE(can_run({Schedule::interleaved, 16, 32, 0}));
  EXPECT_TRUE(can_run({Schedule::interleaved, 16, 32, 2}));
}

TEST(schedule, no_ranks_or_micro_batches_is_an_error) {
  for (const std::string& name : schedule_names()) {
    EXPECT_FALSE(can_run({parse_schedule(name), 0, 4})) << name;
    EXPECT_FALSE(can_run({parse_schedule(name), 4, 0})) << name;
  }
}

TEST(schedule, the_model_is_cut_into_as_many_stages_as_there_are_different_chunks) {
  EXPECT_EQ((PipelinePlan{Schedule::one_f_one_b, 8, 8, 3}.stages()), 8);
  EXPECT_EQ((PipelinePlan{Schedule::interleaved, 8, 8, 3}.stages()), 24);
  EXPECT_EQ((PipelinePlan{Schedule::dualpipe, 8, 16}.stages()), 8);
  EXPECT_EQ((PipelinePlan{Schedule::dualpipev, 8, 16}.stages()), 16);
}

TEST(schedule, closed_forms_are_the_published_ones) {
  // F 7, backward input 5, weight 3, overlapped 11: B is 8.
  const EvenPasses passes{7, 5, 3, 11};
  EXPECT_EQ(closed_form_idle_ns({Schedule::one_f_one_b, 4, 8}, passes), 3 * 15);
  EXPECT_EQ(closed_form_idle_ns({Schedule::interleaved, 4, 8, 2}, passes),
            3 * 15);  // of a chunk: 1/V of the rank's
  EXPECT_EQ(closed_form_idle_ns({Schedule::zb_h1, 4, 8}, passes), 3 * (7 + 8 - 2 * 3));
  EXPECT_EQ(closed_form_idle_ns({Schedule::dualpipe, 8, 16}, passes), 3 * (11 + 8 - 9));
  EXPECT_EQ(closed_form_idle_ns({Schedule::dualpipev, 4, 8}, passes), 3 * (11 + 8 - 9));
}

TEST(schedule, a_plan_of_more_passes_than_can_be_run_is_refused_at_once) {
  PipelinePlan plan{.schedule = Schedule::interleaved, .ranks = 16, .micro_batches = 16, .chunks_per_rank = 8};
  EXPECT_TRUE(can_run(plan));
  plan.chunks_per_rank = 8'000'000;
  EXPECT_FALSE(can_run(plan));
  EXPECT_THROW(check(plan), Error);
}

}  // namespace
}  // namespace chokepoint
