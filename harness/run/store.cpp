#include "harness/run/store.hpp"

#include <fmt/format.h>

#include <filesystem>

#include "harness/base/error.hpp"
#include "harness/base/files.hpp"
#include "harness/base/strings.hpp"

namespace chokepoint {

Store::Store(std::string folder, bool resume) : folder_(std::move(folder)) {
  require_writable_folder(folder_);
  std::error_code no_size;  // no file yet, or none with a size
  const auto size = std::filesystem::file_size(records_path(), no_size);
  const bool has_records = !no_size && size > 0;
  if (has_records && !resume)
    throw Error(Fault::config, fmt::format("{} already holds records", records_path()),
                "add --resume to finish that run, or choose another --out");
  if (!resume) return;
  if (std::filesystem::exists(environment_path())) environment_ = read_json(environment_path()).value;
  if (!has_records) return;
  std::string text = read_file(records_path());
  if (text.back() != '\n') {
    const std::size_t end = text.rfind('\n');
    const std::string cut = text.substr(end == std::string::npos ? 0 : end + 1);
    text.resize(text.size() - cut.size());
    append_line(records_path() + ".cut", cut);
    replace_file(records_path(), text);
    mended_ = true;
  }
  int line_number = 0;
  for (const std::string& line : split(text, '\n')) {
    ++line_number;
    if (line.empty()) continue;
    try {
      const JsonFile parsed = parse_json(line, records_path());
      earlier_.push_back(record_from_json(parsed));
    } catch (const Error& error) {
      throw Error(
          Fault::config,
          fmt::format("line {} of {} is not a record ({})", line_number, records_path(), error.message()),
          "move that line elsewhere and resume again");
    }
    done_.insert(earlier_.back().case_id);
  }
}

void Store::append(const Record& record) {
  append_line(records_path(), to_json(record).dump());
  done_.insert(record.case_id);
}

void Store::write_environment(const Json& environment) {
  replace_file(environment_path(), environment.dump(2) + "\n");
}

}  // namespace chokepoint
