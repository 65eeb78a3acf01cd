// A simulated step as events: readable as JSON, complete, in microseconds, on the rank and stream it ran on.
#include "harness/claims/chrome_trace.hpp"

#include <gtest/gtest.h>

#include "harness/base/json.hpp"
#include "harness/claims/trace_phases.hpp"

namespace chokepoint {
namespace {

std::vector<Json> complete_events(const std::string& text) {
  std::vector<Json> events;
  const Json trace = Json::parse(text);
  for (const Json& event : trace.at("traceEvents"))
    if (event.at("ph") == "X") events.push_back(event);
  return events;
}

TEST(chrome_trace, every_pass_is_an_event_with_rank_stream_and_microseconds) {
  const Pipeline pipeline(PipelinePlan{Schedule::one_f_one_b, 2, 1});
  const PipelineRun run = pipeline.run(even_stages(2, {3000, 5000, 7000}));
  const std::vector<Json> events = complete_events(chrome_trace(pipeline, run, 0));
  ASSERT_EQ(events.size(), 4u);
  EXPECT_EQ(events[1].at("name"), "F0");
  EXPECT_EQ(events[1].at("pid"), 1);
  EXPECT_EQ(events[1].at("tid"), 0);
  EXPECT_EQ(events[1].at("ts"), 3.0);
  EXPECT_EQ(events[1].at("dur"), 3.0);
  EXPECT_EQ(events[1].at("args").at("forward_stage"), 1);
  EXPECT_EQ(events[3].at("name"), "B0");
  EXPECT_EQ(events[3].at("cat"), "backward");
  EXPECT_EQ(events[3].at("ts"), 18.0);  // 3 + 3 + 12
}

TEST(chrome_trace, what_ranks_send_each_other_has_a_stream_of_its_own) {
  const Pipeline pipeline(PipelinePlan{Schedule::one_f_one_b, 2, 1});
  const PipelineRun run = pipeline.run(even_stages(2, {3000, 5000, 7000}, 2000));
  std::vector<Json> hops;
  for (const Json& event : complete_events(chrome_trace(pipeline, run, 2000)))
    if (event.at("tid") == 1) hops.push_back(event);
  ASSERT_EQ(hops.size(), 2u);
  EXPECT_EQ(hops[0].at("name"), "activations");
  EXPECT_EQ(hops[0].at("pid"), 0);
  EXPECT_EQ(hops[0].at("ts"), 3.0);
  EXPECT_EQ(hops[0].at("dur"), 2.0);
  EXPECT_EQ(hops[1].at("name"), "gradients");
  EXPECT_EQ(hops[1].at("pid"), 1);
  EXPECT_EQ(hops[1].at("args").at("to_rank"), 0);
}

TEST(chrome_trace, rows_have_names) {
  const Pipeline pipeline(PipelinePlan{Schedule::dualpipe, 4, 8});
  const Json trace = Json::parse(chrome_trace(pipeline, pipeline.run(even_stages(4, {1, 1, 1, 3})), 0));
  int named = 0;
  for (const Json& event : trace.at("traceEvents")) named += event.at("ph") == "M";
  EXPECT_EQ(named, 8);  // four processes, a thread each
}

TEST(chrome_trace, layer_pairs_follow_each_other_by_their_period) {
  const PairSchedule pair = schedule_pair(trace_phases().expert_layer);
  const std::vector<Json> events = complete_events(chrome_trace(pair, 3));
  ASSERT_EQ(events.size(), 30u);
  EXPECT_EQ(events[0].at("name"), "attention_weight");
  EXPECT_EQ(events[10].at("ts"), 31350.0);
  EXPECT_EQ(events[26].at("name"), "combine_backward");
  EXPECT_EQ(events[26].at("tid"), 1);
}

}  // namespace
}  // namespace chokepoint
