// Are imposed choices what they claim to be, and is the shipped trace what its script writes?
#include "kernels/moe_layer/imposed_ids.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "harness/base/files.hpp"
#include "harness/base/strings.hpp"
#include "tests/kernels/check.hpp"

namespace chokepoint::moe {
namespace {

std::vector<int> rows_per_expert(const std::vector<std::int32_t>& ids, std::int64_t experts) {
  std::vector<int> rows(static_cast<std::size_t>(experts), 0);
  for (std::int32_t id : ids) rows.at(static_cast<std::size_t>(id)) += 1;
  return rows;
}

void expect_valid(const std::vector<std::int32_t>& ids, const GateRule& rule, std::int64_t tokens) {
  ASSERT_EQ(std::ssize(ids), tokens * rule.top_k);
  for (std::int64_t token = 0; token < tokens; ++token) {
    std::set<std::int64_t> experts, groups;
    for (std::int64_t k = 0; k < rule.top_k; ++k) {
      const std::int32_t id = ids[static_cast<std::size_t>(token * rule.top_k + k)];
      ASSERT_TRUE(id >= 0 && id < rule.experts);
      experts.insert(id);
      groups.insert(id / rule.group_size());
    }
    ASSERT_EQ(std::ssize(experts), rule.top_k) << "token " << token;
    ASSERT_LE(std::ssize(groups), rule.group_limit) << "token " << token;
  }
}

TEST(imposed_ids, balanced_gives_every_expert_the_same_rows) {
  const GateRule rule{.experts = 16, .top_k = 3};
  const std::vector<std::int32_t> ids = balanced_ids(rule, 160);
  expect_valid(ids, rule, 160);
  for (int rows : rows_per_expert(ids, 16)) EXPECT_EQ(rows, 30);
  const std::vector<int> ragged = rows_per_expert(balanced_ids(rule, 161), 16);
  EXPECT_LE(*std::max_element(ragged.begin(), ragged.end()), 31);
  EXPECT_GE(*std::min_element(ragged.begin(), ragged.end()), 30);
}

TEST(imposed_ids, balanced_keeps_to_the_group_limit) {
  const GateRule rule{.experts = 256, .top_k = 8, .groups = 8, .group_limit = 4};
  const std::vector<std::int32_t> ids = balanced_ids(rule, 1024);
  expect_valid(ids, rule, 1024);
  for (int rows : rows_per_expert(ids, 256)) EXPECT_NEAR(rows, 32, 1);
}

TEST(imposed_ids, balanced_choices_are_spread_like_random_ones) {
  const GateRule rule{.experts = 256, .top_k = 8, .groups = 8, .group_limit = 4};
  const std::vector<std::int32_t> ids = balanced_ids(rule, 2048);
  Reach total;
  for (std::size_t token = 0; token < 2048; ++token)
    total += reach_of({.experts = 256, .ep = 64, .node_size = 8}, std::span(ids).subspan(token * 8, 8));
  EXPECT_NEAR(static_cast<double>(total.nodes) / 2048, 3.97, 0.05);
  EXPECT_NEAR(static_cast<double>(total.gpus) / 2048, 7.50, 0.15);
}

TEST(imposed_ids, zipf_falls_as_one_over_the_place) {
  const GateRule rule{.experts = 32, .top_k = 1};  // one draw: no correction for replacement
  std::vector<int> rows = rows_per_expert(zipf_ids(rule, 40000), 32);
  std::sort(rows.rbegin(), rows.rend());
  double harmonic = 0;
  for (int place = 1; place <= 32; ++place) harmonic += 1.0 / place;
  for (int place : {1, 2, 4, 8, 16})
    EXPECT_NEAR(rows[static_cast<std::size_t>(place - 1)], 40000 / harmonic / place,
                0.08 * 40000 / harmonic / place)
        << place;
}

TEST(imposed_ids, zipf_leaves_experts_empty_and_keeps_to_the_group_limit) {
  const GateRule rule{.experts = 64, .top_k = 4, .groups = 8, .group_limit = 2};
  const std::vector<std::int32_t> ids = zipf_ids(rule, 20);
  expect_valid(ids, rule, 20);
  const std::vector<int> rows = rows_per_expert(ids, 64);
  EXPECT_GT(std::count(rows.begin(), rows.end(), 0), 10);
}

// ---- Traces ----

std::string shipped() { return std::string(CHOKEPOINT_SOURCE_DIR) + "/configs/traces/default.json"; }

TEST(trace, the_shipped_trace_is_valid_and_keeps_to_deepseek_v3s_limits) {
  const RoutingTrace trace = load_routing_trace(shipped());
  EXPECT_EQ(trace.experts, 256);
  EXPECT_EQ(trace.top_k, 8);
  expect_valid(trace.ids, {.experts = 256, .top_k = 8, .groups = 8, .group_limit = 4}, trace.tokens);
}

TEST(trace, the_shipped_trace_has_skew_and_correlation) {
  const RoutingTrace trace = load_routing_trace(shipped());
  const std::vector<int> rows = rows_per_expert(trace.ids, 256);
  const double mean = static_cast<double>(trace.ids.size()) / 256;
  EXPECT_GT(*std::max_element(rows.begin(), rows.end()), 2 * mean);
  const auto common =
      [&](std::size_t distance) {  // experts shared with the token `distance` later, on average
        double sum = 0;
        const std::size_t pairs = static_cast<std::size_t>(trace.tokens) - distance;
        for (std::size_t token = 0; token < pairs; ++token) {
          const auto begin = trace.ids.begin() + static_cast<std::ptrdiff_t>(token * 8);
          const std::set<std::int32_t> experts(begin, begin + 8);
          for (std::size_t k = 0; k < 8; ++k)
            sum += experts.contains(trace.ids[(token + distance) * 8 + k]) ? 1 : 0;
        }
        return sum / static_cast<double>(pairs);
      };
  EXPECT_GT(common(1), 2 * common(16));
  EXPECT_GT(common(16), 1.3 * common(1000));
}

TEST(trace, the_script_writes_the_shipped_trace) {
  if (std::system("python3 -c 'import hashlib' > /dev/null 2>&1") != 0)
    GTEST_SKIP() << "python3 is not installed";
  const std::string command =
      std::string("python3 ") + CHOKEPOINT_SOURCE_DIR + "/scripts/make_routing_trace.py";
  FILE* pipe = ::popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string written;
  std::array<char, 65536> buffer;
  for (std::size_t got; (got = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    written.append(buffer.data(), got);
  EXPECT_EQ(::pclose(pipe), 0);
  EXPECT_TRUE(written == read_file(shipped()))
      << "run scripts/make_routing_trace.py > configs/traces/default.json";
}

// Writes a trace file with the right digest unless another is given, and returns what loading it says.
std::string message_for(const std::string& ids, const std::string& lines, const std::string& more = "",
                        const std::string& summary = "s") {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("trace_test." + std::to_string(::getpid()))).string();
  std::ofstream(path)
      << R"({"schema":"chokepoint/trace/1","source":"t","experts":4,"top_k":2,"tokens":2,"summary":")"
      << summary << R"(",)"
      << R"("sha256":")" << sha256_hex(lines) << R"(",)" << more << R"("ids":)" << ids << "}";
  const std::string message = error_text([&] { load_routing_trace(path); });
  std::filesystem::remove(path);
  return message;
}

TEST(trace, broken_traces_are_refused_with_the_token) {
  const std::string good = "0,3\n2,1\n";
  EXPECT_EQ(message_for("[[0,3],[2,1]]", good), "no error");
  EXPECT_NE(message_for("[[0,3],[2,4]]", good).find("of token 1 hold 4, which is no expert"),
            std::string::npos);
  EXPECT_NE(message_for("[[0,3],[-1,2]]", good).find("of token 1 hold -1, which is no expert"),
            std::string::npos);
  EXPECT_NE(message_for("[[3,3],[2,1]]", good).find("of token 0 hold 3 twice"), std::string::npos);
  EXPECT_NE(message_for("[[0,3],[2]]", good).find("of token 1 are not a list of top_k numbers"),
            std::string::npos);
  EXPECT_NE(message_for("[[0,3],[2,1.5]]", good).find("hold 1.5"), std::string::npos);
  EXPECT_NE(message_for("[[0,3]]", good).find("has 1 entries, not one per token"), std::string::npos);
  EXPECT_NE(message_for("[[0,3],[1,2]]", good).find("sha256 is not that of the ids"), std::string::npos);
  EXPECT_NE(message_for("[[0,3],[2,1]]", good, "\"topk\":2,").find("unknown key; did you mean \"top_k\"?"),
            std::string::npos);
}

TEST(trace, a_trace_says_what_it_is) {
  EXPECT_EQ(message_for("[[0,3],[2,1]]", "0,3\n2,1\n", "\"$schema\":\"../schema/trace.json\","), "no error");
  EXPECT_NE(message_for("[[0,3],[2,1]]", "0,3\n2,1\n", "", "").find("summary is empty"), std::string::npos);
}

TEST(trace, folding_merges_neighbours_and_keeps_experts_distinct) {
  const RoutingTrace trace{.experts = 8, .top_k = 3, .tokens = 2, .ids = {0, 1, 7, 5, 4, 6}};
  using Ids = std::vector<std::int32_t>;
  EXPECT_EQ(fold_trace(trace, 8, 3, 2), trace.ids);
  // Pairs merge: 0,1 -> 0 and the next free expert; 5,4 -> 2 and 3, which 6 -> 3 finds taken and moves to 0.
  EXPECT_EQ(fold_trace(trace, 4, 3, 2), (Ids{0, 1, 3, 2, 3, 0}));
  EXPECT_EQ(fold_trace(trace, 4, 2, 3), (Ids{0, 1, 2, 3, 0, 1}));  // the best two; token 2 is token 0 again
}

TEST(trace, a_trace_that_does_not_fit_says_how_to_make_one) {
  const RoutingTrace trace{.experts = 8, .top_k = 2, .tokens = 1, .ids = {0, 1}};
  EXPECT_EQ(error_text([&] { fold_trace(trace, 16, 2, 1); }),
            "the trace is of 8 experts, which 16 experts do not divide; make a trace with "
            "scripts/make_routing_trace.py --experts 16 --top-k 2");
  EXPECT_NE(error_text([&] { fold_trace(trace, 8, 3, 1); }).find("2 experts per token, and top_k is 3"),
            std::string::npos);
}

TEST(trace, the_environment_says_where_configs_lie) {
  ::unsetenv("CHOKEPOINT_CONFIGS");
  EXPECT_EQ(default_trace_path(), shipped());
  ::setenv("CHOKEPOINT_CONFIGS", "/elsewhere", 1);
  EXPECT_EQ(default_trace_path(), "/elsewhere/traces/default.json");
  ::unsetenv("CHOKEPOINT_CONFIGS");
}

}  // namespace
}  // namespace chokepoint::moe
