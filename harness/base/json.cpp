#include "harness/base/json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "harness/base/error.hpp"
#include "harness/base/files.hpp"
#include "harness/base/strings.hpp"

namespace chokepoint {
namespace {

// Walks JSON text that is known to be valid, only to find where a value starts.
class Locator {
 public:
  explicit Locator(std::string_view text) : text_(text) {}

  std::size_t find(const std::vector<std::string>& steps) {
    skip_space();
    for (const std::string& step : steps)
      if (!enter(step)) return std::string_view::npos;
    return at_;
  }

 private:
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
      ++at_;
  }

  std::string string_here() {
    const std::size_t start = ++at_;
    while (at_ < text_.size() && text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
    return std::string(text_.substr(start, std::min(at_++, text_.size()) - start));
  }

  void skip_value() {
    skip_space();
    int depth = 0;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        string_here();
        if (depth == 0) return;
        continue;
      }
      if (depth == 0 && (c == ',' || c == ']' || c == '}')) return;
      depth += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;
      ++at_;
      if (depth == 0 && (c == '}' || c == ']')) return;
    }
  }

  bool enter(const std::string& step) {
    if (at_ >= text_.size()) return false;
    const bool is_object = text_[at_] == '{';
    if (!is_object && text_[at_] != '[') return false;
    ++at_;
    for (int index = 0;; ++index) {
      skip_space();
      if (at_ >= text_.size() || text_[at_] == '}' || text_[at_] == ']') return false;
      const std::size_t start = at_;
      bool here = false;
      if (is_object) {
        here = string_here() == step;
        skip_space();
        ++at_;  // the colon
        skip_space();
      } else {
        here = fmt::format("{}", index) == step;
      }
      if (here) {
        key_start_ = start;
        return true;
      }
      skip_value();
      skip_space();
      if (at_ >= text_.size() || text_[at_] != ',') return false;
      ++at_;
    }
  }

  std::string_view text_;
  std::size_t at_ = 0, key_start_ = 0;
};

std::string shown_path(const std::string& pointer) {
  std::string path;
  for (const std::string& step : split(pointer, '/')) {
    if (step.empty()) continue;
    if (std::all_of(step.begin(), step.end(), [](unsigned char c) { return std::isdigit(c); }))
      path += "[" + step + "]";
    else
      path += (path.empty() ? "" : ".") + step;
  }
  return path;
}

std::vector<std::string> each_once(const std::vector<std::string>& words) {
  std::vector<std::string> once;
  for (const std::string& word : words)
    if (std::find(once.begin(), once.end(), word) == once.end()) once.push_back(word);
  return once;
}

std::string kind_of(const Json& value) {
  const std::string_view kind = value.type_name();
  return fmt::format("{} {}", kind == "array" || kind == "object" ? "an" : "a", kind);
}

// JSON leaves open what a key written twice means, and the parser would silently take the last one.
Json parse_with_keys_once(const JsonFile& file) {
  std::vector<std::set<std::string>> objects;
  return Json::parse(file.text, [&](int, Json::parse_event_t event, const Json& parsed) {
    if (event == Json::parse_event_t::object_start) objects.emplace_back();
    if (event == Json::parse_event_t::object_end) objects.pop_back();
    if (event == Json::parse_event_t::key && !objects.back().insert(parsed.get<std::string>()).second)
      throw Error(Fault::config, fmt::format("{}: the key {} is written twice in one object", file.path, parsed.dump()),
                  "keep one of them");
    return true;
  });
}

}  // namespace

Json or_null(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

JsonFile parse_json(std::string text, std::string name) {
  JsonFile file{std::move(name), std::move(text), {}};
  try {
    file.value = parse_with_keys_once(file);
  } catch (const Json::exception& fault) {
    std::string_view what = fault.what();  // "[json.exception.parse_error.101] parse error at line 3, column 5: ..."
    if (const std::size_t at = what.find("at line"); at != std::string_view::npos) what.remove_prefix(at + 3);
    throw Error(Fault::config, fmt::format("{}: not valid JSON, {}", file.path, what), "correct it there");
  }
  return file;
}

JsonFile read_json(const std::string& path) { return parse_json(read_file(path), path); }

int line_of(std::string_view text, const std::string& pointer) {
  std::vector<std::string> steps = split(pointer, '/');
  std::erase(steps, "");
  const std::size_t at = Locator(text).find(steps);
  if (at == std::string_view::npos) return 0;
  return 1 + static_cast<int>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
}

Fields::Fields(const JsonFile& file) : Fields(file, file.value, "") {}

Fields::Fields(const JsonFile& file, const Json& value, std::string pointer)
    : file_(&file), value_(&value), pointer_(std::move(pointer)) {
  if (!value.is_object()) {
    const int line = line_of(file.text, pointer_);
    throw Error(Fault::config,
                fmt::format("{}:{}: {} is {}, not an object", file.path, line,
                            pointer_.empty() ? "the file" : shown_path(pointer_), kind_of(value)),
                "write {...} there");
  }
}

void Fields::reject(const std::string& key, const std::string& message, const std::string& remedy) const {
  const std::string pointer = key.empty() ? pointer_ : pointer_ + "/" + key;
  int line = line_of(file_->text, pointer);
  if (line == 0) line = line_of(file_->text, pointer_);
  throw Error(Fault::config, fmt::format("{}:{}: {} {}", file_->path, line, shown_path(pointer), message), remedy);
}

bool Fields::has(std::string_view key) const {
  const auto found = value_->find(key);
  return found != value_->end() && !found->is_null();
}

const Json& Fields::any(const std::string& key) {
  static const Json absent;
  known_.push_back(key);
  const auto found = value_->find(key);
  return found == value_->end() ? absent : *found;
}

const Json& Fields::required(const std::string& key) {
  known_.push_back(key);
  if (!has(key)) {
    std::vector<std::string> present = keys();
    const std::string near = nearest_word(key, present);
    reject(key, "is missing", near.empty() ? "add it" : fmt::format("add it (there is \"{}\")", near));
  }
  return *value_->find(key);
}

std::string Fields::text(const std::string& key) {
  const Json& value = required(key);
  if (!value.is_string()) reject(key, fmt::format("is {}, not a text", kind_of(value)), "put it in quotes");
  return value.get<std::string>();
}

double Fields::number(const std::string& key) {
  const Json& value = required(key);
  if (!value.is_number()) reject(key, fmt::format("is {}, not a number", kind_of(value)), "write a number");
  const double number = value.get<double>();
  if (!std::isfinite(number)) reject(key, "is not finite", "write a finite number");
  return number;
}

double Fields::positive(const std::string& key) {
  const double value = number(key);
  if (!(value > 0.0)) reject(key, fmt::format("is {}, but has to be above 0", value), "write a positive number");
  return value;
}

std::int64_t Fields::integer(const std::string& key) {
  const Json& value = required(key);
  if (!value.is_number_integer())
    reject(key, fmt::format("is {}, not a whole number", value.is_number() ? value.dump() : kind_of(value)),
           "write a whole number");
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > std::uint64_t{INT64_MAX})
    reject(key, "is too large", "write a number below 2^63");
  return value.get<std::int64_t>();
}

bool Fields::boolean(const std::string& key) {
  const Json& value = required(key);
  if (!value.is_boolean()) reject(key, fmt::format("is {}, not true or false", kind_of(value)), "write true or false");
  return value.get<bool>();
}

std::vector<std::string> Fields::texts(const std::string& key) {
  const Json& value = required(key);
  if (!value.is_array()) reject(key, fmt::format("is {}, not a list", kind_of(value)), "write [\"...\"]");
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (!value[i].is_string()) reject(fmt::format("{}/{}", key, i), "is not a text", "put it in quotes");
    texts.push_back(value[i].get<std::string>());
  }
  return texts;
}

Fields Fields::object(const std::string& key) { return {*file_, required(key), pointer_ + "/" + key}; }

std::vector<Fields> Fields::objects(const std::string& key) {
  const Json& value = required(key);
  if (!value.is_array()) reject(key, fmt::format("is {}, not a list", kind_of(value)), "write [{...}]");
  std::vector<Fields> objects;
  for (std::size_t i = 0; i < value.size(); ++i)
    objects.push_back(Fields(*file_, value[i], fmt::format("{}/{}/{}", pointer_, key, i)));
  return objects;
}

#define CHOKEPOINT_MAYBE(type, name, getter)                     \
  std::optional<type> Fields::name(const std::string& key) {     \
    known_.push_back(key);                                       \
    return has(key) ? std::optional<type>(getter(key)) : std::nullopt; \
  }
CHOKEPOINT_MAYBE(std::string, maybe_text, text)
CHOKEPOINT_MAYBE(double, maybe_number, number)
CHOKEPOINT_MAYBE(double, maybe_positive, positive)
CHOKEPOINT_MAYBE(std::int64_t, maybe_integer, integer)
CHOKEPOINT_MAYBE(bool, maybe_boolean, boolean)
CHOKEPOINT_MAYBE(Fields, maybe_object, object)
#undef CHOKEPOINT_MAYBE

std::vector<Fields> Fields::maybe_objects(const std::string& key) {
  known_.push_back(key);
  return has(key) ? objects(key) : std::vector<Fields>{};
}

std::vector<std::string> Fields::maybe_texts(const std::string& key) {
  known_.push_back(key);
  return has(key) ? texts(key) : std::vector<std::string>{};
}

std::vector<std::string> Fields::keys() const {
  std::vector<std::string> keys;
  for (const auto& [key, value] : value_->items()) keys.push_back(key);
  return keys;
}

void Fields::finish() const {
  for (const std::string& key : keys())
    if (key != "$schema" && std::find(known_.begin(), known_.end(), key) == known_.end())
      reject(key, "is an unknown key", suggestion(key, each_once(known_)));
}

}  // namespace chokepoint
