#include "harness/model/config_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

namespace chokepoint {

std::vector<std::string> json_files_of(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code fault;
  for (std::filesystem::directory_iterator at(folder, fault), end; !fault && at != end; at.increment(fault))
    if (at->path().extension() == ".json") paths.push_back(at->path().string());
  if (fault)
    throw Error(Fault::io, fmt::format("cannot read the folder {}: {}", folder, fault.message()),
                "name the folder that holds profiles, prices, models and suites");
  std::sort(paths.begin(), paths.end(),
            [](const std::string& a, const std::string& b) { return config_stem(a) < config_stem(b); });
  return paths;
}

std::string config_stem(std::string_view path) { return std::filesystem::path(path).stem().string(); }

void require_word(const Fields& fields, const std::string& key, const std::string& value,
                  std::span<const std::string> words) {
  if (std::find(words.begin(), words.end(), value) == words.end())
    fields.reject(key, fmt::format("is \"{}\"", value), suggestion(value, words));
}

namespace {

const std::string& telling(const Fields& fields, const std::string& key, const std::string& text) {
  if (text.find_first_not_of(' ') == std::string::npos)
    fields.reject(key, "is empty", "write something, or leave it out");
  return text;
}

bool is_number_between(std::string_view text, int low, int high) {
  int value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    value = 10 * value + (c - '0');
  }
  return text.size() <= 4 && low <= value && value <= high;
}

bool is_date(std::string_view text) {
  if (text.size() != 7 && text.size() != 10) return false;
  return is_number_between(text.substr(0, 4), 2000, 2999) && text[4] == '-' &&
         is_number_between(text.substr(5, 2), 1, 12) &&
         (text.size() == 7 || (text[7] == '-' && is_number_between(text.substr(8), 1, 31)));
}

}  // namespace

std::string date_text(Fields& fields, const std::string& key) {
  const std::string date = fields.text(key);
  if (!is_date(date))
    fields.reject(key, fmt::format("is \"{}\", not a date", date), "write it like 2026-05 or 2026-05-20");
  return date;
}

std::string id_like_file(Fields& fields, const std::string& path) {
  std::string id = fields.text("id");
  if (id != config_stem(path))
    fields.reject("id", fmt::format("is \"{}\", but the file is called {}", id, config_stem(path)),
                  "give both the same name");
  return id;
}

void require_usd(Fields& fields) {
  if (const std::string currency = fields.text("currency"); currency != "USD")
    fields.reject("currency", fmt::format("is \"{}\"", currency), "convert to USD and say how in each source");
}

std::string dated_id(const Fields& fields, const std::string& date, const std::string& name,
                     std::string_view name_key) {
  const std::string id = date + "_" + name, stem = config_stem(fields.file());
  if (id != stem)
    fields.reject("date", fmt::format("and {} make \"{}\", but the file is called {}", name_key, id, stem),
                  fmt::format("call the file <date>_<{}>.json", name_key));
  return id;
}

std::string telling_text(Fields& fields, const std::string& key) {
  return telling(fields, key, fields.text(key));
}

std::optional<std::string> maybe_telling_text(Fields& fields, const std::string& key) {
  std::optional<std::string> text = fields.maybe_text(key);
  if (text) telling(fields, key, *text);
  return text;
}

std::vector<std::string> maybe_telling_texts(Fields& fields, const std::string& key) {
  std::vector<std::string> texts = fields.maybe_texts(key);
  for (std::size_t i = 0; i < texts.size(); ++i) telling(fields, fmt::format("{}/{}", key, i), texts[i]);
  return texts;
}

std::vector<std::string> distinct_texts(Fields& fields, const std::string& key, std::vector<std::string> texts) {
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].empty()) fields.reject(fmt::format("{}/{}", key, i), "is empty", "write a name");
    if (std::find(texts.begin(), texts.begin() + static_cast<std::ptrdiff_t>(i), texts[i]) !=
        texts.begin() + static_cast<std::ptrdiff_t>(i))
      fields.reject(fmt::format("{}/{}", key, i), fmt::format("is \"{}\" for the second time", texts[i]),
                    "remove it");
  }
  return texts;
}

}  // namespace chokepoint
