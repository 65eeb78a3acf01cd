// How are the files of a config folder found, and how is a file's name tied to what it says inside?
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/error.hpp"
#include "harness/base/json.hpp"
#include "harness/base/strings.hpp"

namespace chokepoint {

// Paths of `folder`/*.json in order of their names. Throws Error{io} when the folder cannot be read.
std::vector<std::string> json_files_of(const std::string& folder);

// File name without folders and ".json": "configs/models/llama-3.1-8b.json" -> "llama-3.1-8b".
std::string config_stem(std::string_view path);

// Rejects `key` unless it is one of `words`.
void require_word(const Fields& fields, const std::string& key, const std::string& value,
                  std::span<const std::string> words);

// Text that is not empty; sources and summaries have to say something.
std::string telling_text(Fields& fields, const std::string& key);
std::optional<std::string> maybe_telling_text(Fields& fields, const std::string& key);
std::vector<std::string> maybe_telling_texts(Fields& fields, const std::string& key);

// "2026-05" or "2026-05-20".
std::string date_text(Fields& fields, const std::string& key);

// The text "id", which has to be the file's stem.
std::string id_like_file(Fields& fields, const std::string& path);

// Rejects a currency other than the US dollar, in which all prices are kept.
void require_usd(Fields& fields);

// `date`_`name`, which has to be the file's stem; `name_key` is the key that `name` stands under.
std::string dated_id(const Fields& fields, const std::string& date, const std::string& name, std::string_view name_key);

// The entry with this id. Throws Error{config} "<what> "x" is not known; did you mean ...".
template <class T>
const T& find_by_id(const std::vector<T>& entries, const std::string& id, std::string_view what) {
  std::vector<std::string> known;
  for (const T& entry : entries) {
    if (entry.id == id) return entry;
    known.push_back(entry.id);
  }
  throw Error(Fault::config, std::string(what) + " \"" + id + "\" is not known", suggestion(id, known));
}

// `texts` of `key`, which have to be there, not empty and not twice. Throws Error{config} naming file and line.
std::vector<std::string> distinct_texts(Fields& fields, const std::string& key, std::vector<std::string> texts);

}  // namespace chokepoint
