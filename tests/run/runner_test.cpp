// Many groups in one child process: what a fault costs, who is blamed, and who gets a successor.
#include "harness/run/runner.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "harness/run/case_runner.hpp"

namespace chokepoint {
namespace {

CaseGroup group_of(std::int64_t elements) {
  CaseGroup group;
  group.operation = "stream";
  group.kernel = "cpu_native";
  group.shape = complete_shape(find_operation("stream"), {{"elements", elements}, {"pattern", std::string("copy")}});
  group.targets = {"host"};
  return group;
}

// A worker that says one prepared line per process, the n-th line in the n-th process, and ends as told.
class Worker : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    facts_.kind = "cuda";
    facts_.own_memory = true;
    for (std::int64_t elements : {8, 16, 24}) groups_.push_back(group_of(elements));
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::vector<Record> run(const std::string& ending) {
    std::ofstream lines(folder_ + "/lines");
    for (const CaseGroup& group : groups_) {
      Record record = blank_record(group, "host", facts_);
      record.status = Status::skipped;
      record.reason = "played";
      lines << to_json(record).dump() << "\n";
    }
    lines.close();
    RunSettings settings;
    settings.worker = {"/bin/sh", "-c",
                       "cd " + folder_ + "; cat >/dev/null; echo x >>count; sed -n \"$(wc -l <count)p\" lines; " + ending};
    Store store(folder_ + "/out", false);
    return run_groups(groups_, Ceilings{}, facts_, settings, store, [](const Progress&) {});
  }

  int processes() const {
    std::ifstream file(folder_ + "/count");
    int count = 0;
    for (std::string line; std::getline(file, line);) ++count;
    return count;
  }

  std::string folder_ = std::filesystem::temp_directory_path() / ("chokepoint_runner_" + std::to_string(::getpid()));
  DeviceFacts facts_;
  std::vector<CaseGroup> groups_;
};

TEST_F(Worker, that_ends_in_peace_after_a_group_gets_a_successor_and_nobody_is_blamed) {
  const std::vector<Record> records = run("exit 0");
  ASSERT_EQ(records.size(), 3U);
  for (const Record& record : records) EXPECT_EQ(record.status, Status::skipped) << record.reason;
  EXPECT_EQ(processes(), 3);
}

TEST_F(Worker, that_crashes_costs_the_group_it_was_at) {
  const std::vector<Record> records = run("kill -SEGV $$");
  ASSERT_EQ(records.size(), 3U);
  EXPECT_EQ(records[0].status, Status::skipped);
  EXPECT_EQ(records[1].status, Status::failed);
  EXPECT_NE(records[1].reason.find("crashed (signal 11"), std::string::npos) << records[1].reason;
  EXPECT_EQ(processes(), 2);
}

TEST_F(Worker, that_says_nothing_and_ends_in_peace_is_blamed_all_the_same) {
  RunSettings settings;
  settings.worker = {"/bin/sh", "-c", "cat >/dev/null"};
  Store store(folder_ + "/out", false);
  const std::vector<Record> records =
      run_groups(groups_, Ceilings{}, facts_, settings, store, [](const Progress&) {});
  ASSERT_EQ(records.size(), 3U);
  for (const Record& record : records) {
    EXPECT_EQ(record.status, Status::failed);
    EXPECT_NE(record.reason.find("ended without a record"), std::string::npos) << record.reason;
  }
}

}  // namespace
}  // namespace chokepoint
