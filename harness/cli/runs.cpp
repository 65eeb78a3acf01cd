#include "harness/cli/runs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "harness/base/error.hpp"
#include "harness/base/files.hpp"
#include "harness/base/strings.hpp"

namespace chokepoint {
namespace {

namespace fs = std::filesystem;

bool holds_records(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / "records.jsonl", ignored);
}

// The folders of runs in `path`, or `path` itself.
std::vector<std::string> folders_in(const std::string& path) {
  std::error_code code;
  if (!fs::is_directory(path, code) || holds_records(path)) return {path};
  std::vector<std::string> found;
  for (fs::directory_iterator it(path, code), end; !code && it != end; it.increment(code))
    if (holds_records(it->path())) found.push_back(it->path().string());
  std::sort(found.begin(), found.end());
  return found.empty() ? std::vector<std::string>{path} : found;  // reading it says what is missing
}

std::vector<std::string> paths_in(const std::string& text) {
  std::error_code code;
  std::vector<std::string> paths;
  for (const std::string& path : fs::exists(text, code) ? std::vector{text} : split(text, ','))
    for (const std::string& folder : folders_in(path))
      if (std::find(paths.begin(), paths.end(), folder) == paths.end()) paths.push_back(folder);
  return paths;
}

Json environment_beside(const std::string& records_file) {
  const fs::path file = fs::path(records_file).parent_path() / "environment.json";
  std::error_code code;
  return fs::exists(file, code) ? read_json(file.string()).value : Json(nullptr);
}

std::string device_of(const Record& record) {
  return record.device.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void add_runs(RecordSet set, RunSet& all) {
  const Json environment = environment_beside(set.files.front());
  std::map<std::string, std::size_t> known;
  for (Record& record : set.records) {
    const auto [at, is_new] = known.emplace(record.run_id + '\n' + device_of(record), all.runs.size());
    if (is_new) all.runs.push_back({record.run_id, environment, {}, set.files.front()});
    all.runs[at->second].records.push_back(std::move(record));
  }
}

[[noreturn]] void refuse_cut(const Place& place) {
  throw Error(
      Fault::config, fmt::format("{}:{}: the record ends too soon (a crash or a full disk)", place.file, place.line),
      "finish that run with `chokepoint run SUITE --out DIR --resume`, or use what is there with --skip-unreadable");
}

}  // namespace

RunSet read_runs(const std::string& text, bool skip_unreadable) {
  RunSet all;
  for (const std::string& path : paths_in(text)) {
    RecordSet set = read_records({path}, {.each_run = true, .skip_unreadable = skip_unreadable});
    if (!set.cut_lines.empty() && !skip_unreadable) refuse_cut(set.cut_lines.front());
    for (const Place& place : set.cut_lines)
      all.unreadable.push_back(fmt::format("{}:{}: the record ends too soon", place.file, place.line));
    for (const Unreadable& line : set.unreadable) all.unreadable.push_back(line.why);
    all.files.push_back(set.files.front());
    add_runs(std::move(set), all);
  }
  if (all.runs.empty())
    throw Error(Fault::config, fmt::format("{} holds no records", text), "name a folder that `chokepoint run` wrote");
  return all;
}

void tell_unreadable(const RunSet& set) {
  for (const std::string& line : set.unreadable) fmt::print(stderr, "warning: skipped {}\n", line);
}

bool tell_missing(const RecordSet& set, bool skip_unreadable) {
  for (const Unreadable& line : set.unreadable) fmt::print(stderr, "warning: skipped {}\n", line.why);
  for (const Place& place : set.cut_lines)
    if (skip_unreadable)
      fmt::print(stderr, "warning: skipped {}:{}: the record ends too soon\n", place.file, place.line);
    else
      fmt::print(stderr,
                 "error: {}:{}: the record ends too soon (a crash or a full disk); all others are shown\n"
                 "  fix: finish that run with `chokepoint run SUITE --out DIR --resume`\n",
                 place.file, place.line);
  return !skip_unreadable && !set.cut_lines.empty();
}

}  // namespace chokepoint
