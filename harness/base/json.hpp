// How does a JSON file become typed values without a mistake slipping through?
// Every key is asked for by name and type; a key nobody asked for is an error that names the nearest known one.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace chokepoint {

using Json = nlohmann::ordered_json;

// A number, or null where there is none.
Json or_null(const std::optional<double>& value);

// A parsed file and its text, so that errors can name the line of a key.
struct JsonFile {
  std::string path;  // as the user knows it
  std::string text;
  Json value;
};

// Throws Error{io} when unreadable, Error{config} with line and column when it is not JSON.
JsonFile read_json(const std::string& path);
JsonFile parse_json(std::string text, std::string name);

// 1-based line on which the value at `pointer` ("/cases/2/shape/m") starts; 0 when there is none.
int line_of(std::string_view text, const std::string& pointer);

// One JSON object being decoded. Ask for every key, then call `finish()`: what was not asked for is an error.
//   Fields fields(file);
//   suite.id = fields.text("id");
//   for (Fields entry : fields.objects("cases")) { ...; entry.finish(); }
//   fields.finish();
class Fields {
 public:
  explicit Fields(const JsonFile& file);

  bool has(std::string_view key) const;  // present and not null
  std::string text(const std::string& key);
  double number(const std::string& key);
  double positive(const std::string& key);  // a number above zero
  std::int64_t integer(const std::string& key);
  bool boolean(const std::string& key);
  std::vector<std::string> texts(const std::string& key);
  Fields object(const std::string& key);
  std::vector<Fields> objects(const std::string& key);
  const Json& any(const std::string& key);  // whatever is there; the key counts as known

  // The same with "absent or null" as an answer.
  std::optional<std::string> maybe_text(const std::string& key);
  std::optional<double> maybe_number(const std::string& key);
  std::optional<double> maybe_positive(const std::string& key);
  std::optional<std::int64_t> maybe_integer(const std::string& key);
  std::optional<bool> maybe_boolean(const std::string& key);
  std::optional<Fields> maybe_object(const std::string& key);
  std::vector<Fields> maybe_objects(const std::string& key);
  std::vector<std::string> maybe_texts(const std::string& key);

  // Keys of this object in file order; they do not count as asked for.
  std::vector<std::string> keys() const;

  void finish() const;

  // Throws Error{config} about `key` of this object: "<file>:<line>: <key path> <message>; <remedy>".
  [[noreturn]] void reject(const std::string& key, const std::string& message, const std::string& remedy) const;

  const Json& json() const { return *value_; }
  const std::string& file() const { return file_->path; }

 private:
  Fields(const JsonFile& file, const Json& value, std::string pointer);
  const Json& required(const std::string& key);

  const JsonFile* file_;
  const Json* value_;
  std::string pointer_;
  std::vector<std::string> known_;
};

}  // namespace chokepoint
