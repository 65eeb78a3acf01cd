// How long do comparing two runs of 1,000 cases and importing 100,000 records take, from files to result?
//   bench_track [FOLDER]     writes some 600 MB of records there (default: /tmp) and removes them
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "harness/base/parallel.hpp"
#include "harness/report/records.hpp"
#include "harness/track/compare.hpp"
#include "harness/track/history.hpp"
#include "tests/track/synthetic.hpp"

namespace chokepoint {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kCases = 1000, kImported = 100;  // runs of 1,000 records
constexpr std::size_t kSamples = 300;                  // two looks of the stopping rule

double seconds(const std::function<void()>& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::string write_run(const fs::path& folder, const test::Scenario& scenario, std::size_t which) {
  RunRecords run = test::synthetic_run(scenario, false, 1, which);
  fs::create_directories(folder);
  std::ofstream file(folder / "records.jsonl");
  for (Record& record : run.records) {
    record.time.median = record.time.samples[record.time.samples.size() / 2];
    record.time.ci_low = 0.999 * *record.time.median;
    record.time.ci_high = 1.001 * *record.time.median;
    record.provenance["finished"] = fmt::format("2026-01-01T{:02}:{:02}:00Z", which / 60, which % 60);
    record.provenance["git"] = fmt::format("commit{}", which);
    file << to_json(record).dump() << '\n';
  }
  return (folder / "records.jsonl").string();
}

RunRecords read_run(const std::string& file) {
  RecordSet set = read_records({file});
  return {.id = set.records.front().run_id, .environment = {}, .records = std::move(set.records), .source = file};
}

void bench_compare(const fs::path& folder) {
  const test::Scenario scenario{.cases = kCases, .samples = kSamples, .own_noise = 0.003};
  const std::string base = write_run(folder / "base", scenario, 1), now = write_run(folder / "new", scenario, 2);
  std::vector<RunRecords> sides[2];
  const double read_s = seconds([&] { sides[0].push_back(read_run(base)), sides[1].push_back(read_run(now)); });
  ComparisonReport report;
  const double compare_s = seconds([&] { report = compare_runs(sides[0], sides[1], {}); });
  fmt::print("compare 2 x {} cases of {} samples: read {:.2f} s, compared {:.2f} s ({} same, {} ambiguous)\n", kCases,
             kSamples, read_s, compare_s, report.count(CaseVerdict::same), report.count(CaseVerdict::ambiguous));
}

void bench_history(const fs::path& folder) {
  const test::Scenario scenario{.cases = kCases, .samples = 128, .own_noise = 0.003};
  std::vector<std::string> files;
  for (std::size_t i = 0; i < kImported; ++i) files.push_back(write_run(folder / fmt::format("run{}", i), scenario, i));
  std::vector<HistoryRun> runs(files.size());
  const double read_s = seconds([&] {
    parallel_for(static_cast<std::int64_t>(files.size()), 1, [&](std::int64_t begin, std::int64_t end, int) {
      for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
        runs[i] = history_run(read_run(files[i]), std::nullopt);
    });
  });
  const std::string path = (folder / "h.sqlite").string();
  const double import_s = seconds([&] { open_history(path, {.may_create = true})->add(runs); });
  std::size_t points = 0;
  const double query_s =
      seconds([&] { points = open_history(path, {})->series_of(test::case_name(kCases / 2)).at(0).points.size(); });
  const double again_s = seconds([&] { open_history(path, {})->add(runs); });
  fmt::print(
      "history of {} records: read {:.2f} s on {} workers, imported {:.2f} s, again {:.2f} s; one case's {} runs in "
      "{:.1f} ms\n",
      kImported * kCases, read_s, parallel_workers(), import_s, again_s, points, 1e3 * query_s);
}

}  // namespace
}  // namespace chokepoint

int main(int argc, char** argv) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(argc > 1 ? argv[1] : "/tmp") / fmt::format("chokepoint_bench_track.{}", ::getpid());
  chokepoint::bench_compare(folder);
  chokepoint::bench_history(folder);
  fs::remove_all(folder);
}
