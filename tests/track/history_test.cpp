// The history's file: whole or not at all, twice is once, two writers, damage.
#include "harness/track/history.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <thread>

#include "harness/base/error.hpp"
#include "tests/track/synthetic.hpp"

namespace chokepoint {
namespace {

namespace fs = std::filesystem;

bool has_sqlite() { return history_support().find("not in this build") == std::string::npos; }

class HistoryFile : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_sqlite()) GTEST_SKIP() << history_support();
    folder_ = fmt::format("/tmp/chokepoint_history_test.{}.{}", ::getpid(),
                          ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path() const { return folder_ + "/h.sqlite"; }
  std::unique_ptr<History> open(double wait_s = 10.0) const {
    return open_history(path(), {.may_create = true, .wait_s = wait_s});
  }

  std::string folder_;
};

HistoryRun run_of(std::size_t which, std::size_t cases, const std::string& machine = "cpu") {
  HistoryRun run{.run_id = fmt::format("run-{}", which),
                 .commit = fmt::format("c{}", which),
                 .machine = machine,
                 .environment = "driver=1",
                 .finished = fmt::format("2026-01-01T{:02}:{:02}:{:02}Z", which / 3600, which / 60 % 60, which % 60),
                 .source = "here",
                 .results = {}};
  for (std::size_t i = 0; i < cases; ++i)
    run.results.push_back({fmt::format("case/{}", i), 1, "ok", "", std::log(1e-3), 0.001});
  return run;
}

std::string error_of(const auto& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST_F(HistoryFile, runs_come_back_in_order_of_time) {
  EXPECT_EQ(open()->add({run_of(2, 3), run_of(1, 3)}).results, 6U);
  const std::vector<HistorySeries> series = open()->series_of("case/1");
  ASSERT_EQ(series.size(), 1U);
  ASSERT_EQ(series[0].points.size(), 2U);
  EXPECT_EQ(series[0].points[0].commit, "c1");
  EXPECT_EQ(series[0].points[1].commit, "c2");
  EXPECT_NEAR(*series[0].points[0].log_s, std::log(1e-3), 1e-15);
  EXPECT_EQ(open()->case_ids(), (std::vector<std::string>{"case/0", "case/1", "case/2"}));
}

TEST_F(HistoryFile, twice_is_once_and_a_later_attempt_replaces) {
  open()->add({run_of(1, 3)});
  const ImportCounts again = open()->add({run_of(1, 3)});
  EXPECT_EQ(again.runs + again.results + again.newer_attempts, 0U);
  EXPECT_EQ(again.known_results, 3U);
  HistoryRun later = run_of(1, 1);
  later.results[0].attempt = 2;
  later.results[0].log_s = std::nullopt;
  later.results[0].status = "failed";
  EXPECT_EQ(open()->add({later}).newer_attempts, 1U);
  EXPECT_EQ(open()->add({run_of(1, 3)}).known_results, 3U) << "an earlier attempt changes nothing";
  const std::vector<HistorySeries> series = open()->series_of("case/0");
  ASSERT_EQ(series[0].points.size(), 1U);
  EXPECT_EQ(series[0].points[0].status, "failed");
  EXPECT_FALSE(series[0].points[0].log_s);
}

TEST_F(HistoryFile, machines_are_series_of_their_own) {
  open()->add({run_of(1, 1, "cpu"), run_of(1, 1, "gpu"), run_of(2, 1, "gpu")});
  const std::vector<HistorySeries> series = open()->series_of("case/0");
  ASSERT_EQ(series.size(), 2U);
  EXPECT_EQ(series[0].points.size(), 1U);
  EXPECT_EQ(series[1].points.size(), 2U);
}

TEST_F(HistoryFile, a_run_has_one_commit_and_a_refusal_changes_nothing) {
  open()->add({run_of(1, 1)});
  HistoryRun other = run_of(1, 1);
  other.commit = "else";
  EXPECT_NE(error_of([&] {
              open()->add({run_of(2, 5), other});
            }).find("is in " + path() + " as commit c1"),
            std::string::npos);
  EXPECT_EQ(open()->case_ids().size(), 1U) << "the first run of the refused import is not there";
}

// Children import in a loop and are killed at any moment: whole runs are there, or none of them.
TEST_F(HistoryFile, kill_during_an_import_leaves_whole_imports) {
  constexpr std::size_t kCases = 300;
  open()->add({run_of(0, kCases)});
  for (std::size_t round = 0; round < 12; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (std::size_t i = 0;; ++i)
        open_history(path(), {})
            ->add({run_of(1 + 1000 * round + 2 * i, kCases), run_of(2 + 1000 * round + 2 * i, kCases)});
      ::_exit(0);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + 17 * round));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const std::size_t first = open()->series_of("case/0").at(0).points.size();
    EXPECT_EQ(first % 2, 1U) << "two runs an import, after one";
    for (const char* id : {"case/1", "case/150", "case/299"})
      EXPECT_EQ(open()->series_of(id).at(0).points.size(), first) << id;
  }
  EXPECT_GT(open()->series_of("case/0").at(0).points.size(), 1U) << "no import ever finished";
}

TEST_F(HistoryFile, two_writers_at_once_both_get_in) {
  std::vector<pid_t> children;
  for (std::size_t writer = 0; writer < 2; ++writer) {
    const pid_t child = ::fork();
    if (child == 0) {
      try {
        for (std::size_t i = 0; i < 20; ++i)
          open_history(path(), {.may_create = true})->add({run_of(100 * writer + i, 50)});
        ::_exit(0);
      } catch (const Error& error) {
        std::fprintf(stderr, "%s\n", error.what());
        ::_exit(1);
      }
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(open()->series_of("case/49").at(0).points.size(), 40U);
}

TEST_F(HistoryFile, a_lock_that_does_not_end_is_one_clear_error) {
  open()->add({run_of(1, 1)});
  int ready[2], done[2];
  ASSERT_EQ(::pipe(ready) + ::pipe(done), 0);
  const pid_t child = ::fork();
  if (child == 0) {  // holds the write lock: an import that never ends, by a statement of its own
    const std::string command = fmt::format(
        "(echo 'BEGIN IMMEDIATE;'; echo '.shell echo x >&{}'; cat <&{} ) | sqlite3 {}", ready[1], done[0], path());
    ::close(done[1]);
    ::_exit(std::system(command.c_str()) == 0 ? 0 : 1);
  }
  ::close(ready[1]);
  ::close(done[0]);
  char byte = 0;
  const bool is_locked = ::read(ready[0], &byte, 1) == 1;
  const std::string error = is_locked ? error_of([&] { open(0.1)->add({run_of(2, 1)}); }) : "";
  ::close(done[1]);
  ::waitpid(child, nullptr, 0);
  if (!is_locked) GTEST_SKIP() << "sqlite3's own program is not installed";
  EXPECT_NE(error.find("is locked by another program"), std::string::npos) << error;
  EXPECT_EQ(open()->series_of("case/0").at(0).points.size(), 1U);
}

TEST_F(HistoryFile, what_is_no_history_is_refused_and_left_alone) {
  const auto refused = [&](const std::string& content, const std::string& text) {
    std::ofstream(path(), std::ios::binary) << content;
    EXPECT_NE(error_of([&] { open()->add({run_of(1, 1)}); }).find(text), std::string::npos)
        << error_of([&] { open()->add({run_of(1, 1)}); });
    std::ifstream file(path(), std::ios::binary);
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), content);
    fs::remove(path());
  };
  refused("this is a letter, and a long one: " + std::string(5000, 'x'), "is not a database");
  EXPECT_NE(error_of([&] { open_history(path(), {}); }).find("there is no history"), std::string::npos);
  fs::create_directories(path());
  EXPECT_NE(error_of([&] { open(); }).find("cannot open"), std::string::npos);
}

TEST_F(HistoryFile, damage_is_told_and_nothing_is_written) {
  std::vector<HistoryRun> runs;
  for (std::size_t i = 0; i < 20; ++i) runs.push_back(run_of(i, 200));
  open()->add(runs);
  fs::resize_file(path(), fs::file_size(path()) / 2);
  const std::string error = error_of([&] {
    open()->add({run_of(100, 200)});
    for (std::size_t i = 0; i < 200; ++i) open()->series_of(fmt::format("case/{}", i));
  });
  EXPECT_NE(error.find("is damaged"), std::string::npos) << error;
}

TEST_F(HistoryFile, a_newer_schema_is_left_to_the_newer_program) {
  open()->add({run_of(1, 1)});
  {  // user_version lies at bytes 60 to 63 of the header, big endian (SQLite's file format, 1.3.14)
    std::fstream file(path(), std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(63);
    file.put(9);
  }
  EXPECT_NE(error_of([&] { open(); }).find("has schema version 9 and this program knows 1"), std::string::npos)
      << error_of([&] { open(); });
}

TEST(history_run, keeps_what_a_history_needs) {
  RunRecords run = test::synthetic_run({.cases = 2, .samples = 10}, false, 1, 0);
  run.source = "out/records.jsonl";
  for (Record& record : run.records) {
    record.time.median = 2e-3;
    record.time.ci_low = 1.9e-3;
    record.time.ci_high = 2.1e-3;
    record.dilation = 2.0;
    record.provenance["driver"] = "550";
    record.provenance["finished"] = "2026-01-01T00:00:00Z";
  }
  run.records[1].provenance["finished"] = "2026-01-01T00:00:09Z";
  const HistoryRun kept = history_run(run, std::nullopt);
  EXPECT_EQ(kept.commit, "abc1234");
  EXPECT_EQ(kept.finished, "2026-01-01T00:00:09Z");
  EXPECT_EQ(kept.machine, "cpu, test machine, x86_64, 2");
  EXPECT_NE(kept.environment.find("driver=550"), std::string::npos);
  EXPECT_NEAR(*kept.results[0].log_s, std::log(1e-3), 1e-12);
  EXPECT_NEAR(*kept.results[0].deviation, std::log(2.1 / 1.9) / 2 / 1.96, 1e-5);
  EXPECT_EQ(history_run(run, "deadbeef").commit, "deadbeef");
  run.records[1].provenance["git"] = "def5678";
  EXPECT_NE(error_of([&] { history_run(run, std::nullopt); }).find("several commits"), std::string::npos);
  EXPECT_NE(error_of([&] {
              for (Record& record : run.records) record.provenance = Json::object();
              history_run(run, "deadbeef");
            }).find("nothing says when"),
            std::string::npos);
}

}  // namespace
}  // namespace chokepoint
