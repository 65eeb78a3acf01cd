#include "harness/report/records.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "harness/base/error.hpp"
#include "harness/base/files.hpp"

namespace chokepoint {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFileName = "records.jsonl";

int nesting_of(std::string_view text) {
  int depth = 0, deepest = 0;
  bool in_text = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_text && c == '\\')
      ++i;
    else if (c == '"')
      in_text = !in_text;
    else if (!in_text && (c == '{' || c == '['))
      deepest = std::max(deepest, ++depth);
    else if (!in_text && (c == '}' || c == ']'))
      --depth;
  }
  return deepest;
}

struct Parsed {
  std::optional<Json> value;
  bool ends_too_soon = false;  // what is there could be the beginning of a JSON text
  std::size_t fault_byte = 0;  // the first is 1
};

Parsed parse(std::string_view line) {
  try {
    return {Json::parse(line)};
  } catch (const Json::parse_error& fault) {
    return {std::nullopt, fault.byte > line.size(), fault.byte};
  } catch (const Json::exception&) {  // a number beyond double, say
    return {};
  }
}

// Decodes a line; its errors name the line in the file.
Record decode(const std::string& file, int line_number, std::string_view line, Json value) {
  JsonFile source{file, std::string(line), std::move(value)};
  try {
    return record_from_json(source);
  } catch (const Error&) {
    source.text.insert(0, static_cast<std::size_t>(line_number - 1), '\n');
    return record_from_json(source);  // the same error, with the lines above counted
  }
}

std::string identity(const Record& record, const ReadOptions& options) {
  const auto text = [&](const char* key) {
    const auto found = record.device.is_object() ? record.device.find(key) : record.device.end();
    return found != record.device.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  return fmt::format("{}\n{}\n{}\n{}", record.case_id, text("kind"), text("name"), options.each_run ? record.run_id : "");
}

std::string file_of(const std::string& path) {
  std::error_code code;
  if (!fs::is_directory(path, code)) return path;
  const fs::path file = fs::path(path) / kFileName;
  if (fs::exists(file, code)) return file.string();
  std::string nearby;
  for (fs::directory_iterator it(path, code), end; !code && it != end; it.increment(code))
    if (std::error_code ignored; fs::exists(it->path() / kFileName, ignored))
      nearby = std::max(nearby, it->path().string());
  throw Error(Fault::config, fmt::format("{} holds no {}", path, kFileName),
              nearby.empty() ? "name a folder that `chokepoint run` wrote" : fmt::format("did you mean {}?", nearby));
}

// The record on a line; absent where the line is the beginning of one.
std::optional<Record> record_on(std::string_view line, bool is_closed, const Place& place) {
  if (const int depth = nesting_of(line); depth > kDeepestNesting)
    throw Error(Fault::config,
                fmt::format("{}:{}: nested {} deep, at most {} are read", place.file, place.line, depth, kDeepestNesting),
                "this is no record; take the line out");
  Parsed parsed = parse(line);
  if (!parsed.value && (parsed.ends_too_soon || !is_closed)) return std::nullopt;
  if (!parsed.value)
    throw Error(Fault::config,
                fmt::format("{}:{}: not valid JSON at byte {}", place.file, place.line, parsed.fault_byte),
                "restore the line from a copy, or use all others with --skip-unreadable");
  return decode(place.file, place.line, line, std::move(*parsed.value));
}

}  // namespace

void add_records(std::string_view text, const std::string& file, RecordSet& set, const ReadOptions& options) {
  set.files.push_back(file);
  std::map<std::string, std::size_t> known;
  for (std::size_t i = 0; i < set.records.size(); ++i) known[identity(set.records[i], options)] = i;
  std::vector<bool> from_here(set.records.size(), false);  // whether a record comes from this text

  for (int line_number = 1; !text.empty(); ++line_number) {
    const std::size_t newline = text.find('\n');
    const bool is_closed = newline != std::string_view::npos;
    const std::string_view line = text.substr(0, newline);
    text.remove_prefix(is_closed ? newline + 1 : text.size());
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const Place place{file, line_number};
    std::optional<Record> record;
    try {
      record = record_on(line, is_closed, place);
    } catch (const Error& error) {
      if (!options.skip_unreadable) throw;
      set.unreadable.push_back({place, error.message()});
      continue;
    }
    if (!record) {
      set.cut_lines.push_back(place);
      continue;
    }
    const auto [at, is_new] = known.emplace(identity(*record, options), set.records.size());
    if (is_new) {
      set.records.push_back(std::move(*record));
      set.places.push_back(place);
      from_here.push_back(true);
      continue;
    }
    ++set.superseded;
    const std::size_t i = at->second;
    if (from_here[i] && record->attempt < set.records[i].attempt) continue;
    set.records[i] = std::move(*record);
    set.places[i] = place;
    from_here[i] = true;
  }
}

RecordSet read_records(const std::vector<std::string>& paths, const ReadOptions& options) {
  RecordSet set;
  std::set<std::string> seen;
  for (const std::string& path : paths) {
    const std::string file = file_of(path);
    std::error_code code;
    const fs::path canonical = fs::weakly_canonical(file, code);
    if (seen.insert(code ? file : canonical.string()).second) add_records(read_file(file), file, set, options);
  }
  return set;
}

}  // namespace chokepoint
