// Inputs and answers made once for groups in a row, and one ahead.
#include "harness/run/problem_source.hpp"

#include <gtest/gtest.h>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

CaseGroup stream_of(std::int64_t elements, const std::string& kernel = "cpu_native") {
  CaseGroup group;
  group.operation = "stream";
  group.kernel = kernel;
  group.shape = complete_shape(find_operation("stream"), Shape{{"elements", elements}});
  group.dtype = Dtype::f32;
  return group;
}

TEST(problem_source, kernels_of_one_problem_share_it) {
  const std::vector<CaseGroup> groups = {stream_of(100, "cpu_native"), stream_of(100, "cpu_reference")};
  ProblemSource source;
  EXPECT_EQ(source.get(groups[0]), source.get(groups[1]));
}

TEST(problem_source, other_shapes_seeds_and_dtypes_are_other_problems) {
  ProblemSource source;
  CaseGroup group = stream_of(100);
  const auto first = source.get(group);
  group.inputs.seed = 2;
  const auto second = source.get(group);
  EXPECT_NE(first, second);
  EXPECT_EQ(second->answer.rows.size(), first->answer.rows.size());
  EXPECT_NE(second->answer.reference, first->answer.reference);
  EXPECT_NE(source.get(stream_of(101)), second);
}

TEST(problem_source, what_comes_from_ahead_is_what_would_have_been_made_when_asked) {
  const std::vector<CaseGroup> groups = {stream_of(10), stream_of(11), stream_of(11, "cpu_reference"), stream_of(12)};
  ProblemSource ahead(groups), plain;
  for (const CaseGroup& group : groups) {
    EXPECT_EQ(ahead.get(group)->answer.reference, plain.get(group)->answer.reference);
    ahead.look_ahead();
  }
}

TEST(problem_source, groups_may_be_left_out_and_come_again) {
  const std::vector<CaseGroup> groups = {stream_of(10), stream_of(11), stream_of(12), stream_of(13)};
  ProblemSource source(groups);
  const auto length = [&](std::size_t i) {
    const auto prepared = source.get(groups[i]);
    source.look_ahead();
    return prepared->problem->inputs().front()->bytes() / 4;
  };
  EXPECT_EQ(length(0), 10);
  EXPECT_EQ(length(2), 12);
  EXPECT_EQ(length(3), 13);
  EXPECT_EQ(length(0), 10);
}

TEST(problem_source, a_fault_ahead_of_time_belongs_to_the_group_that_asks) {
  CaseGroup bad = stream_of(10);
  bad.inputs.distribution = "no such distribution";
  const std::vector<CaseGroup> groups = {stream_of(9), bad, stream_of(11)};
  ProblemSource source(groups);
  EXPECT_NO_THROW(source.get(groups[0]));
  source.look_ahead();
  EXPECT_THROW(source.get(groups[1]), Error);
  EXPECT_NO_THROW(source.get(groups[2]));
}

}  // namespace
}  // namespace chokepoint
